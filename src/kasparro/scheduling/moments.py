"""The moments at which a schedule is due.

A line of cron names times of a clock on the wall, and that clock is set twice a year in many places. So times are found
without any zone, by `cronsim`, and turned into moments here, by two rules that are told from the line:

- The hour is `*`: the line runs in every hour that passes. When the clock is set back the hour comes twice, and so do
  its times; when it is set forward the times that are left out are just that. Each quarter of an hour stays one.
- Any other hour: each time is due once. One that does not exist is due when the clock goes on again, one that comes
  twice is due the first time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kasparro.model.schedule import MOST, Cron, Every, Schedule
from kasparro.scheduling.lines import read_line

ANCHOR = datetime(1970, 1, 5, tzinfo=UTC)
"""What moments at equal distances are counted from: a Monday, so that weeks begin with one."""

_MINUTE = timedelta(minutes=1)
_NO_TIME = timedelta()

HOUR = 1
"""Place of the hour in a line of cron."""


def check_known(schedule: Schedule) -> None:
    """Raise ValueError where a schedule cannot be read here: by another version, or with other time zones, it could."""
    if isinstance(schedule.when, Every) and not _NO_TIME < schedule.when.length <= MOST:
        raise ValueError(f"an interval of {schedule.when.length.total_seconds():g} s is none here")
    if isinstance(schedule.when, Cron):
        read_line(schedule.when.line)
        try:
            ZoneInfo(schedule.when.timezone)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(f"the time zone {schedule.when.timezone} is not known here") from error


def next_due(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first due moment later than a moment, in UTC; None where there is none within 50 years."""
    match schedule.when:
        case Every(length=length):
            return ANCHOR + ((after - ANCHOR) // length + 1) * length
        case Cron() as cron:
            return _first(cron, after)


def last_due(schedule: Schedule, at: datetime) -> datetime | None:
    """Return the last due moment that is not later than a moment, in UTC; None where there is none within 50 years."""
    match schedule.when:
        case Every(length=length):
            return ANCHOR + ((at - ANCHOR) // length) * length
        case Cron() as cron:
            return _last(cron, at)


def due_between(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the due moments later than `after` and not later than `until`, in UTC and in order."""
    due = next_due(schedule, after)
    while due is not None and due <= until:
        yield due
        due = next_due(schedule, due)


def _first(cron: Cron, after: datetime) -> datetime | None:
    zone = ZoneInfo(cron.timezone)
    best: datetime | None = None
    # Where a time comes twice, times before this one by the clock may still be ahead.
    for time in _times(cron, _wall(after, zone) - _repeated(after, zone)):
        if best is not None and _instant(time, zone, 0) >= best:
            break
        found = [one for one in _moments(time, zone, hourly=_is_hourly(cron)) if one > after]
        best = min(found if best is None else [*found, best], default=None)
    return best


def _last(cron: Cron, at: datetime) -> datetime | None:
    zone = ZoneInfo(cron.timezone)
    best: datetime | None = None
    minute = _wall(at, zone).replace(second=0, microsecond=0)
    # Likewise, times after this one by the clock may have been.
    for time in _times(cron, minute + _repeated(at, zone) + _MINUTE, backwards=True):
        if best is not None and max(_instant(time, zone, 0), _instant(time, zone, 1)) <= best:
            break
        found = [one for one in _moments(time, zone, hourly=_is_hourly(cron)) if one <= at]
        best = max(found if best is None else [*found, best], default=None)
    return best


def _times(cron: Cron, start: datetime, *, backwards: bool = False) -> Iterator[datetime]:
    """Yield the times of the line after a time, or before it: of a clock that is never set."""
    from cronsim import CronSim  # noqa: PLC0415 - only where a line of cron is declared

    yield from CronSim(cron.line, start, reverse=backwards)


def _is_hourly(cron: Cron) -> bool:
    return cron.line.split()[HOUR] == "*"


def _moments(time: datetime, zone: ZoneInfo, *, hourly: bool) -> list[datetime]:
    """Return when a time of the line is due: once; in an hourly line, never or twice where the clock is set."""
    both = [_instant(time, zone, 0), _instant(time, zone, 1)]
    exists = _wall(both[0], zone) == time
    if hourly:
        return both if exists else []
    return both[:1] if exists else [_set_forward(zone, *sorted(both))]


def _set_forward(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return when the clock was set forward between two moments: the first second with the offset of the later one."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def _instant(time: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """Return the moment of a time; `fold` 1: the second one, where it comes twice."""
    return time.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what a clock of the zone shows."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _repeated(moment: datetime, zone: ZoneInfo) -> timedelta:
    """Return how far the clock was or will be set back about a moment whose time comes twice, else nothing."""
    time = _wall(moment, zone)
    return max(_instant(time, zone, 1) - _instant(time, zone, 0), _NO_TIME)
