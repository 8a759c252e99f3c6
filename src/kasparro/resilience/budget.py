"""One budget as a process sees it: requests stand in line, and take the permits that its clerk has got."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kasparro.errors import RateLimited, StoreBusy
from kasparro.model.rate import RateLimit
from kasparro.resilience.budget_book import LONGEST_HOLD
from kasparro.resilience.budget_clerk import SELDOM, Clerk
from kasparro.resilience.budget_demand import Demand, Desk, within
from kasparro.resilience.rate_headers import Heard, heard
from kasparro.resilience.retry import Timing

_ALONE = 1.0
"""Seconds that the first request to a host is alone at most: its answer may tell of a limit."""

_PATIENCE = 30.0
"""Seconds that requests wait for a database that is away."""

_SINGLE = 2.0
"""Seconds of `Retry-After` up to which a refusal may concern one request only."""

_IN_A_ROW = 3
"""Refusals in a row after which all requests wait."""

_LONGEST_OWN = 30.0
"""Seconds of the longest wait after refusals that do not say how long to wait."""

_ROUGHLY = 1.1
"""A limit per minute is spent for a minute and a little: that is no longer wait than a minute."""

_FALLS, _RISES = 0.5, 0.02
"""How far what an answer usually takes follows a quicker one, and a slower one: what delays only some is not usual."""

_NOTABLE = 0.01
"""Seconds of a wait that is worth telling of."""

_TOO_MANY = 429
_FAILED = 400
_BROKEN = 500

LIMIT, CONCURRENCY = "the rate limit is spent", "as many requests as may be are under way"

Told = Callable[[float, str], None]
"""Told that a request waits or has waited: seconds, and for what."""


@dataclass(slots=True, kw_only=True)
class Permit:
    """One request under way.

    Attributes:
        began: When it was let go.
        pools: Where its permits go back to.
        generation: Of the hand that had them.
        given_back: The permits are.
    """

    began: float
    pools: tuple[str, ...]
    generation: int
    given_back: bool = False


class Budget:
    """Requests of this process that share a budget. `close` it.

    Args:
        key: Names the budget in the database.
        host: For messages.
        desk: Keeps the book.
        timing: Clock, sleep and date.
    """

    def __init__(self, key: str, host: str, desk: Desk, timing: Timing) -> None:
        self._host, self._timing = host, timing
        self._demand = Demand()
        self._clerk = Clerk(key, host, desk, self._demand, timing)
        self._line = asyncio.Lock()
        self._answered, self._first = False, 0.0
        self._refusals, self._usual = 0, 0.0

    def declare(self, source: str, limit: RateLimit) -> None:
        """A source keeps this limit here, beside what others declare."""
        self._clerk.declare(source, limit)

    async def close(self) -> None:
        """Give everything back."""
        await self._clerk.close()

    async def take(self, longest: float, told: Told) -> Permit:
        """Stand in line, and wait until a request may be sent.

        Args:
            longest: Seconds that it waits at most where it is known for how long it must.
            told: See there.

        Raises:
            RateLimited: it would have to wait longer; `facts["retry_after"]` and `facts["park"]` say so.
            StoreBusy: the database that keeps the book is away.
        """
        since, demand = self._timing.clock(), self._demand
        demand.waiting, demand.latest = demand.waiting + 1, since
        demand.note()
        self._clerk.attend()
        try:
            async with self._line:
                await self._turn(since, longest, told)
                hand = self._clerk.hand
                permit = Permit(began=self._timing.clock(), pools=hand.use(), generation=hand.generation)
                demand.sent, demand.flying = demand.sent + 1, demand.flying + 1
        finally:
            demand.waiting -= 1
        if not self._answered and demand.flying == 1:
            self._first = permit.began
        return permit

    def answered(self, permit: Permit, status: int, headers: Mapping[str, str]) -> None:
        """Learn from the head of the answer, and give the permits back."""
        now = self._timing.clock()
        found = heard(headers, self._timing.now())
        # Where a window is longer than was known yet, its permits are not back before it has ended.
        self._give_back(
            permit, now, {f"learned {one.name}": one.reset for one in found.windows if one.reset is not None}
        )
        took = now - permit.began
        follows = _FALLS if took < self._usual else _RISES
        self._usual = self._usual + follows * (took - self._usual) if self._answered else took
        for window in found.windows:
            self._clerk.hear(window, permit.began)
            if window.remaining is not None and window.reset is not None:
                name, hand = f"learned {window.name}", self._clerk.hand
                hand.trim(name, window.remaining, permit.began, now + window.back_in(hand.spans.get(name, 0.0)))
            elif window.remaining == 0 and window.span is None:
                self._clerk.hold_for(1.0, "the provider has nothing left for now")
        self._refused(status, found)
        if not self._answered:
            self._answered = True
            self._clerk.changed.set()

    def over(self, permit: Permit) -> None:
        """The request has ended, with or without an answer."""
        self._give_back(permit, self._timing.clock(), {})
        self._demand.flying -= 1
        if self._clerk.places is not None and self._demand.flying >= self._clerk.places:
            self._clerk.need()  # a place that was lent to another process meanwhile
        self._clerk.changed.set()

    def _give_back(self, permit: Permit, now: float, told: Mapping[str, float]) -> None:
        hand = self._clerk.hand
        if not permit.given_back and permit.generation == hand.generation:
            hand.used(permit.pools, permit.began, now, self._usual, told)
        permit.given_back = True

    def _refused(self, status: int, found: Heard) -> None:
        """Have all wait where the provider has asked for it; `docs/rate-limits.md` says when that is one alone."""
        if status != _TOO_MANY and (found.retry_after is None or status < _FAILED):
            self._refusals = 0 if status < _BROKEN else self._refusals
            return
        self._refusals += 1
        wait = found.retry_after
        if not wait or wait > LONGEST_HOLD:
            if self._refusals >= _IN_A_ROW:
                own = min(2.0 ** min(self._refusals - _IN_A_ROW, 16), _LONGEST_OWN)
                self._clerk.hold_for(own, f"the provider has refused {self._refusals} requests in a row")
            return
        single = wait <= _SINGLE and self._refusals < _IN_A_ROW and bool(self._clerk.hand.spans)
        if not single:
            self._clerk.hold_for(wait, "the provider has asked to wait (Retry-After)")

    async def _turn(self, since: float, longest: float, told: Told) -> None:
        foretold, reason, clerk = False, "", self._clerk
        while True:
            clerk.changed.clear()
            obstacle = self._obstacle(self._timing.clock())
            if obstacle is None:
                break
            seconds, why = obstacle
            reason = why or reason
            self._judge(seconds, longest, reason)
            if seconds is not None and seconds >= 1 and why and not foretold:
                foretold = True
                told(seconds, why)
            clerk.attend()
            wait = SELDOM if seconds is None else min(max(seconds, 0.001), SELDOM)
            await within(clerk.changed, wait, self._timing)
        waited = self._timing.clock() - since
        if waited >= _NOTABLE and reason and not foretold:
            told(waited, reason)

    def _obstacle(self, now: float) -> tuple[float | None, str] | None:
        """Return how long, where that is known, and for what the next request must wait; None when it may be sent."""
        clerk, flying = self._clerk, self._demand.flying
        if clerk.hold > now:
            return clerk.hold - now, clerk.why
        if not clerk.known:
            clerk.need()
            return None, ""
        if not self._answered and flying and now - self._first < _ALONE:
            return _ALONE - (now - self._first), ""
        if clerk.places is not None and (flying >= clerk.places or clerk.hand.lapsed(now)):
            clerk.need()
            return None, CONCURRENCY
        return self._unpermitted(now)

    def _unpermitted(self, now: float) -> tuple[float | None, str] | None:
        clerk = self._clerk
        due = clerk.hand.due(now)
        if due is None:
            clerk.need()
            return None if clerk.next is None else max(clerk.next - now, 0.0), LIMIT
        return (due - now, LIMIT) if due > now else None

    def _judge(self, seconds: float | None, longest: float, why: str) -> None:
        if seconds is not None and seconds > longest * _ROUGHLY + 1:
            told = f"{self._host} may be asked again in {seconds:,.0f} s: {why}"
            raise RateLimited(told, retry_after=seconds, park=True, host=self._host)
        failing = self._clerk.failing
        if failing is not None and self._timing.clock() - failing[0] > _PATIENCE:
            raise StoreBusy(
                f"{self._host} was not asked: what its rate limit leaves is in the database. {failing[1].message}"
            )
