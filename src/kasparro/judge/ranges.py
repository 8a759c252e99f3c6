"""The range in which the next number of a series is to be expected, told from the numbers before it.

Each series is explained in a few ways: one level, a level for each weekday or hour, each with or without a trend. The
way that leaves the smallest rests is taken, a plainer one unless another is clearly better. The range is as wide as
those rests ask for: their robust spread times what Student's t allows for the number of runs, but no more than about
twice the farthest rest that is not alone, which keeps a history with light tails sharp.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kasparro.judge.robust import Floats, counts, largest, medians, sigmas, student
from kasparro.judge.seasons import LIKE, Calendar, Season

ENOUGH = 7
"""Comparable runs without which no range is told."""

CHANCE = 0.0002
"""That a sound run leaves a range, over all checks of the run together."""

BETTER = 0.8
"""A way to explain a series is taken instead of a plainer one when its rests are smaller by this."""

RECENT = 7
"""Runs whose level is as good as that of the whole history: four of them make a new level the usual one."""

FAR = 2.5
"""How often the farthest rest may be exceeded."""

KNOWN_TAIL, YOUNG = 20, 1.6
"""Runs from which on the farthest rest is known well enough for that, and how much more is allowed with the fewest."""

SEEN, LASTING = 1.5, 3
"""What was seen before may be exceeded by so much; the last runs do not count, or a fault that lasts would be usual."""

SIGMA_OF_MEDIAN = 1.57
"""Variance of a median of m numbers, in variances of one of them over m: pi / 2."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """What is to be expected of each series; NaN where the history is too short.

    Attributes:
        usual: The middle.
        low: The lowest that is not odd.
        high: The highest that is not odd.
        sigma: Robust spread of the history about what explains it.
        season: Which season of the calendar explains it.
        like: Earlier runs of that season that have a number.
    """

    usual: Floats
    low: Floats
    high: Floats
    sigma: Floats
    season: Indices
    like: Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """One way to explain the series: what it expects now, and what it leaves of each earlier number."""

    usual: Floats
    rests: Floats
    size: Floats
    stretch: Floats
    like: Indices


def ranges(series: Floats, calendar: Calendar, floor: Floats, checks: int) -> Ranges:
    """Return the ranges of the next numbers.

    Args:
        series: One row for each, one column for each earlier run, oldest first; NaN where a run says nothing.
        calendar: When those runs were.
        floor: Half of a range at least, for each series: what no one would call a difference.
        checks: Numbers that are checked of the run as a whole: the more, the wider each range.
    """
    way, season = _best(series, calendar)
    have = counts(series)
    sigma = sigmas(way.rests) * way.stretch
    up = _reach(way.rests, sigma, have, checks) * way.stretch
    down = _reach(-way.rests, sigma, have, checks) * way.stretch
    recent = way.rests[:, -RECENT:]
    drift = np.where(counts(recent) > RECENT // 2, medians(recent), 0.0)
    drift = np.where(np.isnan(drift), 0.0, drift)
    known = have >= ENOUGH
    return Ranges(
        usual=np.where(known, way.usual, np.nan),
        low=np.where(known, way.usual + np.minimum(drift, 0) - np.maximum(down, floor), np.nan),
        high=np.where(known, way.usual + np.maximum(drift, 0) + np.maximum(up, floor), np.nan),
        sigma=sigma,
        season=season,
        like=way.like,
    )


def _best(series: Floats, calendar: Calendar) -> tuple[_Way, Indices]:
    """Return for each series the way that explains it, put together row by row, and the season that it has."""
    ways: list[tuple[int, _Way]] = []
    for index, season in enumerate(calendar.seasons):
        level = _level(series, season)
        ways.append((index, level))
        ways.append((index, _with_trend(level, calendar.days)))
    best, chosen = ways[0][1], np.zeros(len(series), dtype=np.int64)
    for index, way in ways[1:]:
        taken = way.size < best.size * BETTER
        best = _Way(
            usual=np.where(taken, way.usual, best.usual),
            rests=np.where(taken[:, None], way.rests, best.rests),
            size=np.where(taken, way.size, best.size),
            stretch=np.where(taken, way.stretch, best.stretch),
            like=np.where(taken, way.like, best.like),
        )
        chosen = np.where(taken, index, chosen)
    return best, chosen


def _level(series: Floats, season: Season) -> _Way:
    """Explain each series by the median of each group of runs that are alike."""
    have = counts(series)
    whole = medians(series)
    labels, members = np.unique(season.labels, return_inverse=True)
    table = _members(members, len(labels))
    padded = np.concatenate([series, np.full((len(series), 1), np.nan)], axis=1)[:, table]
    sizes = counts(padded)
    levels = np.where(sizes >= LIKE - 1, medians(padded), whole[:, None])
    own = int(np.searchsorted(labels, 0))
    like = sizes[:, own] if own < len(labels) and labels[own] == 0 else np.zeros(len(series), dtype=np.int64)
    usual = levels[:, min(own, len(labels) - 1)]
    rests = series - levels[:, members]
    share = have / np.maximum(np.sum(sizes > 0, axis=1), 1)
    stretch = np.sqrt((share + 1) / np.maximum(share - 1, 0.5)) * np.sqrt(1 + SIGMA_OF_MEDIAN / np.maximum(like, 1))
    size = np.where(like >= LIKE, _size(rests) * stretch, np.inf)
    return _Way(usual=usual, rests=rests, size=size, stretch=stretch, like=like)


def _members(groups: Indices, total: int) -> Indices:
    """Return a table with the columns of each group in a row, filled up with -1, the column without numbers."""
    sizes = np.bincount(groups, minlength=total)
    order = np.argsort(groups, kind="stable")
    place = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    table = np.full((total, int(sizes.max(initial=1))), -1, dtype=np.int64)
    table[groups[order], place] = order
    return table


def _with_trend(level: _Way, days: Floats) -> _Way:
    """Explain what a level leaves by a resistant line: through the medians of the first and the last third.

    After Tukey, Exploratory Data Analysis, 1977. The line is drawn on to the start of the run, at day 0.
    """
    third = len(days) // 3
    if third < LIKE:
        return level
    first, last = level.rests[:, :third], level.rests[:, -third:]
    span = float(np.median(days[-third:]) - np.median(days[:third]))
    enough = (counts(first) >= LIKE - 1) & (counts(last) >= LIKE - 1)
    slope = np.where(enough, (medians(last) - medians(first)) / max(span, 1e-9), 0.0)
    bent = level.rests - slope[:, None] * days
    middle = medians(bent)
    rests = bent - middle[:, None]
    size = np.where(enough & np.isfinite(level.size), _size(rests) * level.stretch, np.inf)
    return _Way(usual=level.usual + middle, rests=rests, size=size, stretch=level.stretch, like=level.like)


def _size(rests: Floats) -> Floats:
    """Return the mean size of rests without the largest twentieth, which may be faults."""
    sizes = np.sort(np.abs(rests), axis=-1)
    have = counts(sizes)
    kept = np.ceil(have * 0.95)
    inside = np.arange(sizes.shape[-1]) < kept[:, None]
    return np.asarray(np.sum(np.where(inside, sizes, 0.0), axis=-1) / np.maximum(kept, 1), dtype=np.float64)


def _reach(rests: Floats, sigma: Floats, have: Indices, checks: int) -> Floats:
    """Return how far above the middle is still to be expected."""
    allowed = {int(n): student(CHANCE / (2 * checks), n / 2) for n in np.unique(have)}
    by_spread = sigma * np.array([allowed[int(n)] for n in have])
    unknown = np.clip(KNOWN_TAIL / np.maximum(have, 1), 1.0, YOUNG)
    farthest = largest(rests, 1 + have // 50)
    by_tail = FAR * unknown * np.maximum(farthest, np.where(unknown > 1, sigma, 0.0))
    seen = SEEN * np.maximum(largest(rests[:, :-LASTING], 2 + have // 100), 0.0)
    seen = np.where(have > ENOUGH + LASTING, seen, 0.0)
    return np.asarray(np.maximum(np.minimum(by_spread, by_tail), seen))
