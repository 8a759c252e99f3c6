"""Attempts of one request, under one deadline."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from kasparro.errors import Transient
from kasparro.model.events import Emit, Retrying
from kasparro.resilience.retry import RetryPolicy, Timing, is_refusal, retrying
from kasparro.sources.http_breaker import GuardedTurns

T = TypeVar("T")

_LEAST = 1.0
"""Seconds that an attempt has, however little is left: one that has none would only be a bother."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trying:
    """How the requests of a source are tried again.

    Attributes:
        source: Its name, for events.
        policy: How often and how long.
        timing: Clock, sleep and dice.
        emit: Hears `Retrying`.
        guard: Circuit breakers; None where there are none.
    """

    source: str
    policy: RetryPolicy
    timing: Timing
    emit: Emit
    guard: GuardedTurns | None

    async def tried(self, place: str, call: Callable[[float | None], Awaitable[T]]) -> T:
        """Return what the call returns, trying it again. Raises as `retrying`.

        Args:
            place: What is asked, without secrets.
            call: One attempt. It is told how many seconds are left; the first one, which has all the time that an
                attempt may take, is told None.
        """
        began, before = self.timing.clock(), count()

        async def attempt() -> T:
            passed = self.timing.clock() - began
            left = max(self.policy.total_seconds - passed, _LEAST) if next(before) else None
            try:
                return await call(left)
            finally:
                if self.guard is not None:
                    await self.guard.settled()

        def tell(number: int, wait: float, error: Transient) -> None:
            again = Retrying(
                source=self.source,
                place=place,
                attempt=number,
                wait=wait,
                reason=error.message,
                code=error.code,
                asked=error.retry_after is not None and not is_refusal(error),
                sent=not is_refusal(error),
            )
            self.emit(again)

        return await retrying(attempt, self.policy, on_retry=tell, timing=self.timing)
