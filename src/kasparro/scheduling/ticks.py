"""What is due: from a schedule, the last moment that was seen to, and the present, what is to be done now.

Nothing is read here and no clock is asked: whoever looks at the same things decides the same, on any host.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from kasparro.model.schedule import Schedule
from kasparro.scheduling.moments import due_between, last_due, next_due

ON_TIME = timedelta(minutes=2)
"""A due moment that is seen within this time after it was not missed: the database may have been restarting."""

MOST_COUNTED = 1000
"""Missed moments are counted up to so many."""

_SOME_PERIOD = timedelta(days=1)
_SCALE = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What is to be done about the schedule of a source at a moment.

    Attributes:
        due: The moment that a run is to be queued for; None where none is.
        at: When the run begins: `due` and its part of the jitter.
        missed: Due moments before, or this one, that passed while nobody looked. `MOST_COUNTED` stands for more.
        seen_to: Everything that is due until then has been seen to; the next time is counted from there.
        healed: What was seen to lay so far ahead that the clock was wrong then: it is counted anew from now on.
    """

    due: datetime | None = None
    at: datetime | None = None
    missed: int = 0
    seen_to: datetime
    healed: bool = False


def counted_from(last: datetime | None, since: datetime, now: datetime) -> datetime:
    """Return after which moment the next due one is to be looked for.

    A schedule promises nothing for the time before it was declared. One that was declared later than now was so by a
    clock that was wrong.

    Args:
        last: What has been seen to; None before the first time.
        since: When the schedule was declared as it is.
        now: The present.
    """
    if since > now:
        return now if last is None else last
    return since if last is None else max(last, since)


def decide(source: str, schedule: Schedule, *, last: datetime | None, since: datetime, now: datetime) -> Tick | None:
    """Return what is to be done about a source now; None where that is nothing.

    Several moments that passed together come to one run, for the last of them: that of each earlier one would read
    the same. Where the last one was missed, too, a run makes up for it only if the schedule says so.
    """
    if _is_ahead(schedule, last, since, now):
        return Tick(seen_to=now, healed=True)
    after = counted_from(last, since, now)
    due = last_due(schedule, now)
    if due is None or due <= after:
        return None
    passed = sum(1 for _ in islice(due_between(schedule, after, due), MOST_COUNTED))
    if now - due <= ON_TIME:
        return Tick(due=due, at=begins(source, schedule, due), missed=passed - 1, seen_to=due)
    if not schedule.catch_up:
        return Tick(missed=passed, seen_to=due)
    return Tick(due=due, at=begins(source, schedule, due), missed=passed, seen_to=due)


def upcoming(schedule: Schedule, *, last: datetime | None, since: datetime, now: datetime) -> datetime | None:
    """Return the next moment at which `decide` has something to say; None where there is none within 50 years."""
    return next_due(schedule, counted_from(last, since, now))


def begins(source: str, schedule: Schedule, due: datetime) -> datetime:
    """Return when the run for a due moment begins: so long after it as the source and the moment tell, on any host."""
    told = f"{source}\0{due.astimezone(UTC).isoformat()}"
    part = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")
    # Whole microseconds: the product of a length of time and a fraction would round to the next due moment.
    return due + timedelta(microseconds=(schedule.jitter // timedelta(microseconds=1)) * part // _SCALE)


def _is_ahead(schedule: Schedule, last: datetime | None, since: datetime, now: datetime) -> bool:
    """Tell whether what is known comes from a clock that was ahead, and by more than a period."""
    return since > now if last is None else last - now > _period(schedule, last)


def _period(schedule: Schedule, moment: datetime) -> timedelta:
    """Return the time between the due moments about a moment."""
    before, after = last_due(schedule, moment), next_due(schedule, moment)
    return _SOME_PERIOD if before is None or after is None else after - before
