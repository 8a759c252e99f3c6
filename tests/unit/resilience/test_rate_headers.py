from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.model.rate import LONGEST
from kasparro.resilience.rate_headers import NOTHING, Window, heard

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def windows(headers: Mapping[str, str]) -> tuple[Window, ...]:
    return heard(headers, NOW).windows


REAL: Mapping[str, tuple[Mapping[str, str], tuple[int | None, int | None, float | None, float | None]]] = {
    "github": (
        {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4987",
            "X-RateLimit-Reset": str(EPOCH + 1800),
            "X-RateLimit-Used": "13",
            "X-RateLimit-Resource": "core",
        },
        (5000, 4987, 1800.0, None),
    ),
    "gitlab, whose RateLimit-Reset is a moment": (
        {
            "RateLimit-Limit": "60",
            "RateLimit-Observed": "67",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(EPOCH + 40),
            "RateLimit-ResetTime": "Sun, 01 Mar 2026 12:00:40 GMT",
            "RateLimit-Name": "throttle_authenticated_web",
        },
        (60, 0, 40.0, None),
    ),
    "twitter": (
        {"x-rate-limit-limit": "900", "x-rate-limit-remaining": "899", "x-rate-limit-reset": str(EPOCH + 900)},
        (900, 899, 900.0, None),
    ),
    "discord, fractions, Reset-After is nearer than Reset": (
        {
            "X-RateLimit-Limit": "5",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": f"{EPOCH + 1.5:.3f}",
            "X-RateLimit-Reset-After": "1.470",
            "X-RateLimit-Bucket": "abcd1234",
        },
        (5, 0, 1.47, None),
    ),
    "reddit, floats without a limit": (
        {"x-ratelimit-remaining": "598.0", "x-ratelimit-used": "2", "x-ratelimit-reset": "356"},
        (600, 598, 356.0, None),
    ),
    "openai": (
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "6m0.5s",
            "x-ratelimit-limit-tokens": "150000",
        },
        (60, 59, 360.5, None),
    ),
    "kong": (
        {"X-RateLimit-Limit-Minute": "100", "X-RateLimit-Remaining-Minute": "99"},
        (100, 99, None, 60.0),
    ),
    "draft 3, with the window behind the limit": (
        {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "50", "RateLimit-Reset": "30"},
        (100, 50, 30.0, 60.0),
    ),
    "draft 7": (
        {"RateLimit": "limit=100, remaining=50, reset=5", "RateLimit-Policy": "100;w=60"},
        (100, 50, 5.0, 60.0),
    ),
    "draft 10": (
        {"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'},
        (100, 50, 30.0, 60.0),
    ),
    "milliseconds since 1970": (
        {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": str((EPOCH + 7) * 1000)},
        (10, 1, 7.0, None),
    ),
    "a date": (
        {
            "X-RateLimit-Limit": "10",
            "X-RateLimit-Remaining": "1",
            "X-RateLimit-Reset": format_datetime(NOW + timedelta(seconds=9), usegmt=True),
        },
        (10, 1, 9.0, None),
    ),
    "an ISO date": (
        {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "2026-03-01T12:00:09Z"},
        (10, 1, 9.0, None),
    ),
    "the same header twice": (
        {"X-RateLimit-Limit": "50, 1000", "X-RateLimit-Remaining": "3, 900", "X-RateLimit-Reset": "1, 60"},
        (50, 3, 60.0, None),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_headers_of_real_providers_are_understood(name: str) -> None:
    headers, expected = REAL[name]
    (found,) = windows(headers)
    assert (found.limit, found.remaining, found.reset, found.span) == expected


def test_several_policies_are_several_limits() -> None:
    told = {
        "RateLimit": '"burst";r=9;t=1, "day";r=400;t=3600',
        "RateLimit-Policy": '"burst";q=10;w=1, "day";q=500;w=86400',
    }
    found = {one.name: (one.limit, one.remaining, one.reset, one.span) for one in windows(told)}
    assert found == {"burst": (10, 9, 1.0, 1.0), "day": (500, 400, 3600.0, 86_400.0)}


def test_a_policy_of_something_else_than_requests_is_left_alone() -> None:
    told = {"RateLimit": '"bytes";r=9;t=1', "RateLimit-Policy": '"bytes";q=1000;w=60;qu="content-bytes"'}
    assert windows(told) == ()


def test_a_leaking_bucket_tells_what_is_left() -> None:
    (found,) = windows({"X-Shopify-Shop-Api-Call-Limit": "32/40"})
    assert (found.limit, found.remaining, found.reset) == (40, 8, None)


ABSURD: Mapping[str, Mapping[str, str]] = {
    "text": {"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "some", "X-RateLimit-Reset": "soon"},
    "negative": {"X-RateLimit-Limit": "-1", "X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "-60"},
    "not a number": {"X-RateLimit-Limit": "NaN", "X-RateLimit-Remaining": "inf", "X-RateLimit-Reset": "1e400"},
    "empty": {"X-RateLimit-Limit": "", "X-RateLimit-Remaining": "", "X-RateLimit-Reset": ""},
    "no structured field": {"RateLimit": '"open;r=5', "RateLimit-Policy": ";;;"},
    "structured, and negative": {"RateLimit": '"a";r=-5;t=-1', "RateLimit-Policy": '"a";q=-1;w=0'},
    "structured, of wrong types": {"RateLimit": '"a";r="5";t=?1', "RateLimit-Policy": '"a";q=1.5;w="x"'},
    "an inner list": {"RateLimit-Policy": '("a" "b");q=5'},
    "not Latin": {"RateLimit": "\u0661\u0662", "X-RateLimit-Limit": "\u0661"},
    "a share of nothing": {"X-Shopify-Shop-Api-Call-Limit": "0/0"},
}


@pytest.mark.parametrize("name", ABSURD)
def test_what_is_absurd_says_nothing(name: str) -> None:
    assert windows(ABSURD[name]) == ()


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        (str(EPOCH - 500), 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        (str(EPOCH + 10 * 365 * 86_400), None),
        (str((EPOCH + 10 * 365 * 86_400) * 1000), None),
        ("99999999", None),
        ("999999999999999999999999", None),
        ("2999-01-01T00:00:00Z", None),
        (str(LONGEST), float(LONGEST)),
        ("0", 0.0),
    ],
)
def test_a_reset_that_has_passed_is_now_and_one_too_far_away_is_none(reset: str, seconds: float | None) -> None:
    (found,) = windows({"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": reset})
    assert found.reset == seconds


def test_no_more_is_left_than_the_limit() -> None:
    (found,) = windows({"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "900"})
    assert found.remaining == 5


def test_a_moment_is_told_by_the_clock_of_the_provider_where_it_is_not_ours() -> None:
    theirs = NOW - timedelta(hours=3)
    told = {
        "Date": format_datetime(theirs, usegmt=True),
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": str(int(theirs.timestamp()) + 30),
    }
    assert windows(told)[0].reset == 30.0


@pytest.mark.parametrize(("ahead", "reset"), [(0.4, 29.6), (1.4, 28.6), (1.6, 30.0), (-0.1, 30.0)])
def test_our_clock_tells_a_moment_only_where_it_agrees_with_the_date_of_the_answer(ahead: float, reset: float) -> None:
    told = {
        "Date": format_datetime(NOW, usegmt=True),
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": str(EPOCH + 30),
    }
    (found,) = heard(told, NOW + timedelta(seconds=ahead)).windows
    assert found.reset == pytest.approx(reset)


@pytest.mark.parametrize("ahead", [-7.0, 0.9, 1.9, 7.0])
def test_a_date_to_wait_until_is_read_by_the_clock_of_the_provider(ahead: float) -> None:
    """Ours may be ahead by a second or two, and the wait would be cut short by as much."""
    told = {
        "Date": format_datetime(NOW, usegmt=True),
        "Retry-After": format_datetime(NOW + timedelta(seconds=5), usegmt=True),
    }
    assert heard(told, NOW + timedelta(seconds=ahead)).retry_after == 5.0


@pytest.mark.parametrize(
    ("window", "span", "seconds"),
    [
        (Window(name="x", reset=0.1, coarse=True), 1.0, 1.0),  # cut to whole seconds: up to one later
        (Window(name="x", reset=30.0), 60.0, 31.0),  # a length in whole seconds may be cut, too
        (Window(name="x", reset=59.7, coarse=True), 60.0, 60.0),  # none is further away than the window is long
        (Window(name="x", reset=61.0), 60.0, 61.0),
        (Window(name="x", reset=1.47), 60.0, 1.47),  # told exactly
        (Window(name="x"), 60.0, 60.0),
    ],
)
def test_what_was_used_is_back_no_earlier_than_a_reset_may_mean(window: Window, span: float, seconds: float) -> None:
    assert window.back_in(span) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("86400", 86_400.0),
        ("-5", None),
        ("abc", None),
        ("", None),
        ("nan", None),
        ("1e3", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert heard({"Retry-After": text}, NOW).retry_after == seconds


def test_a_server_that_tells_of_many_limits_is_heard_in_part() -> None:
    told = ", ".join(f'"{"x" * 100}{number}";q=5;w=1' for number in range(50))
    found = windows({"RateLimit-Policy": told})
    assert len(found) <= 8
    assert all(len(one.name) <= 60 for one in found)


def test_an_answer_without_any_of_it_costs_nothing() -> None:
    assert heard({"Content-Type": "application/json", "Date": "x", "X-Request-Id": "5"}, NOW) is NOTHING


names = st.sampled_from(
    [
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "RateLimit-Limit",
        "RateLimit-Remaining",
        "RateLimit-Reset",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "X-Rate-Limit-Reset",
        "X-Shopify-Shop-Api-Call-Limit",
        "Date",
    ]
)
values = st.text(max_size=40) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(['"a";r=1', "a=1, b=2"])


@given(st.dictionaries(names, values, max_size=6))
def test_nothing_that_a_server_sends_is_more_than_a_limit_can_be(headers: dict[str, str]) -> None:
    found = heard(headers, NOW)
    assert found.retry_after is None or found.retry_after >= 0
    for one in found.windows:
        assert one.limit is None or one.limit >= 1
        assert one.remaining is None or one.remaining >= 0
        assert one.reset is None or 0 <= one.reset <= LONGEST
        assert one.limit is None or one.remaining is None or one.remaining <= one.limit
