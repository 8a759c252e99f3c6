"""The key `schedule` of a source: a line of cron, an interval, or a mapping of either with more."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.shapes import ScheduleShape
from kasparro.config.suggestions import did_you_mean
from kasparro.model.duration import read_duration, written
from kasparro.model.schedule import LEAST, MOST, Cron, Every, Schedule
from kasparro.scheduling.lines import NAMED, read_line
from kasparro.scheduling.moments import ANCHOR, due_between

_EVERY = re.compile(r"(?i)every\s+(.*)")
_LENGTH = re.compile(r"[0-9]+\s?[A-Za-z]+")
_NOT_NAMED = ("localtime", "Factory", "posixrules")
"""Files beside the zones that say something else on each machine."""

_LOOKED_AHEAD = timedelta(days=800)
_FEW = 50
"""Distances between due moments that the jitter is compared with."""

Meant = TypeVar("Meant")


def declare_schedule(given: str | ScheduleShape, place: Place, mistakes: Mistakes) -> Schedule | None:
    """Return the schedule of a source, or None with mistakes noted."""
    match given:
        case str():
            when = _read(_read_text, given, place, mistakes)
            return None if when is None else Schedule(when=when)
        case ScheduleShape():
            return _declared(given, place, mistakes)


def _read_text(text: str) -> Cron | Every:
    found = _EVERY.fullmatch(text.strip())
    if found is not None:
        return _read_every(found.group(1))
    if _LENGTH.fullmatch(text.strip()) is not None:
        return _read_every(text)
    if text.strip() == "":
        raise ValueError("is empty; leave it out, or write a line of cron or an interval such as 15m")
    if len(text.split()) == 1 and not text.strip().startswith("@"):
        raise ValueError(
            f'is neither a line of cron such as "0 6 * * *" or @daily, nor an interval such as 15m, 6h or 1d'
            f"{did_you_mean(f'@{text.strip()}', NAMED)}"
        )
    return Cron(line=read_line(text))


def _read_every(text: str) -> Every:
    length = read_duration(text)
    if not LEAST <= length <= MOST:
        raise ValueError(f"is an interval of at least {written(LEAST)} and at most {written(MOST)}")
    return Every(length=length)


def _declared(given: ScheduleShape, place: Place, mistakes: Mistakes) -> Schedule | None:
    when: Cron | Every | None = None
    match given.cron, given.every:
        case None, None if mistakes.has(place):
            pass  # what stands there is wrong, and was left out
        case None, None:
            mistakes.add(place, "has neither cron nor every; give one of them")
        case str(), str():
            mistakes.add((*place, "every"), "does not go with cron; give one of them")
        case str() as line, _:
            when = _cron(line, given.timezone, place, mistakes)
        case _, str() as length:
            when = _read(_read_every, length, (*place, "every"), mistakes)
            if given.timezone is not None:
                remedy = "an interval is the same in every zone; leave it out, or use cron"
                mistakes.add((*place, "timezone"), f"does not go with every: {remedy}")
    jitter = _length(given.jitter, (*place, "jitter"), mistakes)
    grace = _length(given.grace, (*place, "grace"), mistakes)
    if when is None:
        return None
    made = Schedule(when=when, jitter=jitter or timedelta(), catch_up=given.catch_up, grace=grace)
    least = shortest(made)
    if jitter is not None and jitter >= least:
        mistakes.add((*place, "jitter"), f"must be less than the time between due moments, which is {written(least)}")
    return made


def _cron(line: str, timezone: str | None, place: Place, mistakes: Mistakes) -> Cron | None:
    read = _read(read_line, line, (*place, "cron"), mistakes)
    zone = "UTC" if timezone is None else timezone
    if not _is_zone(zone):
        where = (*place, "timezone")
        display = mistakes.shown(where, zone)
        guess = "" if display is None else did_you_mean(zone, sorted(available_timezones() - {*_NOT_NAMED}))
        said = "the value" if display is None else display
        mistakes.add(where, f"{said} is not a time zone; use a name such as Europe/Berlin{guess}")
        return None
    return None if read is None else Cron(line=read, timezone=zone)


def _is_zone(name: str) -> bool:
    if name in _NOT_NAMED or name.startswith(("posix/", "right/")):
        return False
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(name).key == name
    return False


def _length(text: str | None, place: Place, mistakes: Mistakes) -> timedelta | None:
    return None if text is None else _read(_read_length, text, place, mistakes)


def _read_length(text: str) -> timedelta:
    length = read_duration(text)
    if length > MOST:
        raise ValueError(f"is a length of time of at most {written(MOST)}")
    return length


def _read(read: Callable[[str], Meant], text: str, place: Place, mistakes: Mistakes) -> Meant | None:
    try:
        return read(text)
    except ValueError as error:
        # The sentences quote a part of the text.
        hidden = mistakes.shown(place, text) is None
        mistakes.add(place, "is not a schedule" if hidden else str(error))
    return None


def shortest(schedule: Schedule) -> timedelta:
    """Return the shortest time between due moments, looking at some of them."""
    if isinstance(schedule.when, Every):
        return schedule.when.length
    start = datetime(2024, 1, 1, tzinfo=ANCHOR.tzinfo)
    some = [due for due, _ in zip(due_between(schedule, start, start + _LOOKED_AHEAD), range(_FEW), strict=False)]
    return min((later - earlier for earlier, later in pairwise(some)), default=_LOOKED_AHEAD)
