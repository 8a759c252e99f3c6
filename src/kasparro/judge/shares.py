"""Shares told from few records: how far one may be from another by chance alone."""

from kasparro.judge.robust import surprise

BY_CHANCE = 5.5
"""Standard deviations that chance alone is allowed, for hundreds of shares in a run."""

STEPS = 40


def high_share(seen: float, usual: float, high: float, records: float, before: float) -> float | None:
    """Return the highest share to be expected when `seen` is above it, else None.

    Args:
        seen: Share in the run.
        usual: Share in the history.
        high: Highest share by how the history varies; NaN where nothing is known.
        records: Records of the run.
        before: Records that the history told `usual` from: where there was nothing, there may still be 1 in so many.
    """
    start = _inside(usual, before)
    if not seen > high or not surprise(seen, start, records) > BY_CHANCE:
        return None
    return max(high, _limit(start, 1.0, records))


def low_share(seen: float, usual: float, low: float, records: float, before: float) -> float | None:
    """Return the lowest share to be expected when `seen` is below it, else None."""
    start = _inside(usual, before)
    if not seen < low or not surprise(seen, start, records) < -BY_CHANCE:
        return None
    return min(low, _limit(start, 0.0, records))


def _inside(usual: float, before: float) -> float:
    rest = 0.5 / (before + 1)
    return min(max(usual, rest), 1 - rest)


def _limit(start: float, end: float, records: float) -> float:
    """Return where between two shares chance ends, by halving."""
    inner, outer = start, end
    for _ in range(STEPS):
        middle = (inner + outer) / 2
        if abs(surprise(middle, start, records)) > BY_CHANCE:
            outer = middle
        else:
            inner = middle
    return inner
