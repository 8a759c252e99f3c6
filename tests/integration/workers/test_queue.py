"""What waits to be run: one of each source, as early and as thorough as anybody asked, in the order of asking."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.queue import TASK, Queue, queue_of
from kasparro.store.workers import Workers

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def execute(database: Database, statement: str) -> None:
    async with database.connection() as connection:
        await connection.execute(statement.encode())


async def test_what_is_put_waits_in_the_order_of_asking(database: Database) -> None:
    queue = Queue(database)
    put = [await queue.put(None, source=name, by="cli") for name in ("b", "a", "c")]
    assert [one.new for one in put] == [True, True, True]
    assert [one.source for one in await queue.waiting()] == ["b", "a", "c"]
    assert [one.source for one in await queue.waiting(2)] == ["b", "a"]
    assert await queue.running() == []
    found = await queue.get(put[1].id)
    assert found is not None
    assert (found.status, found.trigger, found.by, found.at, found.tries) == ("waiting", "run", "cli", None, 0)
    assert await queue.get(4_711) is None


async def test_the_second_asker_gets_the_first_job(database: Database) -> None:
    queue = Queue(database)
    first = await queue.put(None, source="a", by="schedule", at=NOON, due=NOON)
    second = await queue.put(None, source="a", by="api", at=NOON + timedelta(hours=1))
    assert (second.id, second.new, second.at, second.by, second.due) == (first.id, False, NOON, "schedule", NOON)
    assert len(await queue.waiting()) == 1


async def test_whoever_asks_for_more_or_for_sooner_gets_it(database: Database) -> None:
    queue = Queue(database)
    await queue.put(None, source="a", by="schedule", at=NOON)
    sooner = await queue.put(None, source="a", by="api", trigger="full_refresh", accept=True)
    assert (sooner.at, sooner.trigger, sooner.accept, sooner.new) == (None, "full_refresh", True, False)
    less = await queue.put(None, source="a", by="cli", at=NOON)
    assert (less.at, less.trigger, less.accept) == (None, "full_refresh", True)


async def test_it_is_queued_with_the_transaction_of_the_caller(database: Database) -> None:
    queue = Queue(database)
    async with database.connection() as connection, connection.transaction(force_rollback=True):
        assert (await queue.put(connection, source="a", by="schedule")).new
    assert await queue.waiting() == []


async def test_twenty_at_once_queue_one(database: Database) -> None:
    queue = Queue(database)
    put = await asyncio.gather(*(queue.put(None, source="a", by="api") for _ in range(20)))
    assert sum(one.new for one in put) == 1
    assert len({one.id for one in put}) == 1


async def test_one_waits_behind_one_that_is_under_way(database: Database) -> None:
    queue = Queue(database)
    first = await queue.put(None, source="a", by="cli")
    await execute(database, "UPDATE procrastinate_jobs SET status = 'doing'")
    second = await queue.put(None, source="a", by="cli")
    assert second.new
    assert [one.id for one in await queue.running()] == [first.id]
    assert [one.id for one in await queue.waiting()] == [second.id]


@pytest.mark.parametrize("name", ["a", "a" * 40, "a" * 41, "ü" * 80, "x" * 200 + "1", "x" * 200 + "2"])
async def test_a_source_of_any_name_has_a_channel_of_its_own(database: Database, name: str) -> None:
    channel = f"procrastinate_queue_v1#{queue_of(name)}"
    assert len(channel.encode()) <= 63
    queued = await Queue(database).put(None, source=name, by="cli")
    assert queued.source == name
    assert queue_of("x" * 200 + "1") != queue_of("x" * 200 + "2")


async def test_workers_are_told_of_a_job_that_is_to_begin_sooner(database: Database) -> None:
    queue = Queue(database)
    await queue.put(None, source="a", by="schedule", at=NOON)
    async with database.own_connection() as connection:
        await connection.execute('LISTEN "procrastinate_queue_v1#a"')
        await queue.put(None, source="a", by="api")
        async with asyncio.timeout(30):
            told = await anext(connection.notifies())
    assert '"job_inserted"' in told.payload


@pytest.mark.parametrize("name", ["waiting", "running", "orphans"])
async def test_no_list_reads_what_has_ended(database: Database, name: str) -> None:
    ended = (
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) SELECT 'a', %(task)s, '{}', 'succeeded'"
    )
    async with database.connection() as connection:
        await connection.execute(f"{ended} FROM generate_series(1, 20000)".encode(), {"task": TASK})
        await connection.execute("ANALYZE procrastinate_jobs")
        text = queries("queue")[name]
        cursor = await connection.execute(f"EXPLAIN {text}".encode(), {"task": TASK, "most": 100})
        plan = "\n".join(line for (line,) in await cursor.fetchall())
    assert "Seq Scan on procrastinate_jobs" not in plan, plan
    assert "Index Scan" in plan, plan


async def test_who_runs_a_source_is_known(database: Database) -> None:
    await execute(
        database,
        "INSERT INTO worker (id, name, host, pid, version, config_hash, sources, concurrency, lease, heartbeat_at) "
        "SELECT n, 'w' || n, 'h', n, '1', '', ARRAY['a', 'b'], 1, '1 minute', now() - n * interval '40 seconds' "
        "FROM generate_series(1, 3) AS n",
    )
    workers = Workers(database)
    assert [(one.name, one.alive) for one in await workers.listed()] == [("w1", True), ("w2", False), ("w3", False)]
    assert await workers.knowing("a") == 1
    assert await workers.knowing("c") == 0
