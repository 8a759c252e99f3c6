"""Rules for each field of a run: null share, distinct values, distribution of its numbers.

What lies within the floor of the usual value is sound and is not looked at again; only what is left is held against
weekdays, hours and trends. That is what keeps fifty fields fast.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kasparro.judge.columns import Columns, Distribution, columns_of, distribution_of
from kasparro.judge.measures import Steadied, arcs, from_arc, from_log, logs, steadied
from kasparro.judge.ranges import KNOWN_TAIL, LASTING, ranges
from kasparro.judge.robust import Floats, counts, medians
from kasparro.judge.seasons import Calendar, calendar_of
from kasparro.judge.shares import BY_CHANCE, high_share, low_share
from kasparro.judge.wording import number, share
from kasparro.model.facts import RunFacts
from kasparro.model.finding import Finding, Severity

NEWEST = 60
"""Runs that fields are compared with: the last ones that had records."""

GROSS = 10.0
NULL_FLOOR, CLUSTER_FLOOR = 0.12, 0.3
"""Half of a range, as arcsine: from 0 to 1.4 %, from 10 to 18 %, from 50 to 62 %.

The second, from 0 to 8.7 %, is for fields that are null in some runs and in most are not: such nulls come in clusters,
and the next one may be larger.
"""

DISTINCT_FLOOR, MIDDLE_FLOOR, CONSTANT_FLOOR, SPREAD_FLOOR = 0.05, 0.12, 0.3, 0.4
"""Logarithm; usual spreads; the same for a field that was one constant; logarithm."""

WORTH = 10
"""Records with a value that tell something of distinct values and quantiles."""

HALF, STUCK, WORTH_A_VALUE = 0.5, 0.05, 50
"""Few different numbers are stuck when their inner half used to spread by half of the whole, now by nothing, and there
are so many of them that this is not chance."""

NULLS, DISTINCT, MIDDLE, SPREAD = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One number of one field that lies outside of its range.

    Attributes:
        field: Row of the field.
        records: Of the run that the field's facts were told from.
        values: Those of them that are not null.
        value: As it was compared; `low`, `usual` and `high` likewise.
        basis: What the range was told from, such as `14 earlier Mondays`.
    """

    field: int
    records: float
    values: float
    value: float
    low: float
    usual: float
    high: float
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """All that the rules look at."""

    columns: Columns
    distinct: Steadied
    distribution: Distribution


def comparable(history: Sequence[RunFacts]) -> Sequence[RunFacts]:
    """Return the runs that fields are compared with."""
    return [one for one in history if one.records > 0 and one.fields][-NEWEST:]


def judge_fields(history: Sequence[RunFacts], run: RunFacts, checks: int) -> tuple[Finding, ...]:
    """Return what is odd about the fields of a run that has records, at most two findings for a field.

    Args:
        history: Comparable runs, oldest first.
        run: The run that is judged.
        checks: Numbers that are checked of the run.
    """
    columns = columns_of(history, run)
    worth = np.where(columns.records * (1 - columns.nulls) >= WORTH, columns.records * (1 - columns.nulls), np.nan)
    looked = Looked(
        columns=columns,
        distinct=steadied(logs(np.where(np.isnan(worth), np.nan, columns.distinct)), logs(worth)),
        distribution=distribution_of(columns),
    )
    calendar = calendar_of(history, run.started_at)
    found: dict[tuple[int, str], Finding] = {}
    for rule, suspect in _suspects(looked, calendar, checks):
        finding = _RULES[rule](looked, suspect)
        if finding is not None:
            found.setdefault((suspect.field, finding.kind.split("_")[0]), finding)
    return tuple(one for key, one in found.items() if not _told_already(key, found))


def _told_already(key: tuple[int, str], found: dict[tuple[int, str], Finding]) -> bool:
    """Tell whether a field that is stuck, or almost empty, was named as such already."""
    field, topic = key
    return topic == "distribution" and (field, "distinct") in found and found[key].severity != "critical"


def _suspects(looked: Looked, calendar: Calendar, checks: int) -> Iterator[tuple[int, Suspect]]:
    """Yield the numbers outside of their ranges, with their rule."""
    columns, distribution = looked.columns, looked.distribution
    fields = len(columns.names)
    series = np.concatenate(
        [
            arcs(columns.nulls),
            looked.distinct.values,
            _worthy(looked, distribution.middle),
            _worthy(looked, distribution.spread),
        ]
    )
    floor = np.concatenate(_floors(looked))
    usual = medians(series[:, :-1])
    less, more = looked.distinct.slack()
    with np.errstate(all="ignore"):
        rows = np.flatnonzero(np.abs(series[:, -1] - usual) > floor)
    if not rows.size:
        return
    found = ranges(series[rows, :-1], calendar, floor[rows], checks)
    for place, row in enumerate(rows):
        rule, field = divmod(int(row), fields)
        suspect = Suspect(
            field=field,
            records=float(columns.records[field, -1]),
            values=float(columns.records[field, -1] * (1 - columns.nulls[field, -1])),
            value=float(series[row, -1]),
            low=float(found.low[place]) + (float(less[field]) if rule == DISTINCT else 0.0),
            usual=float(found.usual[place]),
            high=float(found.high[place]) + (float(more[field]) if rule == DISTINCT else 0.0),
            basis=f"{found.like[place]} earlier {calendar.seasons[found.season[place]].name}",
        )
        if suspect.value < suspect.low or suspect.value > suspect.high:
            yield rule, suspect


def _worthy(looked: Looked, values: Floats) -> Floats:
    """Leave out what was told from a handful of records."""
    few = ~(looked.columns.records * (1 - looked.columns.nulls) >= WORTH)
    return np.where(few, np.nan, values)


def _floors(looked: Looked) -> list[Floats]:
    columns, distribution = looked.columns, looked.distribution
    values = np.maximum(columns.records[:, -1] * (1 - columns.nulls[:, -1]), 1.0)
    usual = np.maximum(medians(columns.distinct[:, :-1]), 1.0)
    constant = np.isnan(distribution.spread).all(axis=1)
    return [
        np.where(_clustered(columns.nulls[:, :-1]), CLUSTER_FLOOR, NULL_FLOOR),
        DISTINCT_FLOOR + 1 / np.sqrt(usual) + 1 / np.sqrt(values),
        np.where(constant, CONSTANT_FLOOR, MIDDLE_FLOOR),
        SPREAD_FLOOR + BY_CHANCE / np.sqrt(values),
    ]


def _clustered(nulls: Floats) -> npt.NDArray[np.bool_]:
    """Tell the fields that were null in at least two runs but in fewer than half; the last runs may be one fault.

    What few runs never had may still be of this sort.
    """
    now_and_then = (medians(nulls) == 0) & (np.count_nonzero(nulls[:, :-LASTING] > 0, axis=1) > 1)
    return np.asarray(now_and_then | (counts(nulls) < KNOWN_TAIL))


def _nulls(looked: Looked, suspect: Suspect) -> Finding | None:
    columns = looked.columns
    seen, usual = float(columns.nulls[suspect.field, -1]), from_arc(suspect.usual)
    before = float(np.nansum(columns.records[suspect.field, :-1]))
    low, high = from_arc(suspect.low), from_arc(suspect.high)
    top = high_share(seen, usual, high, suspect.records, before)
    bottom = low_share(seen, usual, low, suspect.records, before)
    if top is None and bottom is None:
        return None
    low, high = (low, top) if top is not None else (bottom or 0.0, high)
    name = columns.names[suspect.field]
    severity: Severity = "critical" if seen >= 0.999 and usual < 0.9 else "warning"  # noqa: PLR2004 - all, and not most
    return Finding(
        kind="null_share_high" if top is not None else "null_share_low",
        severity=severity if top is not None else "info",
        subject=name,
        message=f"`{name}` is null in {share(seen)} of {number(suspect.records)} records; from {suspect.basis} "
        f"{share(low)} to {share(high)} were to be expected.",
        expected={"low": low, "high": high},
        observed=seen,
    )


def _distinct(looked: Looked, suspect: Suspect) -> Finding:
    columns, field = looked.columns, suspect.field
    size = float(looked.distinct.power[field] * looked.distinct.size[field, -1])
    low, usual, high = (from_log(one + size) for one in (suspect.low, suspect.usual, suspect.high))
    seen = float(columns.distinct[field, -1])
    name = columns.names[field]
    return Finding(
        kind="distinct_high" if suspect.value > suspect.high else "distinct_low",
        severity="critical" if not usual / GROSS <= seen <= usual * GROSS else "warning",
        subject=name,
        message=f"`{name}` has about {number(round(seen))} different values in {number(suspect.records)} records; "
        f"from {suspect.basis} {number(round(low))} to {number(round(high))} were to be expected.",
        expected={"low": low, "high": high},
        observed=seen,
    )


def _middle(looked: Looked, suspect: Suspect) -> Finding | None:
    distribution, field = looked.distribution, suspect.field
    low, high = _reached_by_chance(distribution, suspect)
    if low <= suspect.value <= high:
        return None
    bounds = {"low": distribution.value(low, field), "high": distribution.value(high, field)}
    seen = distribution.value(suspect.value, field)
    moved = abs(suspect.value - suspect.usual) * float(distribution.unit[field])
    name = looked.columns.names[field]
    return Finding(
        kind="distribution_shifted",
        severity="critical" if distribution.logarithmic[field] and moved >= math.log(GROSS) else "warning",
        subject=name,
        message=f"The median of `{name}` is {number(seen)}; from {suspect.basis} {number(bounds['low'])} to "
        f"{number(bounds['high'])} were to be expected.",
        expected=bounds,
        observed=seen,
        facts={"of": "median"},
    )


def _reached_by_chance(distribution: Distribution, suspect: Suspect) -> tuple[float, float]:
    """Return the range with the medians that a sample of this size may have.

    The rank of a median varies by half of the root of the records, and the usual quantiles tell where such ranks lie.
    With few different numbers it may jump to the next one.
    """
    usual = distribution.usual[suspect.field]
    if np.isnan(usual).any():
        return suspect.low, suspect.high
    step = BY_CHANCE * 0.5 / math.sqrt(max(suspect.values, 1.0))
    step = max(step, 0.25) if distribution.coarse[suspect.field] else step
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    return (
        min(suspect.low, float(np.interp(0.5 - step, levels, usual))),
        max(suspect.high, float(np.interp(0.5 + step, levels, usual))),
    )


def _spread(looked: Looked, suspect: Suspect) -> Finding | None:
    distribution, field = looked.distribution, suspect.field
    times, low, high = (max(from_log(one) - 0.05, 0.0) for one in (suspect.value, suspect.low, suspect.high))
    usual = distribution.usual[field]
    if distribution.coarse[field]:
        apart = usual[3] - usual[1] >= HALF and suspect.values >= WORTH_A_VALUE
        low, high = min(low, STUCK if apart else 0.0), max(high, 3.0)
        if low <= times <= high:
            return None
    name = looked.columns.names[field]
    return Finding(
        kind="distribution_shifted",
        severity="critical" if times > GROSS else "warning",
        subject=name,
        message=f"The numbers of `{name}` spread {number(times)} times as far as usual; from {suspect.basis} "
        f"{number(low)} to {number(high)} times were to be expected.",
        expected={"low": low, "high": high},
        observed=times,
        facts={"of": "spread"},
    )


_RULES = {NULLS: _nulls, DISTINCT: _distinct, MIDDLE: _middle, SPREAD: _spread}
