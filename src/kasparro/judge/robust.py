"""Order statistics of many series at once: what a few bad runs in a history cannot move.

A series is a row of a matrix, a run is a column, NaN is a run that says nothing about it. `numpy.nanmedian` goes row by
row; sorting the matrix once is what keeps a judgement of fifty fields below a few milliseconds.
"""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIGMA_OF_MAD = 1.4826
"""Standard deviation of a normal distribution in median absolute deviations (Rousseeuw and Croux 1993)."""

SIGMA_OF_Q90 = 1 / 1.6449
"""The same in 0.9 quantiles of the absolute deviations."""


def counts(series: Floats) -> npt.NDArray[np.int64]:
    """Return how many numbers each series has."""
    return np.asarray(np.add.reduce(~np.isnan(series), axis=-1, dtype=np.int64))


def medians(series: Floats) -> Floats:
    """Return the median along the last axis, NaN where a series has no number."""
    ordered, have = np.sort(series, axis=-1), counts(series)
    return (_pick(ordered, (have - 1) // 2, have) + _pick(ordered, have // 2, have)) / 2


def largest(series: Floats, rank: npt.NDArray[np.int64]) -> Floats:
    """Return the `rank`-th largest number of each series, the smallest where there are fewer."""
    have = counts(series)
    return _pick(np.sort(series, axis=-1), have - rank, have)


def sigmas(rests: Floats) -> Floats:
    """Return the spread of rests about 0, in standard deviations of a normal distribution.

    The larger of two estimates: the MAD does not see what happens in fewer than half of the runs, such as weekends; the
    0.9 quantile does, and one run in ten may still be as wrong as it likes.
    """
    ordered = np.sort(np.abs(rests), axis=-1)
    have = counts(ordered)
    middle = (_pick(ordered, (have - 1) // 2, have) + _pick(ordered, have // 2, have)) / 2
    outer = _pick(ordered, np.ceil(0.9 * have).astype(np.int64) - 1, have)
    return np.maximum(middle * SIGMA_OF_MAD, outer * SIGMA_OF_Q90)


def _pick(ordered: Floats, index: npt.NDArray[np.int64], have: npt.NDArray[np.int64]) -> Floats:
    """Take one number of each ordered series; NaN stands at its end, and an index stays among the numbers."""
    length = ordered.shape[-1]
    if length == 0:
        return np.full(have.shape, np.nan)
    chosen = np.maximum(np.minimum(index, have - 1), 0).ravel()
    return np.asarray(ordered.reshape(-1)[np.arange(chosen.size) * length + chosen].reshape(have.shape))


def student(chance: float, freedom: float) -> float:
    """Return the deviation that Student's t exceeds with `chance` on one side.

    By the expansion of Abramowitz and Stegun 26.7.5, good to a few per cent from five degrees of freedom on; below that
    the value for five is returned.
    """
    z = NormalDist().inv_cdf(1 - chance)
    v = max(freedom, 5.0)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v**power for power, term in enumerate(terms, start=1))


def surprise(seen: float, usual: float, records: float) -> float:
    """Return how improbable a share is by chance alone, in standard deviations, signed.

    The signed root of the binomial deviance, which holds for small shares and small numbers where the usual
    approximation by a normal distribution does not (McCullagh and Nelder 1989, 4.4.3).

    Args:
        seen: Share in `records`, 0 to 1.
        usual: Share to be expected, between 0 and 1, neither of them included.
        records: How many the share was told from.
    """
    kl = 0.0
    if seen > 0:
        kl += seen * math.log(seen / usual)
    if seen < 1:
        kl += (1 - seen) * math.log((1 - seen) / (1 - usual))
    return math.copysign(math.sqrt(max(2 * records * kl, 0.0)), seen - usual)
