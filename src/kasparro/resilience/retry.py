"""Trying again what may work later, within bounds that are stated beforehand.

The clock, the sleep and the dice are arguments, so that tests neither wait nor guess.
"""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeVar

from kasparro.errors import Transient
from kasparro.resilience.parking import LONGEST_WAIT, parked

T = TypeVar("T")

Backoff = Literal["constant", "exponential"]
OnRetry = Callable[[int, float, Transient], None]
"""Told before each wait: the attempt that failed (from 1), the seconds to wait, and its error."""

_SECONDS = re.compile(r"\d{1,12}(\.\d+)?")
_BETWEEN = re.compile(r",\s*(?=\d+(?:\.\d+)?\s*(?:,|$)|[A-Z][a-z]+,)")
"""Between the values of a header that came several times; a date has a comma of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long to try.

    Attributes:
        attempts: Most attempts that fail, the first one included. An answer that asks to wait is no failure.
        total_seconds: The deadline, from the beginning of the first attempt: no wait is begun that would end later.
        first_wait: Seconds; the longest first wait, or every wait when the backoff is constant.
        max_wait: Seconds; no wait of our own is longer.
        backoff: `exponential` doubles the longest wait each time and waits a random part of it (full jitter, so that
            many clients do not come back at once); `constant` waits `first_wait` each time.
        longest_asked: Seconds; a wait that the other side asks for is waited for up to this, and parks beyond it.
    """

    attempts: int = 6
    total_seconds: float = 300.0
    first_wait: float = 1.0
    max_wait: float = 60.0
    backoff: Backoff = "exponential"
    longest_asked: float = LONGEST_WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What time is made of.

    Attributes:
        sleep: Waits that many seconds.
        clock: Seconds that only grow.
        now: The date, to understand `Retry-After` dates.
        dice: A number from 0 to 1.
    """

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    dice: Callable[[], float] = random.random


def longest_wait(policy: RetryPolicy, attempt: int) -> float:
    """Return the most seconds to wait after that many attempts, when the other side asked for nothing."""
    if policy.backoff == "constant":
        return min(policy.first_wait, policy.max_wait)
    return min(policy.first_wait * 2.0 ** min(attempt - 1, 64), policy.max_wait)


def wait_after(policy: RetryPolicy, attempt: int, asked: float | None, dice: Callable[[], float]) -> float:
    """Return the seconds to wait after that many attempts; never less than what the other side asked for."""
    longest = longest_wait(policy, attempt)
    own = longest if policy.backoff == "constant" else longest * dice()
    return own if asked is None else max(own, asked)


async def retrying(
    call: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    on_retry: OnRetry = lambda _attempt, _wait, _error: None,
    timing: Timing | None = None,
) -> T:
    """Return what the call returns, calling it again after every `Transient` error that the policy allows.

    Raises:
        RateLimited: a wait was asked for that is longer than `longest_asked`, or does not end before the deadline; its
            facts say `park`. An error that says so itself is raised as it is.
        Transient: the last error, with the number of attempts in its message and facts.
    """
    time_ = Timing() if timing is None else timing
    started, tries, failures = time_.clock(), 0, 0
    while True:
        try:
            return await call()
        except Transient as error:
            if "park" in error.facts:
                raise
            asked, refused = error.retry_after, is_refusal(error)
            tries += not refused
            failures += not refused and not asked
            wait = _next_wait(policy, tries, error, time_.dice)
            late = time_.clock() - started + wait > policy.total_seconds
            if asked and not refused and (late or asked > policy.longest_asked):
                raise parked(error, asked if asked > policy.longest_asked else wait) from error
            if late or failures >= policy.attempts:
                raise _spent(error, tries) from error
            on_retry(max(tries, 1), wait, error)
        await time_.sleep(wait)


def is_refusal(error: Transient) -> bool:
    """Tell whether nothing was sent, as the circuit breaker of the host is open."""
    return "breaker" in error.facts


def _next_wait(policy: RetryPolicy, tries: int, error: Transient, dice: Callable[[], float]) -> float:
    """Return the seconds to wait. A host that is left alone is asked when that ends, and not by all at once."""
    if is_refusal(error):
        return (error.retry_after or 0.0) + min(policy.first_wait, 1.0) * dice()
    return wait_after(policy, tries, error.retry_after, dice)


def _spent(error: Transient, attempts: int) -> Transient:
    message = error.message if attempts <= 1 else f"{error.message} (tried {attempts} times)"
    return type(error)(message, **{**error.facts, "attempts": attempts})


def retry_after_seconds(text: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for: a number or an HTTP date; of several, the longest.

    A date in the past asks for 0 seconds; what is neither, negative numbers among it, asks for nothing: None.
    """
    if text is None:
        return None
    asked = [_seconds(part.strip(), now) for part in _BETWEEN.split(text)]
    return max((seconds for seconds in asked if seconds is not None), default=None)


def _seconds(text: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, (date - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None  # not a date either: the header says nothing
