"""What answers tell of a limit, made permits."""

import math
from collections.abc import Callable, MutableMapping

from kasparro.model.rate import LONGEST
from kasparro.resilience.budget_permits import Pool, give, soon, take
from kasparro.resilience.budget_values import Report
from kasparro.resilience.rate_headers import Window

_KEPT = 600.0
"""Seconds, at least, that a limit is remembered of which no answer tells any more."""

_FIRST = 2.0
"""Seconds after a limit was first heard of in which other processes may only just hear of it."""

_MOST_POOLS = 16
"""Limits of one budget: a provider that gives its limits another name each time fills no book."""

_ROUNDING = 0.05

_SHORT = 2.0
"""Seconds of a window for which one more would be too many."""

_ROUND = 5.0
"""Seconds of which windows are made up: one that seems a second short of that was told in seconds that were cut."""

_RESERVE = 0.04
_MOST_RESERVE = 2
"""Part of a learned limit, and most requests of it, that is left alone meanwhile: the first request of each process
counts before the process has heard of the limit."""


def learn(pools: MutableMapping[str, Pool], report: Report, now: float, held: Callable[[str], int]) -> None:
    """Take down what an answer told about a limit. `held`: permits that processes hold of a pool.

    Where the length of its window is not said, it is the longest time to a reset that was seen: for windows at fixed
    times no permit comes back before the reset then, and for those that slide a reset is a window away after a burst.
    """
    window = report.window
    if window.reset is None and window.span is None:
        return  # no permit could be given a moment to come back: `limits.py` heeds only that nothing is left
    name = f"learned {window.name}"
    pool = pools.get(name)
    limit = window.limit
    if limit is None:
        limit = max((window.remaining or 0) + 1, 1 if pool is None else pool.count)
    young = pool is None or now - pool.born < _FIRST
    reserve = min(int(limit * _RESERVE), _MOST_RESERVE) if young else 0
    limit -= reserve
    if pool is None and len(pools) >= _MOST_POOLS:
        return
    if pool is None:
        pool = pools[name] = Pool(count=limit, span=_span(window, 1.0), learned=True, born=now)
        left = limit if window.remaining is None else min(max(window.remaining - reserve, 0), limit)
        give(pool, now, left, now)
        give(pool, _reset_at(report, pool), limit - left, now)
    else:
        give(pool, report.sent, limit - pool.count, now)
        pool.count, pool.span = limit, _span(window, pool.span)
        # The first requests of several processes had no permits yet: what is held counts as left.
        _correct(pool, report, now, held(name) if young else 0)
    pool.until = now + max(2 * pool.span, _KEPT)


def _span(window: Window, known: float) -> float:
    if window.span is not None:
        return window.span
    reset = 0.0 if window.reset is None else window.reset
    if window.coarse:  # 9.3 s may be 10 that were cut; but 1.3 s are rather one that was rounded up
        seen = float(math.ceil(reset - _ROUNDING) if reset >= _SHORT else math.floor(reset + _ROUNDING))
    else:
        seen = reset + 1 if (reset + 1) % _ROUND == 0 else reset
    return min(max(seen, known, 1.0), LONGEST)


def _reset_at(report: Report, pool: Pool) -> float:
    return report.heard + report.window.back_in(pool.span)


def _correct(pool: Pool, report: Report, now: float, held: int) -> None:
    """Where fewer were left than we thought, somebody else uses the limit, too: the rest comes back with the reset.

    What came back while the answer was on its way is not known to it.
    """
    reset, left = _reset_at(report, pool), report.window.remaining
    if left is None or reset <= now:
        return
    there = soon(pool, report.sent)
    excess = min(there + held - left, there)
    if excess > 0:
        take(pool, excess, report.sent)
        give(pool, reset, excess, now)
