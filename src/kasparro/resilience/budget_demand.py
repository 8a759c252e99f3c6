"""What the requests of a process want of a budget, and where its book is kept."""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from kasparro.model.rate import Rate, RateLimit
from kasparro.resilience.budget_values import Ask, Grant
from kasparro.resilience.retry import Timing


class Desk(Protocol):
    """Where the book of a budget is kept."""

    async def look(self, key: str) -> bool:
        """Tell whether somebody has written anything about the budget that still counts. Raises KasparroError."""
        ...

    async def settle(self, key: str, host: str, ask: Ask, expected: Callable[[], float | None]) -> Grant:
        """Settle with the book, see `budget_book.settle`. Raises KasparroError."""
        ...


@dataclass(slots=True, kw_only=True)
class Demand:
    """What the requests of a process do.

    Attributes:
        waiting: Those that stand in line.
        flying: Those under way.
        peak: Most of both at a time since the last exchange.
        sent: Since the last exchange.
        latest: When one last got into line.
    """

    waiting: int = 0
    flying: int = 0
    peak: int = 0
    sent: int = 0
    latest: float = -math.inf

    def note(self) -> None:
        """Note how many there are."""
        self.peak = max(self.peak, self.waiting + self.flying)


async def within(event: asyncio.Event, seconds: float, timing: Timing) -> None:
    """Wait for an event, and no longer than so many seconds."""
    happened = asyncio.ensure_future(event.wait())
    slept = asyncio.ensure_future(timing.sleep(seconds))
    try:
        await asyncio.wait({happened, slept}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        happened.cancel()
        slept.cancel()


def strictest(limits: Iterable[RateLimit]) -> tuple[Rate, ...]:
    """Return one rate for each span."""
    found: dict[float, Rate] = {}
    for limit in limits:
        for rate in limit.rates:
            known = found.get(rate.seconds)
            if known is None or rate.count < known.count:
                found[rate.seconds] = rate
    return tuple(found.values())
