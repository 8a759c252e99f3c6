"""A run without records: a fault for one source, an ordinary day for another.

No spread tells them apart, so it is asked whether the source was ever empty, whether its weekdays and hours explain
when it was, and for how many runs in a row.
"""

import numpy as np

from kasparro.judge.ranges import ENOUGH
from kasparro.judge.robust import Floats
from kasparro.judge.seasons import LIKE, Calendar, Season
from kasparro.judge.wording import number
from kasparro.model.finding import Finding, Severity

SOME, MANY = 10, 20
"""Records that each of enough earlier runs, or each of very few, had at least."""

FEW_RUNS, SOME_RUNS = 3, 20
ALIKE = 3.0
"""The most over the fewest records of a very short history that says anything."""

RARE = 0.02
"""Share of earlier empty runs that may have been faults themselves."""

OFTEN = 0.1
"""Share of earlier empty runs from which on weekdays and hours may explain them."""

IMPROBABLE = 1e-4
"""Chance of so many empty runs in a row, if each were empty by itself, from which on that is odd."""


def empty_finding(records: Floats, calendar: Calendar, low: float, high: float) -> Finding | None:
    """Return what is odd about an empty run.

    Args:
        records: Of the earlier runs, oldest first.
        calendar: When those were.
        low: Fewest records to be expected, NaN where that is not known.
        high: Most records.
    """
    streak = _streak(records)
    before = records[: len(records) - streak]
    before = before[~np.isnan(before)]
    if _never_empty(before, low):
        some = before[before > 0]
        bounds = (low, high) if low >= 1 else (float(some.min()), float(some.max()))
        return _finding("critical", bounds, f"from {len(before)} earlier runs", streak)
    for season in calendar.seasons[1:]:
        own = _own_when_explained(records, season)
        if own is not None:
            bounds = (float(own.min()), float(own.max()))
            return _finding("critical", bounds, f"from {len(own)} earlier {season.name}", streak)
    return long_silence(records)


def _never_empty(before: Floats, low: float) -> bool:
    zeros = int(np.sum(before == 0))
    if len(before) - zeros < ENOUGH:
        alike = len(before) >= FEW_RUNS and before.min() >= MANY and before.max() <= ALIKE * before.min()
        return bool(alike)
    if zeros == 0:
        return low >= 1 or (len(before) >= SOME_RUNS and float(before.min()) >= SOME)
    return zeros <= max(1, RARE * len(before)) and len(before) >= SOME_RUNS and low >= SOME


def _own_when_explained(records: Floats, season: Season) -> Floats | None:
    """Return the records of the runs that are like this one when each group of runs is always, or never, empty."""
    if not float(np.mean(records == 0)) >= OFTEN:
        return None
    mixed = 0
    for label in np.unique(season.labels):
        group = records[season.labels == label]
        zeros = int(np.sum(group == 0))
        mixed += min(zeros, len(group) - zeros)
    own: Floats = records[season.labels == 0]
    if mixed > RARE * len(records) or len(own) < LIKE or not float(own.min()) >= SOME / 2:
        return None
    return own


def long_silence(records: Floats) -> Finding | None:
    """Return whether an empty run makes the longest silence of a source that is often empty far longer than ever."""
    streak = _streak(records)
    before = records[: len(records) - streak]
    zeros = before == 0
    if len(before) < SOME_RUNS or not np.any(zeros):
        return None
    longest, current = 0, 0
    for zero in zeros:
        current = current + 1 if zero else 0
        longest = max(longest, current)
    now = streak + 1
    if float(np.mean(zeros)) ** now > IMPROBABLE or now < 2 * longest + 2:
        return None
    return Finding(
        kind="row_count_zero",
        severity="warning",
        subject="run",
        message=f"The last {now} runs read no records; from {len(before)} earlier runs at most {longest} in a row "
        "were to be expected.",
        expected={"low": 0, "high": longest},
        observed=now,
        facts={"runs_in_a_row": now},
    )


def _streak(records: Floats) -> int:
    """Return how many runs at the end of the history were empty."""
    some = np.flatnonzero(records != 0)
    return len(records) - (int(some[-1]) + 1 if some.size else 0)


def _finding(severity: Severity, bounds: tuple[float, float], basis: str, streak: int) -> Finding:
    low, high = (round(one) for one in bounds)
    return Finding(
        kind="row_count_zero",
        severity=severity,
        subject="run",
        message=f"The run read no records; {basis} {number(low)} to {number(high)} were to be expected.",
        expected={"low": low, "high": high},
        observed=0,
        facts={"runs_in_a_row": streak + 1},
    )
