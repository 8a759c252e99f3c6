"""When a source is late: by its schedule, by its habit; and when nobody should say so."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.judge.late import Past, expected, is_on_time, late
from kasparro.model.schedule import Cron, Every, Schedule

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAILY = Schedule(when=Cron(line="0 6 * * *"))
SIX = MONDAY + 6 * HOUR


def past(schedule: Schedule | None, success: datetime | None, **given: object) -> Past:
    return Past(schedule=schedule, since=MONDAY - 30 * DAY, last_success=success, **given)  # type: ignore[arg-type]


def test_a_quarter_of_the_interval_is_given_and_what_runs_usually_take() -> None:
    one = expected(past(DAILY, SIX + MINUTE))
    assert one is not None
    assert (one.due, one.allowed, one.critical) == (SIX + DAY, SIX + DAY + 6 * HOUR, SIX + 4 * DAY + 6 * HOUR)
    slow = expected(past(DAILY, SIX + MINUTE, durations=(3600.0,) * 9 + (40_000.0,)))
    assert slow is not None
    assert slow.allowed == SIX + DAY + 7 * HOUR


def test_ten_minutes_are_the_least_unless_another_grace_is_declared() -> None:
    often = Schedule(when=Cron(line="*/5 * * * *"))
    one = expected(past(often, SIX))
    assert one is not None
    assert one.allowed - one.due == 10 * MINUTE
    strict = expected(past(Schedule(when=often.when, grace=2 * MINUTE), SIX, durations=(600.0,)))
    assert strict is not None
    assert strict.allowed - strict.due == 2 * MINUTE
    spread = expected(past(Schedule(when=often.when, jitter=MINUTE), SIX))
    assert spread is not None
    assert spread.allowed - spread.due == 11 * MINUTE


@pytest.mark.parametrize(
    ("now", "severity"),
    [
        (SIX + DAY, None),
        (SIX + DAY + 6 * HOUR, None),
        (SIX + DAY + 6 * HOUR + MINUTE, "warning"),
        (SIX + 4 * DAY + 6 * HOUR, "warning"),
        (SIX + 4 * DAY + 6 * HOUR + MINUTE, "critical"),
        (SIX - 400 * DAY, None),
    ],
)
def test_from_when_on_it_is_said(now: datetime, severity: str | None) -> None:
    found = late(past(DAILY, SIX + MINUTE), now)
    assert (None if found is None else found.severity) == severity


def test_the_sentence_has_the_numbers() -> None:
    found = late(past(DAILY, SIX + MINUTE), SIX + 2 * DAY)
    assert found is not None
    assert (found.kind, found.subject) == ("source_late", "source")
    assert found.message == (
        "The source last succeeded at 2026-03-02 06:01+00:00. By its schedule (0 6 * * * (UTC)) a run was due at "
        "2026-03-03 06:00+00:00 and had until 2026-03-03 12:00+00:00 to succeed; it is 24 hours late."
    )
    assert found.expected == {"low": "2026-03-03T06:00:00+00:00", "high": "2026-03-03T12:00:00+00:00"}
    never = late(past(DAILY, None), SIX)
    assert never is not None
    assert never.message.startswith("The source never succeeded. ")
    assert never.observed is None


def test_a_success_a_little_before_the_due_moment_counts_for_it() -> None:
    one, early = expected(past(DAILY, SIX - timedelta(seconds=50))), expected(past(DAILY, SIX - 2 * MINUTE))
    assert one is not None
    assert early is not None
    assert (one.due, early.due) == (SIX + DAY, SIX)
    each = Schedule(when=Cron(line="* * * * *"))
    often = expected(past(each, SIX - timedelta(seconds=50)))
    assert often is not None
    assert often.due == SIX


def test_nothing_was_promised_before_the_schedule_was_declared() -> None:
    one = expected(Past(schedule=DAILY, since=MONDAY + 9 * HOUR, last_success=MONDAY - 20 * DAY))
    assert one is not None
    assert one.due == SIX + DAY
    assert expected(Past(schedule=DAILY)) is None


def test_an_interval_is_counted_from_the_last_success_whoever_starts_the_runs() -> None:
    one = expected(past(Schedule(when=Every(length=6 * HOUR)), MONDAY + 3 * HOUR))
    assert one is not None
    assert (one.due, one.allowed) == (MONDAY + 9 * HOUR, MONDAY + 10.5 * HOUR)
    assert one.critical == one.allowed + 18 * HOUR


def test_weekends_and_uneven_times_are_known() -> None:
    workdays = Schedule(when=Cron(line="0 6 * * 1-5"))
    friday = SIX + 4 * DAY
    one = expected(past(workdays, friday + MINUTE))
    assert one is not None
    assert (one.due, one.allowed) == (friday + 3 * DAY, friday + 3 * DAY + 6 * HOUR)
    assert one.critical == friday + 6 * DAY + 6 * HOUR
    mornings = expected(past(Schedule(when=Cron(line="0 9,10,11 * * *")), MONDAY + 10.1 * HOUR))
    assert mornings is not None
    assert (mornings.due, mornings.allowed) == (MONDAY + 11 * HOUR, MONDAY + 11.25 * HOUR)


def test_clocks_that_are_set_make_nobody_late() -> None:
    zone = ZoneInfo("Europe/Berlin")
    nightly = Schedule(when=Cron(line="30 2 * * *", timezone="Europe/Berlin"))
    for day in (datetime(2025, 3, 29, tzinfo=zone), datetime(2025, 10, 25, tzinfo=zone)):
        success = (day + 2.6 * HOUR).astimezone(UTC)
        one = expected(Past(schedule=nightly, since=success - DAY, last_success=success))
        assert one is not None
        assert timedelta(hours=23) <= one.due - success < timedelta(hours=26)


def habit(*gaps: float, seen: timedelta = 300 * DAY) -> Past:
    starts = [MONDAY]
    for gap in gaps:
        starts.append(starts[-1] + timedelta(seconds=gap))
    return Past(
        first_seen=starts[-1] - seen,
        last_success=starts[-1] + MINUTE,
        starts=tuple(starts),
        durations=(60.0,) * len(starts),
    )


def test_what_a_source_did_evenly_it_is_expected_to_go_on_with() -> None:
    hourly = habit(*[3600.0] * 20)
    last = hourly.starts[-1]
    assert late(hourly, last + timedelta(seconds=1.5 * 3600 + 360)) is None
    found = late(hourly, last + 2 * HOUR)
    assert found is not None
    assert found.severity == "warning"
    assert "It has no schedule, but ran every 60 minutes, so a run was due at" in found.message
    gross = late(hourly, last + 5 * HOUR)
    assert gross is not None
    assert gross.severity == "critical"


def test_office_hours_and_weekends_of_an_hourly_source() -> None:
    day = [3600.0] * 9 + [15 * 3600.0]
    week = [*day * 4, *[3600.0] * 9, 63 * 3600.0]
    office = habit(*week, *week, *[*day * 4, *[3600.0] * 9])
    friday = office.starts[-1]
    assert late(office, friday + timedelta(hours=63)) is None
    assert late(office, friday + timedelta(hours=64)) is not None


def test_a_wait_that_came_twice_is_not_odd() -> None:
    week = [86_400.0] * 4 + [3 * 86_400.0]
    workdays = habit(*week, *week, *week)
    last = workdays.starts[-1]
    assert late(workdays, last + 3 * DAY) is None
    assert late(workdays, last + 3.1 * DAY) is not None
    once = habit(*[86_400.0] * 10, 5 * 86_400.0, *[86_400.0] * 10)
    assert late(once, once.starts[-1] + 2 * DAY) is not None


@pytest.mark.parametrize(
    "gaps",
    [
        [],
        [3600.0] * 6,
        [5.0] * 40,  # a loop on a command line
        [60.0, 200.0, 90.0, 400.0, 70.0, 1000.0, 65.0, 300.0, 80.0],  # a person who tries things
        [28_800.0, 57_600.0] * 10,  # twice a day: no even distances
    ],
)
def test_no_habit_no_lateness(gaps: list[float]) -> None:
    assert expected(habit(*gaps)) is None


def test_a_source_without_a_schedule_is_given_up_after_as_long_as_it_ran() -> None:
    short = habit(*[3600.0] * 10, seen=10 * HOUR)
    last = short.starts[-1]
    assert late(short, last + 9 * HOUR) is not None
    assert late(short, last + 11 * HOUR) is None
    assert late(habit(*[3600.0] * 10), last + 200 * DAY) is not None


SCHEDULES = st.sampled_from(
    [
        DAILY,
        Schedule(when=Every(length=15 * MINUTE)),
        Schedule(when=Cron(line="*/15 * * * *")),
        Schedule(when=Cron(line="30 2 * * *", timezone="Europe/Berlin"), grace=HOUR),
        Schedule(when=Cron(line="0 6 1 * *")),
        Schedule(when=Cron(line="0 6 * * 1-5", timezone="America/New_York"), jitter=5 * MINUTE),
    ]
)


@given(SCHEDULES, st.integers(0, 3 * 365 * 86_400), st.lists(st.floats(0, 1e4), max_size=20))
def test_it_gets_worse_and_never_better_by_waiting(schedule: Schedule, second: int, durations: list[float]) -> None:
    success = MONDAY + timedelta(seconds=second)
    one = Past(schedule=schedule, since=MONDAY, last_success=success, durations=tuple(durations))
    wait = expected(one)
    assert wait is not None
    assert success < wait.due < wait.allowed < wait.critical
    moments = [success, wait.due, wait.allowed, wait.allowed + MINUTE, wait.critical, wait.critical + MINUTE]
    found = [late(one, now) for now in sorted(moments)]
    ranks = [0 if it is None else ("warning", "critical").index(it.severity) + 1 for it in found]
    assert ranks[0] == 0
    assert ranks[-1] == 2
    assert all(earlier <= later for earlier, later in pairwise(ranks))


@given(SCHEDULES, st.integers(0, 3 * 365 * 86_400), st.integers(0, 40 * 86_400))
def test_who_is_on_time_is_not_late(schedule: Schedule, second: int, waited: int) -> None:
    success = MONDAY + timedelta(seconds=second)
    one = Past(schedule=schedule, since=MONDAY, last_success=success)
    now = success + timedelta(seconds=waited)
    assert not (is_on_time(one, now) and late(one, now) is not None)
    assert is_on_time(one, success)
