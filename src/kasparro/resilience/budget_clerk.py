"""Keeps a process and the book of a budget in step: in the background, a few times a second while requests are sent.

So a request costs no round trip. While nothing limits a budget, its clerk only looks whether somebody has come to know
of a limit, and writes nothing.
"""

import asyncio
import math
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from kasparro.errors import KasparroError
from kasparro.model.rate import RateLimit
from kasparro.resilience.budget_book import AHEAD, LONGEST_HOLD
from kasparro.resilience.budget_demand import Demand, Desk, strictest, within
from kasparro.resilience.budget_hand import Hand
from kasparro.resilience.budget_values import Ask, Grant, Report
from kasparro.resilience.rate_headers import Window
from kasparro.resilience.retry import Timing

OFTEN = 0.25
"""Seconds between two exchanges while there is a limit and requests are sent."""

SELDOM = 1.0
"""Likewise while nothing limits the budget, or no request is sent."""

IDLE = 5.0
"""Seconds without a request after which a process takes part no longer."""

_GAP = 0.03
_GAP_EMPTY = 0.1
"""Least seconds between two exchanges; and after one that brought nothing, or so long for each process that waits."""

_GAP_EACH = 0.02
_GAP_FAILED = 1.0

_TO_LEAVE = 2.0
"""Seconds for the last exchange: a database that is away does not keep a command from ending."""

_log = structlog.get_logger("kasparro.limits")


class Clerk:
    """`attend` while there are requests; `close` at the end.

    Args:
        key: Names the budget in the database.
        host: For the database and the log.
        desk: Keeps the book.
        demand: Read, and its sums begun anew with each exchange.
        timing: Clock and sleep.

    Attributes:
        hand: What the process holds.
        known: The book was looked at, and the process knows all that it must.
        hold: Nobody sends before this moment of our clock; `why`: who said so.
        places: Requests that may be under way; None is any number.
        next: When there will be permits, where there were none and that is known.
        failing: Since when the book was out of reach, and why.
        changed: Set with every change of these.
    """

    def __init__(self, key: str, host: str, desk: Desk, demand: Demand, timing: Timing) -> None:
        self._key, self._host, self._desk, self._demand, self._timing = key, host, desk, demand, timing
        self.hand = Hand()
        self.known = False
        self.hold, self.why = 0.0, ""
        self.places: int | None = None
        self.next: float | None = None
        self.failing: tuple[float, KasparroError] | None = None
        self.changed, self._needed = asyncio.Event(), asyncio.Event()
        self._holder = uuid.uuid4().hex
        self._declared: dict[str, RateLimit] = {}
        self._reports: dict[str, Report] = {}
        self._joined = self._hold_news = self._in_vain = False
        self._closing = asyncio.Event()
        self._rate, self._crowd, self._last = 0.0, 1, -math.inf
        self._seen: tuple[float, float] | None = None
        self._task: asyncio.Task[None] | None = None

    def declare(self, source: str, limit: RateLimit) -> None:
        """A source keeps this limit here."""
        if (limit.rates or limit.concurrency is not None) and self._declared.get(source) != limit:
            self._declared[source] = limit
            self.known = False

    def attend(self) -> None:
        """Begin to work, or go on. What nobody foresaw is raised where a request waits, not lost in the background."""
        if self._task is not None and self._task.done():
            self._task.result()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tend())

    def need(self) -> None:
        """Something is missing: exchange as soon as may be."""
        self._needed.set()

    def hear(self, window: Window, sent: float) -> None:
        """An answer has told of a limit. One that is new must be in the book before the next request is sent."""
        if window.reset is None and window.span is None:
            return
        self._reports[window.name] = Report(window=window, sent=sent, heard=self._timing.clock())
        if f"learned {window.name}" not in self.hand.spans:
            self.known = False
            self.need()

    def hold_for(self, seconds: float, why: str) -> None:
        """Nobody who shares the budget is to send anything for so long."""
        until = self._timing.clock() + min(seconds, LONGEST_HOLD)
        if until > self.hold:
            self.hold, self.why, self._hold_news = until, why, True
            self.need()

    async def close(self) -> None:
        """Tell what others must know, and give everything back."""
        self._closing.set()
        self._needed.set()
        if self._task is not None:
            # An exchange under way is not broken off: then nobody would know what the book says.
            _, hanging = await asyncio.wait({self._task}, timeout=_TO_LEAVE)
            for task in hanging:
                task.cancel()
                await asyncio.wait({task}, timeout=_TO_LEAVE)
        if self._hold_news or self._news():
            with suppress(TimeoutError):
                async with asyncio.timeout(_TO_LEAVE):
                    await self._exchanged()
        await self._leave()

    async def _tend(self) -> None:
        while not self._closing.is_set():
            limited = bool(self.hand.spans) or self.places is not None
            busy = self._demand.waiting > 0 or self._demand.sent > 0
            await within(self._needed, OFTEN if limited and busy else SELDOM, self._timing)
            now = self._timing.clock()
            if not self._demand.flying and not self._demand.waiting and now - self._demand.latest > IDLE:
                await self._leave()
                return
            if now - self._last < self._gap() and not self._closing.is_set():
                await self._timing.sleep(self._last + self._gap() - now)
            if self._closing.is_set():
                return
            self._needed.clear()
            await self._exchanged()
            self.changed.set()

    def _gap(self) -> float:
        if self.failing is not None:
            return _GAP_FAILED
        if not self._in_vain:
            return _GAP
        least = max(_GAP_EMPTY, _GAP_EACH * self._crowd)
        return least if self.next is None else max(min(self.next - AHEAD - self._last, OFTEN), least)

    async def _exchanged(self) -> None:
        """Look, or exchange. What fails is tried again; meanwhile a host of which no limit is known may be asked."""
        now = self._timing.clock()
        try:
            if self._has_to_join() or await self._desk.look(self._key):
                if not self.hand.acquainted:
                    await self._exchange(now, news=False)  # moments cannot be told before its clock is known
                await self._exchange(now)
            self.known, self.failing = not self._news(), None
        except KasparroError as error:
            self._lose(error)
        self._last = self._timing.clock()

    def _has_to_join(self) -> bool:
        return self._joined or bool(self._declared) or bool(self._reports) or self._hold_news

    def _news(self) -> bool:
        """Tell whether a limit was heard of that is not in the book yet."""
        return any(f"learned {name}" not in self.hand.spans for name in self._reports)

    async def _exchange(self, now: float, *, news: bool = True) -> None:
        if self.hand.lapsed(now):
            self._begin_anew()
        reports: dict[str, Report] = {}
        if news:
            reports, self._reports = self._reports, {}
        hold = self.hold if news and self._hold_news else None
        ask = self._ask(now, reports, hold)
        self._joined = True
        grant = await self._settled(ask)
        received = self._timing.clock()
        self._seen = (grant.now, received)
        self.hand.receive(grant, now, received)
        self._hold_news = self._hold_news and hold != self.hold
        self._in_vain = ask.want > 0 and not grant.permits
        if grant.hold > grant.now and self.hand.local(grant.hold) > self.hold:
            self.hold, self.why = self.hand.local(grant.hold), grant.why
        self.places, self._crowd = grant.places, grant.crowd
        self.next = None if grant.next_at is None else self.hand.local(grant.next_at)

    async def _settled(self, ask: Ask) -> Grant:
        """Exchange. Meanwhile no request takes a place that the process has just said it does not use."""
        before = self.places
        self.places = None if before is None else min(before, self._demand.flying)
        try:
            return await self._desk.settle(self._key, self._host, ask, self._expected)
        except BaseException:
            self.places = before
            raise

    def _ask(self, now: float, reports: Mapping[str, Report], hold: float | None) -> Ask:
        demand = self._demand
        elapsed = min(max(now - self._last, OFTEN), SELDOM)
        self._rate = max(demand.sent / elapsed, self._rate / 2)
        soon = demand.waiting + math.ceil(self._rate * OFTEN * 1.25)
        keep = soon + (1 if self._crowd > 1 else 8)
        want = max(keep - self.hand.size(), 0) if soon else 0
        self.hand.spare(keep if soon else 0)
        ask = Ask(
            holder=self._holder,
            want=want,
            back=self.hand.collect(),
            rates=strictest(self._declared.values()),
            concurrency=min(
                (x.concurrency for x in self._declared.values() if x.concurrency is not None), default=None
            ),
            reports=tuple(self._dated(one) for one in reports.values()),
            hold=None if hold is None else (self.hand.moment(hold), self.why),
            places=max(demand.peak, demand.waiting + demand.flying),
            busy=demand.flying,
        )
        demand.sent, demand.peak = 0, 0
        return ask

    def _dated(self, report: Report) -> Report:
        return replace(report, sent=self.hand.earliest(report.sent), heard=self.hand.moment(report.heard))

    def _expected(self) -> float | None:
        """Return what the clock of the book should show now."""
        return None if self._seen is None else self._seen[0] + self._timing.clock() - self._seen[1]

    def _lose(self, error: KasparroError) -> None:
        """The book is out of reach: what became of the exchange is not known, so the next is that of a new process."""
        if self.failing is None:
            _log.warning("rate limits are not shared for now", host=self._host, reason=error.message)
            self.failing = (self._timing.clock(), error)
        self._begin_anew()
        if not self._declared and not self.hand.spans:
            self.known = True  # nobody has declared anything: a database that is away is no reason to wait

    def _begin_anew(self) -> None:
        self.hand.disown()
        self._holder = uuid.uuid4().hex

    async def _leave(self) -> None:
        if self._joined and self.failing is None:
            self.hand.spare(0)
            ask = Ask(holder=self._holder, back=self.hand.collect(), leaving=True)
            try:
                async with asyncio.timeout(_TO_LEAVE):
                    await self._desk.settle(self._key, self._host, ask, self._expected)
            except (KasparroError, TimeoutError) as error:
                _log.debug("permits come back when their lease ends", host=self._host, reason=str(error))
        self.hand.disown()
        self.hand = Hand()
        self._joined = self.known = False
        self._holder, self._seen, self.places, self.next = uuid.uuid4().hex, None, None, None
