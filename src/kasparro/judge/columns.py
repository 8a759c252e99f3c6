"""The fields of a history and of the run behind it, as matrices: one row for each field, one column for each run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from kasparro.judge.measures import ABSURD, from_log
from kasparro.judge.robust import Floats, medians
from kasparro.model.facts import FieldFacts, RunFacts

LEVELS = 5
"""Quantiles of a field: at 0.05, 0.25, 0.5, 0.75 and 0.95."""

FAR_FEWER = 10
"""A run with so many times fewer records than the one that is judged says little about its shares and quantiles."""

CONSTANT = 1e-6
"""Spread, as a share of the middle, below which numbers are one constant: a sketch is not more exact."""

FEW_VALUES = 30
"""Different numbers up to which quantiles jump from one to the next."""

_NOTHING = (float("nan"),) * LEVELS
_ABSENT = FieldFacts(null_share=1.0, distinct=float("nan"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Facts of fields. The last column is the run; NaN where a run says nothing.

    Attributes:
        names: Of the rows.
        nulls: Shares, 1 where the field is absent from a run, NaN before it first appeared.
        records: Records that the facts were told from.
        distinct: Different values.
        quantiles: Of the numbers, five for each field and run.
    """

    names: tuple[str, ...]
    nulls: Floats
    records: Floats
    distinct: Floats
    quantiles: Floats


def columns_of(history: Sequence[RunFacts], run: RunFacts) -> Columns:
    """Return the facts of every field that the history knows."""
    names = tuple(dict.fromkeys(chain.from_iterable(one.fields for one in history)))
    runs = (*history, run)
    facts = [get(name, _ABSENT) for get in [one.fields.get for one in runs] for name in names]
    shape = (len(runs), len(names))
    nulls, distinct, records = (
        np.array(list(map(attrgetter(name), facts)), dtype=np.float64).reshape(shape).T
        for name in ("null_share", "distinct", "records")
    )
    numbers = [one if len(one) == LEVELS else _NOTHING for one in map(attrgetter("quantiles"), facts)]
    flat = np.fromiter(chain.from_iterable(numbers), np.float64, len(facts) * LEVELS)
    quantiles = flat.reshape(*shape, LEVELS).swapaxes(0, 1)
    absent = np.array([one is _ABSENT for one in facts], dtype=np.bool_).reshape(shape).T
    totals = np.array([one.records for one in runs], dtype=np.float64)
    told = np.max(records, axis=0, initial=0.0)
    records = np.where(absent, np.where(told > 0, told, totals), records)
    said = np.logical_or.accumulate(~absent, axis=1) & np.isfinite(nulls) & (records > 0)
    said[:, :-1] &= records[:, :-1] * FAR_FEWER >= records[:, -1:]
    return Columns(
        names=names,
        nulls=np.where(said, np.clip(nulls, 0.0, 1.0), np.nan),
        records=np.where(said, records, np.nan),
        distinct=np.where(said & (distinct < ABSURD) & (distinct > 0), distinct, np.nan),
        quantiles=np.where((said & (np.abs(quantiles) < ABSURD).all(axis=-1))[..., None], quantiles, np.nan),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Where the numbers of a field lie and how far they spread, made comparable between runs.

    Attributes:
        middle: Medians, in usual spreads.
        spread: Logarithms of the distance between the outer quantiles, in usual ones.
        usual: The five usual quantiles, in usual spreads.
        unit: The usual spread; logarithmic fields have it in logarithms.
        logarithmic: The field's numbers are all positive and are compared as logarithms.
        start: What is added to the numbers before; 0 for those that are all positive.
        coarse: The field has few different numbers.
    """

    middle: Floats
    spread: Floats
    usual: Floats
    unit: Floats
    logarithmic: npt.NDArray[np.bool_]
    start: Floats
    coarse: npt.NDArray[np.bool_]

    def value(self, place: float, row: int) -> float:
        """Return the number that a place in usual spreads stands for."""
        plain = float(place * self.unit[row])
        return from_log(plain) - float(self.start[row]) if self.logarithmic[row] else plain


def distribution_of(columns: Columns) -> Distribution:
    """Return middle and spread of the numbers of each field.

    Positive numbers are compared as logarithms, so that a change of unit shows whatever their size; so are numbers with
    zeros among them, after something small was added. Others are compared as they are.
    """
    numbers = columns.quantiles
    with np.errstate(all="ignore"):
        typical = medians(np.swapaxes(numbers[:, :-1], 1, 2))
        lowest = np.nanmin(np.where(np.isnan(numbers), np.inf, numbers), axis=(1, 2))
        logarithmic = (lowest >= 0) & np.isfinite(lowest) & (typical[:, -1] > 0)
        positive = np.min(np.where(typical > 0, typical, np.inf), axis=1)
        start = np.where(logarithmic & (lowest == 0), positive / 4, 0.0)
        scaled = np.where(logarithmic[:, None, None], np.log(numbers + start[:, None, None]), numbers)
        scaled = np.where(np.isfinite(scaled), scaled, np.nan)
        middle, width = scaled[..., 2], scaled[..., -1] - scaled[..., 0]
        usual_width, usual_middle = medians(width[:, :-1]), medians(middle[:, :-1])
        constant = ~(usual_width > CONSTANT * np.maximum(np.abs(usual_middle), 1e-300))
        plain = np.where(logarithmic, 1.0, np.maximum(np.abs(usual_middle), 1e-9))
        unit = np.where(constant, plain, usual_width)
        spread = np.where(constant[:, None], np.nan, np.log(width / unit[:, None] + 0.05))
        usual = medians(np.swapaxes(scaled[:, :-1] / unit[:, None, None], 1, 2))
    ties = (np.diff(usual, axis=1) < CONSTANT).any(axis=1)
    few = medians(columns.distinct[:, :-1]) <= FEW_VALUES
    return Distribution(
        middle=middle / unit[:, None],
        spread=np.where(np.isfinite(spread), spread, np.nan),
        usual=usual,
        unit=unit,
        logarithmic=logarithmic,
        start=start,
        coarse=(ties | few) & ~constant,
    )
