"""What a run is measured by as a whole: rows, bytes, seconds, rejects, age of its newest record.

Counts, bytes and seconds are compared as logarithms: a source varies by shares of its size. Shares are compared as
arcsines of their roots, in which the same step is as rare near 0 as in the middle. Bytes and seconds are divided by
records, or by their root, where that makes them steadier: then a source whose runs differ in size is judged by bytes
per record.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kasparro.judge.robust import Floats, medians, sigmas
from kasparro.model.facts import RunFacts

POWERS = (0.0, 0.5, 1.0)
"""With which power of the records a total may grow."""

STEADIER = 0.8
START = 5.0
"""Seconds that are added to a duration: below them, twice as long means nothing."""

MINUTE = 60.0

ABSURD, ABSURD_LOG = 1e100, 600.0
"""Numbers from which on nothing is computed: they would overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadied:
    """Logarithms of totals less a power of the records of their run.

    Attributes:
        values: One row for each total, one column for each run; the last column is the run that is judged.
        power: Of each row.
        size: Logarithms of the records, for each row or for all.
        excess: How far the run's own size is from the usual one.
    """

    values: Floats
    power: Floats
    size: Floats
    excess: Floats

    def total(self, value: Floats, row: int) -> float:
        """Return the total that a value of a row stands for, for a run of the size of this one."""
        return from_log(value[row] + self.power[row] * self.size[row, -1])

    def slack(self) -> tuple[Floats, Floats]:
        """Return how much lower and higher a total may be because the run has fewer or more records than usual.

        What does not grow with the records in the history may still do so beyond it.
        """
        rest = (1 - self.power) * self.excess
        return np.minimum(rest, 0), np.maximum(rest, 0)


def steadied(totals: Floats, sizes: Floats) -> Steadied:
    """Return the totals less the power of the records that leaves the smallest spread in the history.

    Args:
        totals: Logarithms, one row for each, one column for each run, the last of them the one that is judged.
        sizes: Logarithms of the records, of the same shape.
    """
    best = totals
    power = np.zeros(len(totals))
    spread = _spread(totals)
    for one in POWERS[1:]:
        values = totals - one * sizes
        own = _spread(values)
        taken = own < spread * STEADIER
        best = np.where(taken[:, None], values, best)
        power = np.where(taken, one, power)
        spread = np.where(taken, own, spread)
    usual = medians(np.where(np.isnan(totals[:, :-1]), np.nan, sizes[:, :-1]))
    excess = sizes[:, -1] - usual
    return Steadied(values=best, power=power, size=sizes, excess=np.where(np.isnan(excess), 0.0, excess))


def _spread(values: Floats) -> Floats:
    history = values[:, :-1]
    return sigmas(history - medians(history)[:, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """A history and the run behind it, as columns. NaN where a run says nothing."""

    records: Floats
    rejected: Floats
    seconds: Floats
    bytes_read: Floats
    newest: Floats


def measured(runs: Sequence[RunFacts]) -> Measures:
    """Return the measures of runs; negative and absurdly large ones say nothing."""
    return Measures(
        records=_clean([one.records for one in runs]),
        rejected=_clean([one.rejected for one in runs]),
        seconds=_clean([one.seconds for one in runs]),
        bytes_read=_clean([one.bytes_read for one in runs]),
        newest=np.maximum(_clean([np.nan if one.newest is None else one.newest for one in runs], lowest=-np.inf), 0.0),
    )


def _clean(values: Sequence[float], lowest: float = 0.0) -> Floats:
    column = np.array(values, dtype=np.float64)
    return np.where((np.abs(column) < ABSURD) & (column >= lowest), column, np.nan)


def logs(column: Floats, start: float = 0.0) -> Floats:
    """Return logarithms, NaN for what has none."""
    with np.errstate(all="ignore"):
        values = np.log(column + start)
    return np.where(np.isfinite(values), values, np.nan)


def from_log(value: float) -> float:
    """Return the number of a logarithm."""
    return math.exp(min(value, ABSURD_LOG))


def arcs(share: Floats) -> Floats:
    """Return the arcsine of the root of shares, 0 to pi / 2; shares beyond 0 and 1 are taken for those."""
    return np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))


def from_arc(arc: float) -> float:
    """Return the share that an arcsine stands for; beyond 0 and 1 there is none."""
    return float(np.sin(np.clip(arc, 0.0, np.pi / 2)) ** 2)
