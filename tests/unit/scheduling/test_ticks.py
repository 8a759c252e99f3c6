"""What is done about a schedule: on time, after a downtime, at first, and when a clock was wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.model.schedule import Cron, Every, Schedule
from kasparro.scheduling.moments import due_between
from kasparro.scheduling.ticks import MOST_COUNTED, ON_TIME, Tick, begins, decide, upcoming

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BEFORE = NOON - timedelta(days=300)
HOURLY = Schedule(when=Every(length=HOUR))


def decided(last: datetime | None, now: datetime, schedule: Schedule = HOURLY, since: datetime = BEFORE) -> Tick | None:
    return decide("coins", schedule, last=last, since=since, now=now)


def test_a_moment_is_due_from_its_first_second_on_and_once() -> None:
    assert decided(NOON - HOUR, NOON - SECOND) is None
    assert decided(NOON - HOUR, NOON) == Tick(due=NOON, at=NOON, missed=0, seen_to=NOON)
    assert decided(NOON, NOON) is None
    assert decided(NOON, NOON + HOUR - SECOND) is None
    assert upcoming(HOURLY, last=NOON, since=BEFORE, now=NOON) == NOON + HOUR


def test_what_passed_together_comes_to_one_run_for_the_last() -> None:
    assert decided(NOON - 5 * HOUR, NOON + SECOND) == Tick(due=NOON, at=NOON, missed=4, seen_to=NOON)
    late = NOON + ON_TIME + SECOND
    assert decided(NOON - 5 * HOUR, late) == Tick(due=NOON, at=NOON, missed=5, seen_to=NOON)


def test_what_was_missed_is_made_up_for_only_where_the_schedule_says_so() -> None:
    none = Schedule(when=Every(length=HOUR), catch_up=False)
    late = NOON + ON_TIME + SECOND
    assert decided(NOON - 5 * HOUR, late, none) == Tick(due=None, at=None, missed=5, seen_to=NOON)
    on_time = NOON + ON_TIME
    assert decided(NOON - 5 * HOUR, on_time, none) == Tick(due=NOON, at=NOON, missed=4, seen_to=NOON)


def test_a_first_declaration_and_another_one_promise_nothing_for_the_past() -> None:
    assert decided(None, NOON + MINUTE, since=NOON + SECOND) is None
    assert upcoming(HOURLY, last=None, since=NOON + SECOND, now=NOON + MINUTE) == NOON + HOUR
    assert decided(NOON - 5 * HOUR, NOON + MINUTE, since=NOON + SECOND) is None
    first = decided(None, NOON + HOUR, since=NOON + SECOND)
    assert first == Tick(due=NOON + HOUR, at=NOON + HOUR, missed=0, seen_to=NOON + HOUR)


def test_a_clock_that_was_set_back_runs_nothing_twice() -> None:
    for back in (SECOND, 59 * MINUTE, HOUR):
        assert decided(NOON, NOON - back) is None
        assert upcoming(HOURLY, last=NOON, since=BEFORE, now=NOON - back) == NOON + HOUR


def test_a_moment_far_ahead_is_counted_anew_from_now_on() -> None:
    back = NOON - HOUR - SECOND
    assert decided(NOON, back) == Tick(seen_to=back, healed=True)
    assert decided(NOON + timedelta(days=900), NOON) == Tick(seen_to=NOON, healed=True)
    assert upcoming(HOURLY, last=back, since=BEFORE, now=back) == NOON - HOUR


def test_a_schedule_that_was_declared_by_a_clock_that_was_ahead_is_as_if_declared_now() -> None:
    ahead = NOON + timedelta(days=900)
    assert decided(None, NOON + SECOND, since=ahead) == Tick(seen_to=NOON + SECOND, healed=True)
    assert upcoming(HOURLY, last=None, since=ahead, now=NOON) == NOON + HOUR
    assert decided(NOON + SECOND, NOON + 2 * SECOND, since=ahead) is None
    assert decided(NOON + SECOND, NOON + HOUR, since=ahead) == Tick(
        due=NOON + HOUR, at=NOON + HOUR, seen_to=NOON + HOUR
    )


def test_a_long_downtime_is_counted_up_to_a_bound() -> None:
    each_minute = Schedule(when=Every(length=MINUTE))
    found = decided(NOON - timedelta(days=200), NOON, each_minute)
    assert found is not None
    assert (found.due, found.missed) == (NOON, MOST_COUNTED - 1)


@given(st.text(max_size=20), st.integers(0, 10**6), st.integers(0, 3599))
def test_the_jitter_is_the_same_everywhere_and_less_than_what_was_asked_for(name: str, hours: int, jitter: int) -> None:
    due = NOON + hours * HOUR
    schedule = Schedule(when=Every(length=HOUR), jitter=timedelta(seconds=jitter))
    at = begins(name, schedule, due)
    assert at == begins(name, schedule, due.astimezone())
    assert due <= at
    assert at < due + schedule.jitter or at == due


def test_the_jitter_spreads_sources_and_moments() -> None:
    schedule = Schedule(when=Every(length=HOUR), jitter=10 * MINUTE)
    of_sources = sorted((begins(f"s{n}", schedule, NOON) - NOON).total_seconds() for n in range(1000))
    of_moments = sorted((begins("s", schedule, NOON + n * HOUR) - NOON - n * HOUR).total_seconds() for n in range(1000))
    for spread in (of_sources, of_moments):
        assert 40 < spread[100] < 80
        assert 270 < spread[500] < 330
        assert 520 < spread[900] < 560


@pytest.mark.parametrize("catch_up", [True, False])
@given(data=st.data())
def test_however_often_somebody_looks_each_moment_is_seen_to_once(catch_up: bool, data: st.DataObject) -> None:  # noqa: FBT001
    schedule = Schedule(when=Cron(line="*/20 1-3 * * *", timezone="Europe/Berlin"), catch_up=catch_up)
    start = datetime(2026, 3, 28, 20, tzinfo=UTC)
    steps = data.draw(st.lists(st.integers(1, 9000), min_size=1, max_size=60))
    last, now, due, missed = None, start, [], 0
    for step in steps:
        now += timedelta(seconds=step)
        found = decided(last, now, schedule, since=start)
        if found is not None:
            last = found.seen_to
            missed += found.missed
            late = found.due is not None and now - found.due > ON_TIME
            if found.due is not None:
                due.append(found.due)
                missed -= late
            assert catch_up or not late
    expected = list(due_between(schedule, start, now))
    assert len(due) + missed == len(expected)
    assert sorted(set(due)) == due
    assert set(due) <= set(expected)
