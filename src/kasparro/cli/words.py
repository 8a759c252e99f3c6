"""Numbers and moments as people read them."""

from datetime import UTC, datetime

_UNITS = ("B", "kB", "MB", "GB", "TB")


def count_in_words(number: int) -> str:
    """Return `336,776`."""
    return f"{number:,}"


def bytes_in_words(number: float) -> str:
    """Return `3.4 MB`."""
    for unit in _UNITS[:-1]:
        if number < 1000:  # noqa: PLR2004 - the step from one unit to the next
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} {_UNITS[-1]}"


def moment_in_words(moment: datetime | None) -> str:
    """Return `2026-11-23 12:00:00Z`, or a dash."""
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
