"""How often a provider may be asked, as people write it: `10/s`, `100/m`, `5000/h`, `1000/d`, several with commas."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Self

_WRITTEN = re.compile(r"(\d{1,12}) ?(?:/|per) ?(\d{1,6})? ?([A-Za-z]+)")
_UNITS = MappingProxyType(
    {
        **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
        **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
        **dict.fromkeys(("h", "hour", "hours"), 3600),
        **dict.fromkeys(("d", "day", "days"), 86_400),
    }
)
_EXPECTED = "is a number of requests in a time, such as 10/s, 100/m, 5000/h or 1000/d, or several: 10/s, 5000/h"

MOST = 1_000_000
"""Requests of one limit: more than a client sends is no limit."""

LONGEST = 31 * 86_400
"""Seconds of the longest time that a limit, or the reset that a provider names, may span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: float

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `10/s` or `100/10s`. Raises ValueError, which says what is expected."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise ValueError(_EXPECTED)
        count, times, unit = int(found.group(1)), int(found.group(2) or 1), found.group(3)
        length = _UNITS.get(unit.lower() if len(unit) > 1 else unit)
        if length is None:
            raise ValueError(f"{_EXPECTED}; {unit} is no unit of time{_guess(unit)}")
        if not 1 <= count <= MOST:
            raise ValueError(f"allows {count:,} requests; a limit is from 1 to {MOST:,} of them")
        if not 1 <= times * length <= LONGEST:
            raise ValueError("spans a time that is not between a second and 31 days")
        return cls(count=count, seconds=float(times * length))

    def __str__(self) -> str:
        for letter, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
            times = self.seconds / length
            if times >= 1 and times == int(times):
                return f"{self.count}/{letter}" if times == 1 else f"{self.count}/{times:.0f}{letter}"
        return f"{self.count}/{self.seconds:g}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What a provider permits, as declared.

    Attributes:
        rates: All of them hold.
        concurrency: Most requests under way at a time; None is any number.
        longest_wait: Seconds that a request waits for its turn; where it would be more, the run is parked.
    """

    rates: tuple[Rate, ...] = ()
    concurrency: int | None = None
    longest_wait: float = 60.0


NO_LIMIT = RateLimit()


def read_rates(text: str) -> tuple[Rate, ...]:
    """Read several limits with commas between them. Raises ValueError, which says what is expected."""
    rates = [Rate.read(part) for part in text.split(",")]
    strictest: dict[float, Rate] = {}
    for rate in rates:
        known = strictest.get(rate.seconds)
        if known is None or rate.count < known.count:
            strictest[rate.seconds] = rate
    return tuple(strictest[seconds] for seconds in sorted(strictest))


def _guess(unit: str) -> str:
    close = get_close_matches(unit.lower(), _UNITS, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
