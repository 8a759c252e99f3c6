"""Lengths of time as people write them: `30s`, `90m`, `12h`, `30d`, `8w`."""

import re
from datetime import timedelta
from types import MappingProxyType

_WRITTEN = re.compile(r"(\d{1,6}) ?(s|m|h|d|w)")
_UNITS = MappingProxyType({"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"})


def read_duration(text: str) -> timedelta:
    """Return the length of time. Raises ValueError, which says what is expected."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or int(found.group(1)) == 0:
        raise ValueError("is a length of time such as 12h, 30d or 8w")
    try:
        return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})
    except OverflowError:
        raise ValueError("is a length of time of at most 999,999,999 days") from None


def written(length: timedelta) -> str:
    """Return the length of time as `read_duration` reads it, in the largest unit that gives a whole number."""
    for letter in reversed(_UNITS):
        number, rest = divmod(length, timedelta(**{_UNITS[letter]: 1}))
        if number and not rest:
            return f"{number}{letter}"
    return f"{length.total_seconds():g}s"
