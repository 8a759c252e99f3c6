"""What is queued by schedule: once by however many, behind or with what is there; and parked runs that may go on."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from kasparro.assembly.scheduling import EVERY, Looked, Scheduler, keep_ticking, scheduling
from kasparro.assembly.up import queue_first
from kasparro.config import Config, declare_sources
from kasparro.errors import SchemaBroken
from kasparro.model.schedule import Every, Schedule
from kasparro.scheduling.ticks import begins
from kasparro.store.database import Database
from kasparro.store.queue import Queue, Queued

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

Ask = Callable[..., list[tuple[Any, ...]]]


def config(**schedules: Any) -> Config:
    given = {"type": "csv", "path": "x.csv"}
    return declare_sources(
        {name: given if one is None else {**given, "schedule": one} for name, one in schedules.items()}, folder=Path()
    )


@pytest.fixture
async def ask(database_url: str) -> AsyncIterator[Ask]:
    """Ask the database."""
    with psycopg.connect(database_url, autocommit=True) as connection:

        def asked(statement: str, *given: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), given)
            return cursor.fetchall() if cursor.description else []

        yield asked


class Watch:
    """Schedulers of one configuration, at moments that a test says."""

    def __init__(self, database: Database, ask: Ask, found: Config, since: datetime = NOON) -> None:
        self.database, self.ask = database, ask
        self.scheduler = Scheduler(found, database)
        self.since = since

    async def declared(self) -> "Watch":
        await self.scheduler.declare()
        self.ask("UPDATE source_schedule SET since = %s", self.since)
        return self

    async def at(self, moment: datetime) -> list[tuple[str, str, datetime | None]]:
        looked = await self.scheduler.tick(moment)
        return [(one.source, one.was, one.due) for one in looked.seen]

    async def queued(self) -> list[Queued]:
        return await Queue(self.database).waiting()

    def taken(self) -> None:
        """A worker takes all that waits."""
        self.ask("UPDATE procrastinate_jobs SET status = 'doing' WHERE status = 'todo'")

    def done(self) -> None:
        """It has run them."""
        self.ask("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE status = 'doing'")


async def test_however_many_look_a_due_moment_is_queued_once(database: Database, database_url: str, ask: Ask) -> None:
    found = config(**{f"s{n}": "1h" for n in range(5)}, daily="@daily")
    await Watch(database, ask, found).declared()
    async with Database(database_url, size=2) as other, Database(database_url, size=2) as third:
        schedulers = [Scheduler(found, one) for one in (database, other, third) for _ in range(3)]
        looked = await asyncio.gather(*(one.tick(NOON + HOUR) for one in schedulers))
    seen = [one for each in looked for one in each.seen]
    assert sorted((one.source, one.was) for one in seen) == [(f"s{n}", "queued") for n in range(5)]
    assert {one.following for one in looked} == {NOON + 2 * HOUR}
    jobs = await Queue(database).waiting()
    assert sorted((one.source, one.by, one.due) for one in jobs) == [
        (f"s{n}", "schedule", NOON + HOUR) for n in range(5)
    ]
    assert ask("SELECT queued, joined, missed, last_was, last_due FROM schedule_tick GROUP BY 1, 2, 3, 4, 5") == [
        (1, 0, 0, "queued", NOON + HOUR)
    ]


async def test_what_could_not_be_queued_was_not_seen_to(database: Database, ask: Ask) -> None:
    watch = await Watch(database, ask, config(coins="1h")).declared()
    ask("ALTER TABLE procrastinate_jobs RENAME TO away")  # what a kill between both statements would leave
    with pytest.raises(SchemaBroken):
        await watch.at(NOON + HOUR)
    assert ask("SELECT * FROM schedule_tick") == []
    ask("ALTER TABLE away RENAME TO procrastinate_jobs")
    assert await watch.at(NOON + HOUR) == [("coins", "queued", NOON + HOUR)]


async def test_a_moment_joins_a_run_that_waits_and_waits_behind_one_that_is_under_way(
    database: Database, ask: Ask
) -> None:
    watch = await Watch(database, ask, config(coins="1h")).declared()
    assert await watch.at(NOON + HOUR) == [("coins", "queued", NOON + HOUR)]
    assert await watch.at(NOON + 2 * HOUR) == [("coins", "joined", NOON + 2 * HOUR)]
    (job,) = await watch.queued()
    assert job.due == NOON + HOUR
    watch.taken()
    assert await watch.at(NOON + 3 * HOUR) == [("coins", "queued", NOON + 3 * HOUR)]
    assert [one.due for one in await watch.queued()] == [NOON + 3 * HOUR]
    assert ask("SELECT queued, joined, missed, job_id <> %s FROM schedule_tick", job.id) == [(2, 1, 0, True)]


async def test_jitter_is_when_the_run_may_begin(database: Database, ask: Ask) -> None:
    found = config(coins={"every": "1h", "jitter": "10m"})
    watch = await Watch(database, ask, found).declared()
    schedule = found.sources[0].schedule
    assert schedule is not None
    await watch.at(NOON + HOUR)
    (job,) = await watch.queued()
    assert job.at == begins("coins", schedule, NOON + HOUR)
    assert NOON + HOUR < job.at < NOON + HOUR + 10 * MINUTE


async def test_a_downtime_is_made_up_for_once_or_not_at_all(database: Database, ask: Ask) -> None:
    found = config(coins="1h", none={"every": "1h", "catch_up": False})
    watch = await Watch(database, ask, found).declared()
    await watch.at(NOON + HOUR)
    watch.taken()
    watch.done()
    again = Watch(database, ask, found)  # nothing ran for days
    late = NOON + 49 * HOUR + 30 * MINUTE
    assert await again.at(late) == [("coins", "queued", NOON + 49 * HOUR), ("none", "passed", None)]
    assert await again.at(late + SECOND) == []
    assert [(one.source, one.due, one.at) for one in await again.queued()] == [("coins", NOON + 49 * HOUR, None)]
    assert ask("SELECT source, queued, missed, last_was FROM schedule_tick ORDER BY 1") == [
        ("coins", 2, 48, "queued"),
        ("none", 1, 48, "passed"),
    ]
    watch.taken()
    watch.done()
    assert await again.at(NOON + 50 * HOUR) == [(name, "queued", NOON + 50 * HOUR) for name in ("coins", "none")]


async def test_a_first_declaration_makes_up_for_nothing(database: Database, ask: Ask) -> None:
    watch = Watch(database, ask, config(coins="1w"))
    await watch.scheduler.declare()
    looked = await watch.scheduler.tick()
    assert looked.seen == ()
    assert looked.now is not None
    assert looked.following is not None
    assert looked.now < looked.following <= looked.now + 7 * DAY


async def test_a_clock_that_jumps(database: Database, ask: Ask) -> None:
    watch = await Watch(database, ask, config(coins="1h")).declared()
    await watch.at(NOON + HOUR)
    watch.taken()
    watch.done()
    for back in (SECOND, 30 * MINUTE, HOUR):
        assert await watch.at(NOON + HOUR - back) == []
    assert await watch.at(NOON + HOUR + 30 * DAY) == [("coins", "queued", NOON + HOUR + 30 * DAY)]
    watch.taken()
    watch.done()
    with capture_logs() as logs:  # the clock is right again
        assert await watch.at(NOON + 90 * MINUTE) == [("coins", "healed", None)]
    assert [(one["log_level"], one["source"]) for one in logs] == [("warning", "coins")]
    assert await watch.at(NOON + 91 * MINUTE) == []
    assert await watch.at(NOON + 2 * HOUR) == [("coins", "queued", NOON + 2 * HOUR)]


async def test_a_schedule_that_is_declared_elsewhere_holds_and_is_told_once(database: Database, ask: Ask) -> None:
    mine = await Watch(database, ask, config(coins="1h")).declared()
    theirs = await Watch(database, ask, config(coins="1d", news="@hourly")).declared()
    with capture_logs() as logs:
        assert await mine.at(NOON + HOUR) == []
        assert await mine.at(NOON + 2 * HOUR) == []
    assert [(one["log_level"], one["source"], one["here"], one["holds"]) for one in logs] == [
        ("warning", "coins", "every 1h", "every 1d")
    ]
    # Each looks after its own sources, at the moments of the latest declaration.
    assert await mine.at(NOON + 12 * HOUR) == [("coins", "queued", NOON + 12 * HOUR)]
    assert await theirs.at(NOON + 12 * HOUR) == [("news", "queued", NOON + 12 * HOUR)]
    # So it is where the latest has none.
    bare = await Watch(database, ask, config(coins=None)).declared()
    with capture_logs() as logs:
        assert await mine.at(NOON + 3 * DAY) == []
        assert await bare.at(NOON + 3 * DAY) == []
    assert [(one["source"], one["holds"]) for one in logs] == [("coins", "none")]


async def test_a_changed_schedule_promises_nothing_for_before(database: Database, ask: Ask) -> None:
    watch = await Watch(database, ask, config(coins="1h")).declared()
    await watch.at(NOON + HOUR)
    watch.taken()
    watch.done()
    other = await Watch(database, ask, config(coins="30m"), since=NOON + 5 * HOUR + SECOND).declared()
    assert await other.at(NOON + 5 * HOUR + MINUTE) == []
    due = NOON + 5 * HOUR + 30 * MINUTE
    assert await other.at(due) == [("coins", "queued", due)]


STRANGE: list[dict[str, Any]] = [
    {"lunar": "full"},
    {"every": 0, "jitter": 0, "catch_up": True, "grace": None},
    {"every": 10**18, "jitter": 0, "catch_up": True, "grace": None},
    {"cron": "0 0 * * *", "timezone": "Moon/Crater", "jitter": 0, "catch_up": True, "grace": None},
]


@pytest.mark.parametrize("strange", STRANGE)
async def test_one_that_cannot_be_read_here_is_left_to_others(
    database: Database, ask: Ask, strange: dict[str, Any]
) -> None:
    watch = await Watch(database, ask, config(coins="1h", news="1h")).declared()
    ask("UPDATE source_schedule SET schedule = %s::json WHERE source = 'coins'", json.dumps(strange))
    with capture_logs() as logs:
        assert await watch.at(NOON + HOUR) == [("news", "queued", NOON + HOUR)]
        await watch.at(NOON + HOUR + SECOND)
    told = [one for one in logs if one["log_level"] == "warning"]
    assert len(told) == 2
    assert {one["source"] for one in told} == {"coins"}


async def test_what_was_forgotten_by_hand_is_run_all_the_same(database: Database, ask: Ask) -> None:
    watch = await Watch(database, ask, config(coins="1h")).declared()
    ask("UPDATE source_schedule SET schedule = NULL")
    assert await watch.at(NOON + HOUR) == [("coins", "queued", NOON + HOUR)]


def parked(ask: Ask, source: str, resume_at: datetime) -> int:
    ((number,),) = ask(
        "INSERT INTO etl_run (source, status, started_at, finished_at, resume_at, holder, config_hash, code_version) "
        "VALUES (%s, 'parked', %s, %s, %s, 'x', 'x', '0') RETURNING id",
        source,
        NOON,
        NOON,
        resume_at,
    )
    return int(number)


async def test_a_parked_run_goes_on_once_when_its_time_has_come(
    database: Database, database_url: str, ask: Ask
) -> None:
    watch = await Watch(database, ask, config(coins=None)).declared()
    parked(ask, "coins", NOON + HOUR)
    looked = await watch.scheduler.tick(NOON + 10 * MINUTE)
    assert (looked.seen, looked.following) == ((), NOON + HOUR)
    async with Database(database_url, size=2) as other:
        both = [watch.scheduler, Scheduler(config(coins=None), other)]
        seen = [one for each in await asyncio.gather(*(one.tick(NOON + HOUR) for one in both)) for one in each.seen]
    assert [(one.source, one.was) for one in seen] == [("coins", "resumed")]
    assert [(one.source, one.by) for one in await watch.queued()] == [("coins", "resume")]
    assert await watch.at(NOON + HOUR + MINUTE) == []
    watch.taken()
    assert await watch.at(NOON + HOUR + 2 * MINUTE) == []
    # A worker took it and could not begin a run; after a while it is tried again, and again once.
    watch.done()
    assert await watch.at(NOON + HOUR + 11 * MINUTE) == [("coins", "resumed", None)]
    assert await watch.at(NOON + HOUR + 12 * MINUTE) == []
    # It is over with the next run, whatever becomes of that.
    watch.taken()
    watch.done()
    ask(
        "INSERT INTO etl_run (source, status, started_at, finished_at, holder, config_hash, code_version) "
        "VALUES ('coins', 'success', now(), now(), 'x', 'x', '0')"
    )
    assert await watch.at(NOON + 3 * HOUR) == []


async def test_a_parked_source_is_not_run_by_its_schedule_meanwhile(database: Database, ask: Ask) -> None:
    watch = await Watch(database, ask, config(coins="1h")).declared()
    parked(ask, "coins", NOON + 150 * MINUTE)
    assert await watch.at(NOON + HOUR) == [("coins", "joined", NOON + HOUR)]
    assert await watch.at(NOON + 2 * HOUR) == [("coins", "joined", NOON + 2 * HOUR)]
    assert await watch.queued() == []
    assert await watch.at(NOON + 150 * MINUTE) == [("coins", "resumed", None)]
    assert await watch.at(NOON + 3 * HOUR) == [("coins", "joined", NOON + 3 * HOUR)]
    assert [one.by for one in await watch.queued()] == ["resume"]


async def test_it_wakes_when_something_is_due(database: Database, ask: Ask) -> None:
    """Every second, which no configuration may ask for: who looks only now and then sees few of the next ones."""
    found = config(coins="1h")
    each_second = Schedule(when=Every(length=SECOND))
    found = replace(found, sources=tuple(replace(one, schedule=each_second) for one in found.sources))
    dues: list[datetime] = []
    enough = asyncio.Event()

    def ticked(looked: Looked) -> None:
        dues.extend(one.due for one in looked.seen if one.due is not None)
        ask("DELETE FROM procrastinate_jobs")
        if len(dues) >= 4:
            enough.set()

    ticking = asyncio.create_task(keep_ticking(Scheduler(found, database), ticked))
    await asyncio.wait_for(enough.wait(), EVERY)
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    gaps = [later - earlier for earlier, later in pairwise(dues)]
    assert min(gaps) == SECOND
    assert sum(gaps, timedelta()) < timedelta(seconds=EVERY)


async def test_a_database_that_is_away_is_told_once_and_tried_again(database: Database, ask: Ask) -> None:
    ask("ALTER TABLE schedule_tick RENAME TO away")
    back = asyncio.Event()
    with capture_logs() as logs:
        ticking = asyncio.create_task(
            keep_ticking(Scheduler(config(coins="1h"), database), lambda _looked: back.set()),
        )
        async with asyncio.timeout(30):
            while not any("nothing is queued by schedule" in one["event"] for one in logs):  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.01)
            ask("ALTER TABLE away RENAME TO schedule_tick")
            await back.wait()
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
    assert [one["event"] for one in logs if one["log_level"] == "info"] == ["schedules go on"]
    assert sum("nothing is queued by schedule" in one["event"] for one in logs) == 1


async def test_schedules_are_declared_when_it_begins_and_it_ends_with_its_block(database: Database, ask: Ask) -> None:
    ask("INSERT INTO source_schedule VALUES ('bare', %s::json, now())", Schedule(when=Every(length=HOUR)).to_text())
    before = asyncio.all_tasks()
    async with scheduling(config(coins="1h", bare=None), database):
        async with asyncio.timeout(30):
            while ask("SELECT source FROM source_schedule") != [("coins",)]:  # noqa: ASYNC110 - a table
                await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before


async def test_what_is_queued_when_everything_starts(database: Database, ask: Ask) -> None:
    found = config(bare=None, fresh="1d", known="1d", waits=None)
    ask(
        "INSERT INTO etl_source (source, kind, dataset, origin, primary_key, shape, last_read_id) "
        "SELECT name, 'csv', 'normalized_data', '', '[]', '', 1 FROM unnest(ARRAY['known', 'bare']) AS name"
    )
    ((now,),) = ask("SELECT now()")
    parked(ask, "waits", now + HOUR)
    assert sorted(one.source for one in await queue_first(found, database)) == ["bare", "fresh"]
    assert await queue_first(found, database) == []
    assert {one.by for one in await Queue(database).waiting()} == {"cli"}
