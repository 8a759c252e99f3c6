"""Which earlier runs are like this one: same weekday, same hour, and how long after the run before.

Hours are counted from the hour of the run that is judged, not from midnight: a job that starts a second early or late
stays with its like.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from kasparro.judge.robust import Floats
from kasparro.model.facts import RunFacts

LIKE = 4
"""Earlier runs of one weekday or hour that make a baseline of their own."""

HALF_A_DAY = 0.5
FIRST_DAY_OFF = 5
WEEK = 7

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """One way to tell runs apart.

    Attributes:
        name: What those that are like the run are called, in the plural: `runs`, `Mondays`, `runs about 14:00`.
        labels: Of each earlier run; 0 is the run's own.
    """

    name: str
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When the earlier runs started, seen from the run.

    Attributes:
        days: Days from the run to each earlier one, not positive.
        seasons: The ways to tell runs apart for which the history has enough, the plainest first.
        pauses: Time since the run before over the usual time between runs, of each earlier run; 1 where there is none.
        pause: The same of the run.
        new_time: No earlier run that had records was on a weekend, or a working day, as this one is; or, of a source
            that runs several times a day, at its hour.
    """

    days: Floats
    seasons: tuple[Season, ...]
    pauses: Floats
    pause: float
    new_time: bool


def calendar_of(history: Sequence[RunFacts], run: datetime) -> Calendar:
    """Return how the starts of earlier runs lie about the start of this one, by the clock of this one."""
    some = np.array([one.records > 0 for one in history], dtype=np.bool_)
    began = np.array([one.started_at.timestamp() for one in history], dtype=np.float64)
    days = (began - run.timestamp()) / 86400
    offset = run.utcoffset()
    local = (began + (offset.total_seconds() if offset is not None else 0.0)) / 86400
    step = _usual_step(days)
    hours = np.mod(np.rint(days * 24), 24).astype(np.int64)
    often = step is not None and step < HALF_A_DAY
    if step is not None and not often:
        weekdays = np.mod(np.rint(days), WEEK).astype(np.int64)
    else:
        weekdays = np.mod(np.floor(local) + 3 - run.weekday(), WEEK).astype(np.int64)
    off = np.mod(weekdays + run.weekday(), WEEK) >= FIRST_DAY_OFF
    own_off = run.weekday() >= FIRST_DAY_OFF
    return Calendar(
        days=days,
        seasons=_seasons(run, hours, weekdays, off != own_off),
        pauses=np.ones(len(days)) if step is None else np.diff(days, prepend=days[0] - step) / step,
        pause=1.0 if step is None else _pause(days, step),
        new_time=not np.any(some & (off == own_off)) or (often and not np.any(some & (hours == 0))),
    )


def _seasons(run: datetime, hours: Labels, weekdays: Labels, other: npt.NDArray[np.bool_]) -> tuple[Season, ...]:
    day, hour = f"{run:%A}s", f"runs about {run:%H:%M}"
    kind = "weekends" if run.weekday() >= FIRST_DAY_OFF else "working days"
    ways = [
        Season(name=f"runs on {kind}", labels=other.astype(np.int64)),
        Season(name=day, labels=weekdays),
        Season(name=hour, labels=hours),
    ]
    if np.any(hours != 0) and np.any(weekdays != 0):
        ways.append(Season(name=f"{day} about {run:%H:%M}", labels=weekdays * 24 + hours))
    plain = Season(name="runs", labels=np.zeros(hours.shape, dtype=np.int64))
    useful = [one for one in ways if np.sum(one.labels == 0) >= LIKE and np.any(one.labels != 0)]
    return (plain, *useful)


def usual_seconds(history: Sequence[datetime]) -> float | None:
    """Return the usual time between the starts of runs, None for fewer than three."""
    step = _usual_step(np.array([one.timestamp() / 86400 for one in history], dtype=np.float64))
    return None if step is None else step * 86400


def _usual_step(days: Floats) -> float | None:
    steps = np.diff(days)
    steps = steps[steps > 0]
    return float(np.median(steps)) if steps.size > 1 else None


def _pause(days: Floats, step: float) -> float:
    return max(float(-days[-1]), step * 1e-3) / step
