"""When a source is to run: by a line of cron, or every so often. The moments are found in `scheduling`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kasparro.model.duration import written

LEAST = timedelta(minutes=1)
"""Shortest time between two moments: a line of cron knows no seconds either."""

MOST = timedelta(days=3660)
"""Longest one, ten years; moments are counted on from one to the next, and the calendar ends in the year 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Moments by the clock on the wall.

    Attributes:
        line: Minute, hour, day of month, month and weekday, as cron reads them.
        timezone: IANA name of the zone whose clock it is.
    """

    line: str
    timezone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.line} ({self.timezone})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Moments at equal distances, counted from one fixed moment: the same after each restart and on each machine."""

    length: timedelta

    def __str__(self) -> str:
        return f"every {written(self.length)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a source is due, and how strictly.

    Attributes:
        when: Its due moments.
        jitter: A run begins up to so long after a due moment, so that not all sources begin at once.
        catch_up: A due moment that passed while nothing ran sources is made up for, once.
        grace: A run must have succeeded so long after a due moment; None is found by itself, see `judge.late`.
    """

    when: Cron | Every
    jitter: timedelta = timedelta()
    catch_up: bool = True
    grace: timedelta | None = None

    def __str__(self) -> str:
        return str(self.when)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, lengths of time in seconds. `from_json` reads them."""
        when: dict[str, Any]
        if isinstance(self.when, Every):
            when = {"every": _seconds(self.when.length)}
        else:
            when = {"cron": self.when.line, "timezone": self.when.timezone}
        grace = None if self.grace is None else _seconds(self.grace)
        return {**when, "jitter": _seconds(self.jitter), "catch_up": self.catch_up, "grace": grace}

    def to_text(self) -> str:
        """Return it as JSON: the same text for the same schedule."""
        return json.dumps(self.to_json(), sort_keys=True)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Schedule":
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError where another version wrote it."""
        when = (
            Every(length=timedelta(seconds=data["every"]))
            if "every" in data
            else Cron(line=data["cron"], timezone=data["timezone"])
        )
        grace = data["grace"]
        return cls(
            when=when,
            jitter=timedelta(seconds=data["jitter"]),
            catch_up=bool(data["catch_up"]),
            grace=None if grace is None else timedelta(seconds=grace),
        )


def _seconds(length: timedelta) -> int:
    return round(length.total_seconds())
