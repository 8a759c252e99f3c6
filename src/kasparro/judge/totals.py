"""Rules for a run as a whole: rows, bytes, seconds, rejects, age of the newest record."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kasparro.judge.empty import empty_finding, long_silence
from kasparro.judge.measures import (
    MINUTE,
    START,
    Measures,
    Steadied,
    arcs,
    from_arc,
    from_log,
    logs,
    measured,
    steadied,
)
from kasparro.judge.ranges import Ranges, ranges
from kasparro.judge.robust import Floats, medians
from kasparro.judge.seasons import Calendar
from kasparro.judge.shares import high_share
from kasparro.judge.wording import number, share, size, span
from kasparro.model.facts import RunFacts
from kasparro.model.finding import Finding, Severity

GROSS = 10.0
"""How many times more or less is critical."""

NUMBER_FLOOR, BYTES_FLOOR, SECONDS_FLOOR, AGE_FLOOR, REJECT_FLOOR = 0.1, 0.2, math.log(2), math.log(1.5), 0.08
"""Half of a range at least: logarithms, the last one as arcsine (0.08 is 0.6 % where there were none)."""

MANY_ZEROS = 0.1
"""Share of earlier runs without records from which on few records are nothing odd."""

STEADY = 0.05
"""Spread of the logarithm below which a source brings the same every time, however long ago its last run was."""

LATE, EARLY = 1.3, 0.75
"""Pauses, in usual ones, from which on more, or fewer, records are to be expected."""

NEW_TIME = math.log(5)
"""How much a weekend may differ from working days for a history that has no weekend, and an hour from others."""

UNVARYING = 0.005
"""Spread of the logarithm below which a source is a table that knows neither weekends nor nights."""

ROWS, BYTES, SECONDS, AGE, REJECTS = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the rules look at: columns, the ranges of the five measures, and how bytes and seconds were steadied."""

    columns: Measures
    found: Ranges
    effort: Steadied
    calendar: Calendar

    def basis(self, row: int) -> str:
        """Return what a range was told from."""
        return f"{self.found.like[row]} earlier {self.calendar.seasons[self.found.season[row]].name}"


def judge_totals(history: Sequence[RunFacts], run: RunFacts, calendar: Calendar, checks: int) -> tuple[Finding, ...]:
    """Return what is odd about the run as a whole, one finding of a kind."""
    totals = _totals(measured([*history, run]), calendar, checks)
    rows = _rows(totals)
    found = [rows, _rejects(totals), _stale(totals)]
    if rows is None:
        found += [_seconds(totals), _bytes(totals)]
    return tuple(one for one in found if one is not None)


def _totals(columns: Measures, calendar: Calendar, checks: int) -> Totals:
    some = np.where(columns.records > 0, columns.records, np.nan)
    effort = steadied(
        np.stack([np.where(np.isnan(some), np.nan, logs(columns.bytes_read)), logs(columns.seconds, START)]),
        np.stack([logs(some), logs(columns.records, 1.0)]),
    )
    series = np.stack(
        [logs(some), effort.values[0], effort.values[1], logs(columns.newest, MINUTE), arcs(columns.rejected / some)]
    )
    usual = from_log(medians(series[:1, :-1])[0])
    run_size = max(float(columns.records[-1]), 1.0) if np.isfinite(columns.records[-1]) else 1.0
    floor = np.array(
        [
            NUMBER_FLOOR + math.log1p(3 / max(usual, 1.0)) if np.isfinite(usual) else NUMBER_FLOOR,
            BYTES_FLOOR + 1.5 / math.sqrt(run_size),
            SECONDS_FLOOR,
            AGE_FLOOR,
            REJECT_FLOOR,
        ]
    )
    found = ranges(series[:, :-1], calendar, floor, checks)
    more = _gathered(series[ROWS, :-1], calendar)
    return Totals(columns=columns, found=_widened(found, calendar, effort, more), effort=effort, calendar=calendar)


def _gathered(rows: Floats, calendar: Calendar) -> float:
    """Return how many more records may have gathered in a pause, as a logarithm; 0 where none did in earlier ones."""
    if calendar.pause < LATE:
        return 0.0
    pauses = logs(np.where(calendar.pauses >= LATE, calendar.pauses, np.nan))
    after = rows[~np.isnan(pauses) & ~np.isnan(rows)] - medians(rows)
    if len(after) > 1 and float(np.median(after)) < 0.3 * float(np.nanmedian(pauses)):
        return 0.0
    return math.log(calendar.pause)


def _widened(found: Ranges, calendar: Calendar, effort: Steadied, gathered: float) -> Ranges:
    """Let a source bring what gathered in a pause, less soon after a run, something else on its first weekend or night.

    Bytes and seconds may follow the records, which are judged themselves; few records may take as long as usual.
    """
    low, high = found.low.copy(), found.high.copy()
    restless = found.sigma[ROWS] >= STEADY
    high[ROWS] += gathered
    if restless and calendar.pause <= EARLY:
        low[ROWS] += math.log(calendar.pause)
    if calendar.new_time and not found.sigma[ROWS] < UNVARYING:
        low[ROWS] -= NEW_TIME
        high[ROWS] += NEW_TIME
    less, more = effort.slack()
    low[[BYTES, SECONDS]] += less
    high[[BYTES, SECONDS]] += more
    high[SECONDS] += effort.power[1] * max(-effort.excess[1], 0.0)
    return Ranges(usual=found.usual, low=low, high=high, sigma=found.sigma, season=found.season, like=found.like)


def _rows(totals: Totals) -> Finding | None:
    records = totals.columns.records
    low, usual, high = (from_log(one[ROWS]) for one in (totals.found.low, totals.found.usual, totals.found.high))
    now = float(records[-1])
    if now == 0:
        hurried = totals.calendar.pause <= EARLY and not totals.found.sigma[ROWS] < STEADY
        unknown = totals.calendar.new_time and not totals.found.sigma[ROWS] < UNVARYING
        if hurried or unknown:
            return long_silence(records[:-1])
        return empty_finding(records[:-1], totals.calendar, low, high)
    zeros = np.mean(records[:-1] == 0)
    if now > high:
        kind, gross = "row_count_high", now > usual * GROSS
    elif now < low and zeros < MANY_ZEROS:
        kind, gross = "row_count_low", now < usual / GROSS
    else:
        return None
    return Finding(
        kind=kind,
        severity=_severity(gross=gross),
        subject="run",
        message=f"The run read {number(now)} records; from {totals.basis(ROWS)} {number(round(low))} to "
        f"{number(round(high))} were to be expected.",
        expected={"low": round(low), "high": round(high)},
        observed=int(now),
    )


def _seconds(totals: Totals) -> Finding | None:
    now = float(totals.effort.values[1, -1])
    if not now > totals.found.high[SECONDS]:
        return None
    low, usual, high = (
        max(totals.effort.total(one[1:3], 1) - START, 0.0)
        for one in (totals.found.low, totals.found.usual, totals.found.high)
    )
    seconds = float(totals.columns.seconds[-1])
    return Finding(
        kind="duration_long",
        severity=_severity(gross=seconds > GROSS * (usual + START)),
        subject="run",
        message=f"The run took {span(seconds)}; from {totals.basis(SECONDS)} at most {span(high)} were to be expected.",
        expected={"low": low, "high": high},
        observed=seconds,
    )


def _bytes(totals: Totals) -> Finding | None:
    now = float(totals.effort.values[0, -1])
    if totals.found.low[BYTES] <= now <= totals.found.high[BYTES] or math.isnan(now + totals.found.low[BYTES]):
        return None
    low, usual, high = (
        totals.effort.total(one[1:3], 0) for one in (totals.found.low, totals.found.usual, totals.found.high)
    )
    seen = float(totals.columns.bytes_read[-1])
    return Finding(
        kind="bytes_high" if seen > usual else "bytes_low",
        severity=_severity(gross=not usual / GROSS <= seen <= usual * GROSS),
        subject="run",
        message=f"The run read {size(seen)} for {number(float(totals.columns.records[-1]))} records; "
        f"from {totals.basis(BYTES)} {size(low)} to {size(high)} were to be expected.",
        expected={"low": round(low), "high": round(high)},
        observed=int(seen),
    )


def _rejects(totals: Totals) -> Finding | None:
    columns, found = totals.columns, totals.found
    records, rejected = float(columns.records[-1]), float(columns.rejected[-1])
    if not records > 0 or not rejected > 0:
        return None
    seen, usual = min(rejected / records, 1.0), from_arc(float(found.usual[REJECTS]))
    limit = high_share(
        seen, usual, from_arc(float(found.high[REJECTS])), records, float(np.nansum(columns.records[:-1]))
    )
    if limit is None:
        return None
    return Finding(
        kind="reject_share_high",
        severity=_severity(gross=seen >= 0.5 or seen > GROSS * max(usual, 0.01)),  # noqa: PLR2004 - half of the records
        subject="run",
        message=f"{number(rejected)} of {number(records)} records were rejected, {share(seen)}; "
        f"from {totals.basis(REJECTS)} at most {share(limit)} was to be expected.",
        expected={"low": 0.0, "high": limit},
        observed=seen,
        facts={"rejected": int(rejected), "records": int(records)},
    )


def _stale(totals: Totals) -> Finding | None:
    now = float(totals.columns.newest[-1])
    high, usual = (from_log(one[AGE]) - MINUTE for one in (totals.found.high, totals.found.usual))
    if not now > high:
        return None
    return Finding(
        kind="stale_records",
        severity=_severity(gross=now + MINUTE > GROSS * (usual + MINUTE)),
        subject="run",
        message=f"The newest record was {span(now)} old when the run started; from {totals.basis(AGE)} "
        f"at most {span(high)} were to be expected.",
        expected={"low": 0.0, "high": high},
        observed=now,
    )


def _severity(*, gross: bool) -> Severity:
    return "critical" if gross else "warning"
