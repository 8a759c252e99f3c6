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

T = TypeVar("T")

Backoff = Literal["constant", "exponential"]
OnRetry = Callable[[int, float, Transient], None]
"""Told before each wait: the attempt that failed (from 1), the seconds to wait, and its error."""

_SECONDS = re.compile(r"\d{1,12}(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long to try.

    Attributes:
        attempts: Most attempts, the first one included.
        total_seconds: No wait is begun that would end later than this after the first attempt began. It is also the
            cap of `Retry-After`: what asks for longer is not waited for but raised, with the seconds in its facts.
        first_wait: Seconds; the longest first wait, or every wait when the backoff is constant.
        max_wait: Seconds; no wait of our own is longer.
        backoff: `exponential` doubles the longest wait each time and waits a random part of it (full jitter, so that
            many clients do not come back at once); `constant` waits `first_wait` each time.
    """

    attempts: int = 6
    total_seconds: float = 300.0
    first_wait: float = 1.0
    max_wait: float = 60.0
    backoff: Backoff = "exponential"


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
        Transient: the last error, with the number of attempts in its message and facts.
    """
    time_ = Timing() if timing is None else timing
    started, attempt = time_.clock(), 1
    while True:
        try:
            return await call()
        except Transient as error:
            wait = wait_after(policy, attempt, error.retry_after, time_.dice)
            if attempt >= policy.attempts or time_.clock() - started + wait > policy.total_seconds:
                raise _spent(error, attempt) from error
            on_retry(attempt, wait, error)
        await time_.sleep(wait)
        attempt += 1


def _spent(error: Transient, attempts: int) -> Transient:
    message = error.message if attempts == 1 else f"{error.message} (tried {attempts} times)"
    return type(error)(message, **{**error.facts, "attempts": attempts})


def retry_after_seconds(text: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for: a number or an HTTP date.

    A date in the past asks for 0 seconds; what is neither, negative numbers among it, asks for nothing: None.
    """
    if text is None:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, (date - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None  # not a date either: the header says nothing
