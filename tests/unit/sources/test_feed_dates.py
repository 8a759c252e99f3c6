from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.sources.feed_dates import iso


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thu, 01 Jan 2004 19:48:21 GMT", "2004-01-01T19:48:21Z"),
        ("  Thu, 01 Jan 2004\n 19:48:21  +0100 ", "2004-01-01T18:48:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 -0530", "2004-01-02T01:18:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 -0000", "2004-01-01T19:48:21Z"),
        ("Thu, 1 Jan 04 19:48 UT", "2004-01-01T19:48:00Z"),
        ("Thu, 01 Jan 2004 19:48:21 EST", "2004-01-02T00:48:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 CET", "2004-01-01T18:48:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 +0200 (CEST)", "2004-01-01T17:48:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 (CEST)", "2004-01-01T17:48:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 GMT+02:00", "2004-01-01T17:48:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 UTC-5", "2004-01-02T00:48:21Z"),
        ("Thu, 01 Jan 2004 19:48:21 Etc/GMT", "2004-01-01T19:48:21Z"),
        ("Sat,29 Jul 2006 00:03:02 +0000", "2006-07-29T00:03:02Z"),
        ("Thu (oh how I hate Thursdays), 16 Feb 2006 01:39 +0000", "2006-02-16T01:39:00Z"),
        ("2003-12-31T10:14:55Z", "2003-12-31T10:14:55Z"),
        ("2003-12-31t10:14:55z", "2003-12-31T10:14:55Z"),
        ("2003-12-31T10:14:55.25+01:00", "2003-12-31T09:14:55.250000Z"),
        ("2003-12-31 10:14:55+0100", "2003-12-31T09:14:55Z"),
        ("20031231T101455Z", "2003-12-31T10:14:55Z"),
        # No zone, or none that is known: the zone of the declaration applies.
        ("Thu, 5 Jan 2012 10:00:00", "2012-01-05T10:00:00"),
        ("Thu, 01 Jan 2004 19:48:21 IST", "2004-01-01T19:48:21"),
        ("Sat, 07 Sep 2002 00:00:01 A", "2002-09-07T00:00:01"),
        ("2003-12-31T10:14", "2003-12-31T10:14:00"),
        ("2003-12-31", "2003-12-31T00:00:00"),
        ("2003-12", "2003-12-01T00:00:00"),
        ("2003", "2003-01-01T00:00:00"),
        ("5 January 2012", "2012-01-05T00:00:00"),
        ("Jan 5, 2012", "2012-01-05T00:00:00"),
    ],
)
def test_dates_are_read(text: str, expected: str) -> None:
    assert iso(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "01/02/2003",
        "13.01.2004 10:00",
        "--12-31",
        "1078312800",
        "2003-06-31T15:51:30-05:00",
        "2003-07-01T25:51:30Z",
        "Fri, 31 Feb 2004 10:00:00 GMT",
        "January 5 2012 10:00 PM",
        "2019-12-31T10:00:00 America/New_York",
        "2004년 05월 28일  오후 01:31:15",
        "Sun, 31 Dec 9999 23:59:59 -1000",
        "Thu, 01 Jan 2004 19:48:21 +9999",
    ],
)
def test_what_is_no_date_or_may_mean_two_is_not_guessed(text: str) -> None:
    assert iso(text) is None


offsets = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1), timezones=offsets)  # noqa: DTZ001


@given(moments)
def test_both_standard_forms_give_the_instant(moment: datetime) -> None:
    assert datetime.fromisoformat(str(iso(moment.isoformat()))) == moment
    second = moment.replace(microsecond=0)
    assert datetime.fromisoformat(str(iso(format_datetime(second)))) == second.astimezone(UTC)


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    found = iso(text)
    assert found is None or datetime.fromisoformat(found).year > 0
