"""Due moments against a count of every minute: in zones whose clocks are set at night, at midnight, by half an hour."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kasparro.model.schedule import Cron, Every, Schedule
from kasparro.scheduling.moments import ANCHOR, due_between, last_due, next_due

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

ZONES = (
    "UTC",
    "Europe/Berlin",  # at 2:00 and 3:00
    "America/New_York",
    "America/Havana",  # set forward at 0:00, so that a day begins at 1:00
    "Africa/Cairo",  # set back from 24:00 to 23:00, so that a day ends twice
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two hours
    "Asia/Kathmandu",  # 5:45 ahead, never set
)
START = datetime(1980, 1, 1)  # noqa: DTZ001 - what hypothesis takes
YEARS = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@cache
def switches(zone: str) -> tuple[datetime, ...]:
    """The hours of the year in which the clock was set."""
    hours = (YEARS[1] - YEARS[0]) // timedelta(hours=1)
    moments = [YEARS[0] + timedelta(hours=n) for n in range(hours)]
    offsets = [one.astimezone(ZoneInfo(zone)).utcoffset() for one in moments]
    pairs = zip(pairwise(offsets), moments[1:], strict=True)
    return tuple(moment for (early, late), moment in pairs if early != late)


@cache
def wanted(field: str, low: int, high: int) -> frozenset[int]:
    """The numbers that a field names; a reader of its own, so that it shares no mistake with the one that is tested."""
    found: set[int] = set()
    for part in field.split(","):
        body, _, step = part.partition("/")
        first, _, last = body.partition("-")
        if body == "*":
            numbers = range(low, high + 1)
        elif last or step:
            numbers = range(int(first), int(last or high) + 1)
        else:
            numbers = range(int(first), int(first) + 1)
        found |= set(numbers[:: int(step or 1)])
    return frozenset(found)


def fitting(line: str, times: Iterable[datetime]) -> list[datetime]:
    """The times that a line names, of those that are given."""
    minute, hour, day, month, weekday = line.split()
    minutes, hours = wanted(minute, 0, 59), wanted(hour, 0, 23)
    days, months = wanted(day, 1, 31), wanted(month, 1, 12)
    weekdays = {number % 7 for number in wanted(weekday, 0, 7)}
    both = day.startswith("*") or weekday.startswith("*")

    def fits(time: datetime) -> bool:
        if time.minute not in minutes or time.hour not in hours or time.month not in months:
            return False
        of_month, of_week = time.day in days, (time.weekday() + 1) % 7 in weekdays
        return of_month and of_week if both else of_month or of_week

    return [time for time in times if fits(time)]


@cache
def clock(zone: str, first: datetime, days: int) -> Mapping[datetime, list[datetime]]:
    """All that the clock shows from the day before to the day after, and at which minutes it does."""
    place, shown = ZoneInfo(zone), defaultdict(list)
    for number in range((days + 2) * 1440):
        moment = first - DAY + MINUTE * number
        shown[moment.astimezone(place).replace(tzinfo=None)].append(moment)
    return dict(shown)


@cache
def counted(line: str, zone: str, first: datetime, days: int) -> tuple[datetime, ...]:
    """Every due moment from a day on, by looking at each minute and at what the clock shows."""
    shown = clock(zone, first, days)
    if line.split()[1] == "*":
        due = {moment for time in fitting(line, shown) for moment in shown[time]}
    else:
        due = {first_after(time, shown) for time in fitting(line, every_minute(shown))}
    return tuple(sorted(one for one in due if first <= one < first + days * DAY))


def first_after(time: datetime, shown: Mapping[datetime, list[datetime]]) -> datetime:
    while time not in shown:
        time += MINUTE
    return shown[time][0]


def every_minute(shown: Iterable[datetime]) -> Iterator[datetime]:
    time, last = min(shown), max(shown)
    while time <= last:
        yield time
        time += MINUTE


LINES = (
    "* * * * *",
    "*/15 * * * *",
    "7,37 * * * *",
    "0 */2 * * *",
    "*/20 2 * * *",
    "0,30 2 * * *",
    "30 1-3 * * *",
    "15 0 * * *",
    "30 23 * * 0",
    "59 23 * * 6,0",
    "0 2 * * *",
    "5 */6 * * 1-5",
    "0 3 1-7 * 0",
    "0 0-4/2 */2 * *",
)


@st.composite
def settings(draw: st.DrawFn) -> tuple[str, str, datetime]:
    """A line, a zone, and a day that is mostly near a night in which its clock is set."""
    zone = draw(st.sampled_from(ZONES))
    near = [one + timedelta(days=off) for one in switches(zone) for off in (-1, 0)]
    days = [YEARS[0] + number * DAY for number in range(364)]
    start: datetime = draw(st.sampled_from(near or days) | st.sampled_from(near or days) | st.sampled_from(days))
    return draw(st.sampled_from(LINES)), zone, start.replace(hour=0, minute=0, second=0, microsecond=0)


@given(settings())
def test_the_moments_of_three_days_are_those_that_counting_finds(drawn: tuple[str, str, datetime]) -> None:
    line, zone, start = drawn
    schedule = Schedule(when=Cron(line=line, timezone=zone))
    found = tuple(due_between(schedule, start - MINUTE, start + 3 * DAY - MINUTE))
    assert found == counted(line, zone, start, 3)


@given(settings(), st.integers(0, 3 * 86_400 - 1), st.integers(0, 999_999))
def test_next_and_last_lie_about_any_moment(drawn: tuple[str, str, datetime], second: int, micro: int) -> None:
    line, zone, start = drawn
    at = start + timedelta(seconds=second, microseconds=micro)
    schedule = Schedule(when=Cron(line=line, timezone=zone))
    due = counted(line, zone, start, 3)
    after, before = [one for one in due if one > at], [one for one in due if one <= at]
    if after:
        assert next_due(schedule, at) == after[0]
    if before:
        assert last_due(schedule, at) == before[-1]
        assert last_due(schedule, before[-1]) == before[-1]


def both_ways(line: str, zone: str) -> tuple[list[datetime], list[datetime]]:
    """The moments of a whole year, found one after the other, and one before the other."""
    schedule = Schedule(when=Cron(line=line, timezone=zone))
    backwards = []
    due = last_due(schedule, YEARS[1])
    while due is not None and due >= YEARS[0]:
        backwards.append(due)
        due = last_due(schedule, due - timedelta(microseconds=1))
    return list(due_between(schedule, YEARS[0] - MINUTE, YEARS[1])), backwards[::-1]


@pytest.mark.parametrize("zone", ZONES)
def test_a_whole_year_forwards_is_the_same_backwards(zone: str) -> None:
    forwards, backwards = both_ways("30 2 * * *", zone)
    assert forwards == backwards
    assert len(forwards) in {365, 366}
    assert len({one.astimezone(ZoneInfo(zone)).date() for one in forwards}) == len(forwards)


def berlin(line: str, day: datetime) -> list[str]:
    schedule = Schedule(when=Cron(line=line, timezone="Europe/Berlin"))
    found = due_between(schedule, day - MINUTE, day + timedelta(hours=5))
    return [one.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M%z") for one in found]


SPRING, AUTUMN = datetime(2025, 3, 29, 23, tzinfo=UTC), datetime(2025, 10, 25, 22, tzinfo=UTC)


def test_a_time_that_does_not_exist_is_due_once_when_the_clock_goes_on() -> None:
    assert berlin("30 2 * * *", SPRING) == ["03:00+0200"]
    assert berlin("0,20,40 2,3 * * *", SPRING) == ["03:00+0200", "03:20+0200", "03:40+0200"]
    assert berlin("*/30 * * * *", SPRING)[1:5] == ["00:30+0100", "01:00+0100", "01:30+0100", "03:00+0200"]


def test_a_time_that_comes_twice_is_due_once_and_each_hour_is_an_hour() -> None:
    assert berlin("30 2 * * *", AUTUMN) == ["02:30+0200"]
    assert berlin("30 * * * *", AUTUMN) == ["00:30+0200", "01:30+0200", "02:30+0200", "02:30+0100", "03:30+0100"]


@given(
    st.timedeltas(MINUTE, timedelta(days=40)).map(lambda one: timedelta(seconds=one // timedelta(seconds=1))),
    st.datetimes(START, START + 120 * 365 * DAY),
)
@example(DAY, START)
@example(7 * DAY, START + 4 * DAY)
def test_intervals_are_counted_from_one_moment(length: timedelta, moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC)
    schedule = Schedule(when=Every(length=length))
    last, following = last_due(schedule, at), next_due(schedule, at)
    assert last is not None
    assert following is not None
    assert last <= at < following
    assert following - last == length
    assert (last - ANCHOR) % length == timedelta()
    assert list(due_between(schedule, last, following + length)) == [following, following + length]


def test_days_begin_at_midnight_and_weeks_on_monday() -> None:
    at = datetime(2025, 8, 14, 15, tzinfo=UTC)
    assert last_due(Schedule(when=Every(length=DAY)), at) == datetime(2025, 8, 14, tzinfo=UTC)
    assert last_due(Schedule(when=Every(length=7 * DAY)), at) == datetime(2025, 8, 11, tzinfo=UTC)


def test_a_rare_day_is_found_both_ways() -> None:
    schedule = Schedule(when=Cron(line="0 0 29 2 *"))
    at = datetime(2025, 8, 14, tzinfo=UTC)
    assert (last_due(schedule, at), next_due(schedule, at)) == (
        datetime(2024, 2, 29, tzinfo=UTC),
        datetime(2028, 2, 29, tzinfo=UTC),
    )
    assert next_due(Schedule(when=Cron(line="0 0 * 2 MON#5")), at) == datetime(2044, 2, 29, tzinfo=UTC)


def test_a_day_that_was_left_out_altogether() -> None:
    samoa = Schedule(when=Cron(line="0 12 * * *", timezone="Pacific/Apia"))
    start = datetime(2011, 12, 29, tzinfo=UTC)
    found = [one.astimezone(ZoneInfo("Pacific/Apia")) for one in due_between(samoa, start, start + 3 * DAY)]
    assert [one.strftime("%d %H:%M") for one in found] == ["29 12:00", "31 00:00", "31 12:00", "01 12:00"]
