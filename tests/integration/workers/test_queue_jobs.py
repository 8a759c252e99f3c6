"""A job is ended by whoever has it, and by nobody else; what is in no hand goes back once, whoever looks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from procrastinate.connector import BaseAsyncConnector
from procrastinate.jobs import Job, Status

from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.queue import Queue, brief, queue_of
from kasparro.store.queue_back import forget, recover
from kasparro.store.queue_jobs import Again, Ended, Hands
from kasparro.store.workers import Identity, Workers

Make = Callable[[str], Hands]


@pytest.fixture
def worker(database: Database) -> Make:
    def made(name: str, lease: float = 3600) -> Hands:
        identity = Identity(name=name, version="1", config_hash="", sources=("a", "b"), concurrency=1, lease=lease)
        return Hands(BaseAsyncConnector(), database, identity, asyncio.Event())

    return made


async def ask(database: Database, statement: str) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def taken(hands: Hands, number: int, source: str = "a") -> Job:
    job = await hands.fetch_job([queue_of(source)], number)
    assert job is not None
    return job


async def end(hands: Hands, job: Job, ended: Ended | None) -> None:
    assert job.id is not None
    hands.ends[job.id] = ended
    await hands.finish_job(job, Status.SUCCEEDED, delete_job=False)
    assert job.id not in hands.ends


async def lose(database: Database, number: int) -> None:
    """Let a worker be silent for longer than its lease, on a server that is up for longer than that."""
    await ask(database, f"UPDATE worker SET lease = '1 ms', heartbeat_at = now() - interval '1 s' WHERE id = {number}")


STATUS = "SELECT status::text, worker_id, attempts FROM procrastinate_jobs ORDER BY id"


async def test_a_job_is_taken_and_ended(database: Database, worker: Make) -> None:
    hands = worker("one")
    number = await hands.register_worker()
    assert await hands.fetch_job([queue_of("a")], number) is None
    await Queue(database).put(None, source="a", by="cli")
    assert await hands.fetch_job([queue_of("b")], number) is None  # of another source
    job = await taken(hands, number)
    assert (job.worker_id, job.task_kwargs["source"]) == (number, "a")
    await end(hands, job, "done")
    assert await ask(database, STATUS) == [("succeeded", number, 1)]
    await hands.unregister_worker(number)
    assert await Workers(database).listed() == []


async def test_whoever_is_frozen_while_it_looks_for_lost_workers_keeps_no_other_from_it(
    database: Database, worker: Make
) -> None:
    first = worker("first")
    one = await first.register_worker()
    await Queue(database).put(None, source="a", by="cli")
    await taken(first, one)
    await lose(database, one)
    async with database.own_connection() as frozen:
        async with brief(frozen):
            await frozen.execute(queries("queue")["silent"])
            bound = await (await frozen.execute("SHOW idle_in_transaction_session_timeout")).fetchall()
            assert bound == [("10s",)]  # then the server ends it
            async with asyncio.timeout(30):
                await recover(database)
            assert await ask(database, STATUS) == [("doing", one, 0)]
        after = await (await frozen.execute("SHOW idle_in_transaction_session_timeout")).fetchall()
    assert after == [("0",)]
    await recover(database)
    assert await ask(database, STATUS) == [("todo", None, 1)]


async def test_whoever_wakes_up_does_not_end_the_job_of_another(database: Database, worker: Make) -> None:
    first, second = worker("first"), worker("second")
    one, two = await first.register_worker(), await second.register_worker()
    await Queue(database).put(None, source="a", by="cli")
    before = await taken(first, one)
    await lose(database, one)
    await recover(database)
    after = await taken(second, two)
    assert after.id == before.id
    for ended in ("done", Again(), Again(wait=5), None):
        await end(first, before, ended)  # type: ignore[arg-type,unused-ignore] # each is one
        assert await ask(database, STATUS) == [("doing", two, 1)]
    await end(second, after, "done")
    assert await ask(database, STATUS) == [("succeeded", two, 2)]


async def test_nor_when_it_has_taken_it_again_itself(database: Database, worker: Make) -> None:
    hands = worker("first")
    number = await hands.register_worker()
    await Queue(database).put(None, source="a", by="cli")
    before = await taken(hands, number)
    await lose(database, number)
    await recover(database)
    await hands.update_heartbeat(number)  # it is known again, under its number
    assert (await Workers(database).listed())[0].name == "first"
    after = await taken(hands, number)
    await end(hands, before, "done")
    assert await ask(database, STATUS) == [("doing", number, 1)]
    await end(hands, after, "done")
    assert await ask(database, STATUS) == [("succeeded", number, 2)]


async def test_a_worker_that_was_given_up_makes_itself_known_before_it_takes_more(
    database: Database, worker: Make
) -> None:
    hands = worker("first")
    number = await hands.register_worker()
    await hands.unregister_worker(number)
    await Queue(database).put(None, source="a", by="cli")
    assert await hands.fetch_job([queue_of("a")], number) is None
    assert (await taken(hands, number)).worker_id == number


async def test_many_look_for_lost_workers_and_each_job_goes_back_once(database: Database, worker: Make) -> None:
    hands = worker("first")
    number = await hands.register_worker()
    for source in ("a", "b"):
        await Queue(database).put(None, source=source, by="cli")
        await taken(hands, number, source)
    await lose(database, number)
    await asyncio.gather(*(recover(database) for _ in range(6)))
    assert await ask(database, STATUS) == [("todo", None, 1), ("todo", None, 1)]
    assert await ask(database, "SELECT count(*) FROM procrastinate_workers WHERE id <> 0") <= [(1,)]


async def test_a_job_that_takes_its_workers_down_waits_longer_and_longer(database: Database, worker: Make) -> None:
    await Queue(database).put(None, source="a", by="cli")
    waits = []
    for _ in range(11):
        hands = worker("next")
        number = await hands.register_worker()
        await ask(database, "UPDATE procrastinate_jobs SET scheduled_at = NULL")
        await taken(hands, number)
        await lose(database, number)
        await recover(database)
        left = "coalesce(round(extract(epoch FROM scheduled_at - now())), 0)::int"
        ((status, seconds),) = await ask(database, f"SELECT status::text, {left} FROM procrastinate_jobs")
        assert status == "todo"
        waits.append(seconds)
    assert waits[:5] == [0] * 5
    for seconds, wanted in zip(waits[5:], (60, 120, 240, 480, 960, 960), strict=True):
        assert wanted - 30 <= seconds <= wanted  # less what has passed since


async def test_a_server_that_came_back_just_now_has_heard_nobody(database: Database, worker: Make) -> None:
    hands = worker("first")
    number = await hands.register_worker()
    up = "extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) + 60"
    silent = (
        f"SET lease = make_interval(secs => {up}), heartbeat_at = now() - make_interval(secs => {up}) - interval '1 h'"
    )
    await ask(database, f"UPDATE worker {silent} WHERE id = {number}")
    await recover(database)
    assert len(await Workers(database).listed()) == 1


async def test_a_worker_that_was_heard_of_in_the_future_is_heard_of_now(database: Database, worker: Make) -> None:
    number = await worker("first").register_worker()
    await ask(database, f"UPDATE worker SET heartbeat_at = now() + interval '1 day' WHERE id = {number}")
    await recover(database)
    assert await ask(database, "SELECT heartbeat_at <= clock_timestamp() FROM worker") == [(True,)]


async def test_a_job_that_goes_back_where_another_one_waits_is_that_one(database: Database, worker: Make) -> None:
    hands, queue = worker("first"), Queue(database)
    number = await hands.register_worker()
    await queue.put(None, source="a", by="cli", trigger="full_refresh")
    job = await taken(hands, number)
    later = "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 day' WHERE status = 'todo'"
    waits = await queue.put(None, source="a", by="schedule")
    await ask(database, later)
    await end(hands, job, Again())
    assert [one[0] for one in await ask(database, STATUS)] == ["aborted", "todo"]
    (left,) = await queue.waiting()
    assert (left.id, left.trigger, left.at) == (waits.id, "full_refresh", None)
    assert job.id is not None
    dropped = await queue.get(job.id)
    assert dropped is not None
    assert dropped.status == "dropped"


async def test_what_is_to_wait_waits(database: Database, worker: Make) -> None:
    hands, queue = worker("first"), Queue(database)
    number = await hands.register_worker()
    await queue.put(None, source="a", by="cli")
    await end(hands, await taken(hands, number), Again(wait=3600, tries=1))
    (left,) = await queue.waiting()
    assert left.tries == 1
    soon = "SELECT scheduled_at - now() BETWEEN interval '59 min' AND interval '60 min' FROM procrastinate_jobs"
    assert await ask(database, soon) == [(True,)]
    assert await hands.fetch_job([queue_of("a")], number) is None
    sooner = await queue.put(None, source="a", by="cli")
    assert (sooner.at, sooner.tries) == (None, 1)


async def test_a_job_whose_taking_was_not_heard_of_goes_back(database: Database, worker: Make) -> None:
    hands = worker("first")
    number = await hands.register_worker()
    for source in ("a", "b"):
        await Queue(database).put(None, source=source, by="cli")
    kept = await taken(hands, number, "a")
    lost = await taken(hands, number, "b")
    assert lost.id is not None
    del hands.ends[lost.id]  # the answer to its question was cut off: it knows nothing of it
    await hands.update_heartbeat(number)
    assert await ask(database, STATUS) == [("doing", number, 0), ("todo", None, 1)]
    await end(hands, kept, "failed")
    assert (await ask(database, STATUS))[0] == ("failed", number, 1)


async def test_what_ended_long_ago_is_forgotten(database: Database, worker: Make) -> None:
    hands, queue = worker("first"), Queue(database)
    number = await hands.register_worker()
    for source in ("a", "b"):
        await queue.put(None, source=source, by="cli")
    await end(hands, await taken(hands, number, "a"), "done")
    await forget(database)
    assert len(await ask(database, STATUS)) == 2
    await ask(database, "UPDATE procrastinate_events SET at = at - interval '25 hours'")
    await forget(database)
    assert [one.source for one in await queue.waiting()] == ["b"]
    assert len(await ask(database, STATUS)) == 1
