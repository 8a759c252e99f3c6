"""The book of one budget: who may send how many requests when. Pure; `store/budgets.py` keeps it in the database.

A limit of N requests in W seconds is N permits. A permit is used by one request, and is there again W seconds after
that request reached the provider. Processes take permits that are there, or will be soon, several at a time, and give
each back with the moment from which it holds again: used ones, and those that they did not need. Moments are those of
the clock of the book, which is the database's clock, without its jumps.
"""

import math
from functools import partial

from kasparro.model.rate import LONGEST, MOST
from kasparro.resilience.budget_learning import learn
from kasparro.resilience.budget_permits import Pool, Run, give, soon, take, total
from kasparro.resilience.budget_values import Ask, Book, Grant, Holder

LEASE = 5.0
"""Seconds after which a process that has not been heard of has lost what it took."""

AHEAD = 0.6
"""Seconds before it holds that a permit may be taken, so that nobody asks in vain shortly before."""

LONGEST_HOLD = 7 * 86_400.0
"""Seconds of the longest `Retry-After` that is taken for a wait; one that asks for more is taken for none."""

_JUMP = 1.0
"""Seconds by which the database's clock may be ahead of what a process expects."""


def settle(book: Book, ask: Ask, wall: float, expected: float | None = None) -> Grant:
    """Write down what a process tells, and return what it is given.

    Args:
        book: Changed in place.
        ask: Of one process.
        wall: What the database's clock shows.
        expected: What the clock of the book should show, by the clock of the process since it last asked.
    """
    now = _time(book, wall, expected)
    _expire(book, now)
    known = ask.holder in book.holders
    mine = book.holders.setdefault(ask.holder, Holder(until=now))
    mine.until = now + LEASE
    mine.rates = {str(rate.seconds): rate.count for rate in ask.rates}
    mine.concurrency = ask.concurrency
    _declare(book, now)
    if known:  # of one whose lease had ended, all was taken back already
        _take_back(book, mine, ask, now)
    for report in ask.reports:
        learn(book.pools, report, now, partial(_held, book))
    if ask.hold is not None and ask.hold[0] > book.hold:
        book.hold, book.why = min(ask.hold[0], now + LONGEST_HOLD), ask.hold[1]
    _balance(book, now)
    if ask.leaving:
        _leave(book, ask.holder, now)
        return Grant(now=now)
    mine.wants = ask.want > 0
    return _granted(book, mine, ask, now)


def _time(book: Book, wall: float, expected: float | None) -> float:
    """Return the moment: it never goes back, and a jump ahead that a process has noticed is taken out."""
    now = wall - book.offset
    if expected is not None and now > expected + _JUMP:
        now = expected
    now = max(now, book.seen)
    book.seen, book.offset = now, wall - now
    return now


def _expire(book: Book, now: float) -> None:
    """Take back what belonged to processes that were not heard of: they may have used it until their lease ended."""
    for name in [name for name, one in book.holders.items() if one.until < now]:
        gone = book.holders.pop(name)
        for pool_name, count in gone.held.items():
            pool = book.pools.get(pool_name)
            if pool is not None:
                give(pool, gone.until + pool.span, count, now)


def _leave(book: Book, name: str, now: float) -> None:
    gone = book.holders.pop(name)
    for pool_name, count in gone.held.items():
        pool = book.pools.get(pool_name)
        if pool is not None:
            give(pool, now + pool.span, count, now)


def _declare(book: Book, now: float) -> None:
    """Have a pool for each span that a source declares: the strictest holds. One that nobody declares ends."""
    strictest: dict[str, int] = {}
    for one in book.holders.values():
        for written, count in one.rates.items():
            strictest[written] = min(count, strictest.get(written, MOST))
    for written, most in strictest.items():
        span = float(written)
        pool = book.pools.setdefault(f"declared {written}", Pool(count=most, span=span))
        pool.count, pool.until = most, now + span + LEASE
    for name in [name for name, pool in book.pools.items() if pool.until < now]:
        del book.pools[name]
        for one in book.holders.values():
            one.held.pop(name, None)


def _take_back(book: Book, mine: Holder, ask: Ask, now: float) -> None:
    for name, runs in ask.back.items():
        pool = book.pools.get(name)
        for at, count in runs:
            kept = min(count, mine.held.get(name, 0))
            if pool is not None and kept:
                mine.held[name] -= kept
                # No clock may put a permit further away than a limit, and the slowest answer, can.
                latest = now + (LONGEST if pool.learned else 1.1 * pool.span + 1)
                give(pool, min(at, latest), kept, now)


def _balance(book: Book, now: float) -> None:
    """Have as many permits as the limit says, free and held together."""
    for name, pool in book.pools.items():
        missing = pool.count - _held(book, name) - total(pool)
        if missing > 0:
            give(pool, now, missing, now)
        elif missing < 0:
            take(pool, min(-missing, total(pool)), math.inf)


def _held(book: Book, name: str) -> int:
    return sum(one.held.get(name, 0) for one in book.holders.values())


def _granted(book: Book, mine: Holder, ask: Ask, now: float) -> Grant:
    crowd = max(sum(one.wants for one in book.holders.values()), 1)
    spans = {name: pool.span for name, pool in book.pools.items()}
    most = ask.want if book.hold <= now + AHEAD else 0
    for pool in book.pools.values():
        there = soon(pool, now + AHEAD)
        most = min(most, there, max(math.ceil(there / crowd), 1))
    permits: dict[str, tuple[Run, ...]] = {}
    if most > 0:
        for name, pool in book.pools.items():
            permits[name] = take(pool, most, now + AHEAD)
            mine.held[name] = mine.held.get(name, 0) + most
    return Grant(
        now=now,
        permits=permits,
        spans=spans,
        hold=book.hold,
        why=book.why,
        next_at=_next(book) if ask.want and not most else None,
        places=_places(book, mine, ask),
        crowd=crowd,
    )


def _next(book: Book) -> float | None:
    """Return when each pool will have a permit; None where one has all of them lent."""
    firsts = [pool.free[0][0] if pool.free else None for pool in book.pools.values()]
    known = [first for first in firsts if first is not None]
    return max(known) if known and len(known) == len(firsts) else None


def _places(book: Book, mine: Holder, ask: Ask) -> int | None:
    """Return how many requests the process may have under way; its share, where others wait for a place."""
    declared = [one.concurrency for one in book.holders.values() if one.concurrency is not None]
    if not declared:
        mine.places, mine.wants_place = 0, False
        return None
    others = [one for one in book.holders.values() if one is not mine]
    limit, waiting = min(declared), any(one.wants_place for one in others)
    share = limit // (1 + sum(one.places > 0 or one.wants_place for one in others))
    if waiting and share == 0:
        wish = 0 if mine.places else min(ask.places, 1)  # fewer places than processes: they go round
    else:
        wish = min(ask.places, share) if waiting else ask.places
    given = max(min(wish, limit - sum(one.places for one in others)), 0)
    mine.places = max(given, ask.busy)  # what is under way cannot be taken back
    mine.wants_place = ask.places > given
    return given
