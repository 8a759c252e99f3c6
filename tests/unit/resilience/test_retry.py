from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Broken, RateLimited, Unreachable
from kasparro.resilience.parking import parks
from kasparro.resilience.retry import RetryPolicy, Timing, longest_wait, retry_after_seconds, retrying, wait_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Time that passes only while somebody sleeps, or as much as an attempt takes."""

    def __init__(self, dice: float = 1.0) -> None:
        self.seconds = 100.0
        self.waits: list[float] = []
        self.timing = Timing(sleep=self.sleep, clock=lambda: self.seconds, now=lambda: NOW, dice=lambda: dice)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds


def failing(*errors: Exception, clock: Clock | None = None, takes: float = 0.0) -> Callable[[], Awaitable[str]]:
    left = list(errors)

    async def call() -> str:
        if clock is not None:
            clock.seconds += takes
        if left:
            raise left.pop(0)
        return "done"

    return call


async def test_waits_double_up_to_the_longest() -> None:
    clock = Clock()
    policy = RetryPolicy(attempts=6, first_wait=1, max_wait=5)
    call = failing(*[Unreachable("down")] * 5)
    assert await retrying(call, policy, timing=clock.timing) == "done"
    assert clock.waits == [1, 2, 4, 5, 5]


async def test_full_jitter_takes_a_part_of_the_wait() -> None:
    clock = Clock(dice=0.25)
    await retrying(failing(*[Unreachable("down")] * 3), RetryPolicy(), timing=clock.timing)
    assert clock.waits == [0.25, 0.5, 1.0]


async def test_constant_waits() -> None:
    clock = Clock(dice=0.25)
    policy = RetryPolicy(backoff="constant", first_wait=2)
    await retrying(failing(*[Unreachable("down")] * 3), policy, timing=clock.timing)
    assert clock.waits == [2, 2, 2]


async def test_attempts_are_bounded_and_told() -> None:
    clock, told = Clock(), []
    cause = OSError("no route")
    last = Unreachable("down", place="x")
    last.__cause__ = cause
    with pytest.raises(Unreachable, match=r"down \(tried 3 times\)") as caught:
        await retrying(
            failing(*[last] * 9),
            RetryPolicy(attempts=3),
            on_retry=lambda *event: told.append(event),
            timing=clock.timing,
        )
    assert told == [(1, 1.0, last), (2, 2.0, last)]
    assert caught.value.facts == {"place": "x", "attempts": 3}
    assert caught.value.__cause__ is last


async def test_one_attempt_is_not_counted_in_words() -> None:
    with pytest.raises(Unreachable, match=r"^down$"):
        await retrying(failing(Unreachable("down")), RetryPolicy(attempts=1), timing=Clock().timing)


async def test_final_errors_are_not_repeated() -> None:
    clock = Clock()
    error = Broken("no")
    with pytest.raises(Broken) as caught:
        await retrying(failing(error), RetryPolicy(), timing=clock.timing)
    assert caught.value is error
    assert clock.waits == []


async def test_total_time_counts_the_attempts_too() -> None:
    clock = Clock()
    call = failing(*[Unreachable("down")] * 99, clock=clock, takes=10)
    with pytest.raises(Unreachable, match="tried 3 times"):
        await retrying(call, RetryPolicy(attempts=99, total_seconds=35), timing=clock.timing)
    assert clock.waits == [1, 2]


async def test_what_was_asked_for_is_waited_for_and_is_no_failure() -> None:
    clock = Clock()
    call = failing(*[RateLimited("slow", retry_after=50)] * 5)
    assert await retrying(call, RetryPolicy(attempts=2, max_wait=5), timing=clock.timing) == "done"
    assert clock.waits == [50] * 5


async def test_a_wait_that_is_longer_than_a_run_waits_parks_it() -> None:
    clock = Clock()
    with pytest.raises(RateLimited) as caught:
        await retrying(failing(Unreachable("busy", retry_after=61, status=503)), RetryPolicy(), timing=clock.timing)
    assert parks(caught.value) == caught.value.retry_after == 61
    assert caught.value.facts["status"] == 503
    assert clock.waits == []


async def test_a_wait_that_does_not_end_before_the_deadline_parks_it() -> None:
    clock = Clock()
    call = failing(*[RateLimited("slow", retry_after=40)] * 9)
    with pytest.raises(RateLimited) as caught:
        await retrying(call, RetryPolicy(total_seconds=100), timing=clock.timing)
    assert parks(caught.value) == 40
    assert clock.waits == [40, 40]


async def test_an_error_that_parks_is_raised_as_it_is() -> None:
    clock = Clock()
    error = RateLimited("no budget", retry_after=5, park=True)
    with pytest.raises(RateLimited) as caught:
        await retrying(failing(error), RetryPolicy(), timing=clock.timing)
    assert caught.value is error
    assert clock.waits == []


async def test_who_asks_again_and_again_for_no_wait_fails() -> None:
    clock = Clock()
    with pytest.raises(RateLimited, match=r"tried 6 times") as caught:
        await retrying(failing(*[RateLimited("slow", retry_after=0)] * 9), RetryPolicy(), timing=clock.timing)
    assert parks(caught.value) is None
    assert clock.waits == [1, 2, 4, 8, 16]


async def test_a_host_that_is_left_alone_is_waited_for_and_is_no_failure() -> None:
    clock = Clock(dice=0.5)
    refused = [Unreachable("left alone", retry_after=30, breaker="open")] * 3
    assert await retrying(failing(*refused), RetryPolicy(attempts=1), timing=clock.timing) == "done"
    assert clock.waits == [30.5] * 3


async def test_a_host_that_is_left_alone_for_too_long_is_a_failure() -> None:
    clock = Clock()
    refused = Unreachable("left alone", retry_after=301, breaker="open")
    with pytest.raises(Unreachable, match=r"^left alone$") as caught:
        await retrying(failing(refused), RetryPolicy(), timing=clock.timing)
    assert parks(caught.value) is None
    assert clock.waits == []


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e6))
def test_no_wait_is_negative_or_too_long(attempt: int, dice: float, first: float, most: float) -> None:
    policy = RetryPolicy(first_wait=first, max_wait=most)
    assert 0 <= wait_after(policy, attempt, None, lambda: dice) <= longest_wait(policy, attempt) <= most


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("3", 3.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("9" * 400, None),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thursday, 01-Jan-26 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("Wed, 31 Dec 2025 23:00:00", 0.0),
        ("Thu, 99 Jan 2026 00:01:00 GMT", None),
        ("Thu, 01 Jan 99999 00:01:00 GMT", None),
        ("1, 4", 4.0),  # the header came twice
        ("soon, 4", 4.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT, 4, Thu, 01 Jan 2026 00:02:00 GMT", 120.0),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(text, NOW) == seconds


@given(st.text())
def test_no_text_is_a_wait_of_negative_time(text: str) -> None:
    seconds = retry_after_seconds(text, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**6))
def test_dates_are_read_to_the_second(ahead: int) -> None:
    text = format_datetime(NOW + timedelta(seconds=ahead), usegmt=True)
    assert retry_after_seconds(text, NOW) == ahead
