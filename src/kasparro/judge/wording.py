"""How numbers read in the sentences of findings."""

import math
from datetime import datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def number(value: float) -> str:
    """Write a number for a person: whole ones in full, others with three digits."""
    if not math.isfinite(value):
        return "any number"
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:  # noqa: PLR2004 - beyond these, zeros are hard to count
        return f"{value:.3g}"
    if value == round(value) or abs(value) >= 1000:  # noqa: PLR2004 - digits after the point say nothing then
        return f"{round(value):,}"
    return f"{float(f'{value:.3g}'):,}".removesuffix(".0")


def share(value: float) -> str:
    """Write a share in per cent."""
    return f"{number(float(f'{value * 100:.3g}'))} %"


def span(seconds: float) -> str:
    """Write a length of time in the unit that fits it."""
    for size, name in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")):
        if abs(seconds) >= 2 * size:
            return f"{number(float(f'{seconds / size:.2g}'))} {name}"
    return f"{number(float(f'{seconds:.2g}'))} seconds"


def size(value: float) -> str:
    """Write a number of bytes."""
    return f"{number(round(value))} bytes"


def moment(when: datetime) -> str:
    """Write a point in time, with its zone."""
    return when.isoformat(sep=" ", timespec="minutes")
