"""A run that is silent loses its source, by the server's clock; what it left in the middle is in nobody's way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import pytest
from tests.integration.conftest import LOCKS

from kasparro.errors import Conflict, Stopped, StoreBusy
from kasparro.ingestion.runner import explained
from kasparro.model.dataset import NORMALIZED
from kasparro.model.run import Counts, RunResult, Unit
from kasparro.store.database import Database, translated
from kasparro.store.lease import guard
from kasparro.store.ledger import PostgresLedger
from kasparro.store.runs import Begun, NewRun, Runs

NEW = NewRun(source="one", kind="csv", dataset="normalized_data", origin="", config_hash="", code_version="1")
FOR_EVER = 3600.0


@pytest.fixture
async def begin(database: Database) -> AsyncIterator[Callable[..., Awaitable[Begun]]]:
    async with AsyncExitStack() as stack:

        async def begun(lease: float = FOR_EVER, new: NewRun = NEW) -> Begun:
            return await stack.enter_async_context(Runs(database, lease).begin(new))

        yield begun


Begin = Callable[..., Awaitable[Begun]]

LOCK = f"SELECT pid {LOCKS} AND objsubid = 1"


async def one(database: Database, statement: str, **facts: object) -> object:
    async with database.connection() as connection:
        row = await (await connection.execute(statement.encode(), facts)).fetchone()
    return None if row is None else row[0]


async def until(database: Database, statement: str) -> None:
    async with asyncio.timeout(60):
        while not await one(database, statement):  # noqa: ASYNC110 - it is the server that is waited for
            await asyncio.sleep(0.02)


async def test_the_server_ends_a_session_that_is_silent(database: Database) -> None:
    async with database.own_connection() as connection:
        await guard(connection, 0.2)
        await connection.execute("SELECT pg_advisory_lock(1)")
        await until(database, f"SELECT NOT EXISTS ({LOCK})")
        with pytest.raises(psycopg.OperationalError, match="idle-session timeout"):
            await connection.execute("SELECT 1")


async def test_also_in_the_middle_of_beginning_a_run(database: Database) -> None:
    async with database.own_connection() as connection:
        await guard(connection, 0.2)
        await connection.execute("SELECT pg_advisory_lock(1)")
        await connection.execute("BEGIN")
        await until(database, f"SELECT NOT EXISTS ({LOCK})")
        with pytest.raises(StoreBusy, match="idle-in-transaction"), translated(database.place):
            await connection.execute("SELECT 1")


async def test_a_run_that_works_keeps_its_source_for_longer_than_its_lease(database: Database, begin: Begin) -> None:
    begun = await begin(lease=1.5)

    async def work() -> str:
        await until(database, "SELECT max(heartbeat_at) - max(started_at) > interval '2 s' FROM etl_run")
        return "done"

    assert await begun.lease.during(work()) == "done"
    with pytest.raises(Conflict, match="under way"):
        await begin()
    assert await one(database, "SELECT lease = interval '1.5 s' FROM etl_run") is True


async def test_it_beats_while_its_record_is_locked(database: Database, begin: Begin) -> None:
    begun = await begin(lease=1.5)

    async def settle() -> None:
        """Hold the record as whatever puts rows into effect does, for longer than the lease."""
        async with database.connection() as connection, connection.transaction():
            await connection.execute("SELECT FROM etl_run FOR UPDATE")
            held = "SELECT clock_timestamp() > started_at + interval '3 s' FROM etl_run"
            await until(database, held)

    await begun.lease.during(settle())
    assert await one(database, "SELECT status FROM etl_run") == "running"
    assert await one(database, LOCK) is not None


async def test_a_run_whose_source_another_has_ends_as_stopped_and_its_commit_is_refused(
    database: Database, begin: Begin
) -> None:
    first = await begin(lease=FOR_EVER)
    first_unit = unit(first.run_id)
    ledger = PostgresLedger(database, NORMALIZED)
    await ledger.resume(first_unit)
    assert await one(database, f"SELECT pg_terminate_backend(pid, 10000) FROM ({LOCK}) AS held")
    second = await begin()
    statuses = "SELECT string_agg(status, ',' ORDER BY id) FROM etl_run"
    assert await one(database, statuses) == "interrupted,running"
    assert "silent for longer than its lease" in str(await one(database, "SELECT error FROM etl_run ORDER BY id"))

    async def close() -> None:
        await PostgresLedger(database, NORMALIZED).resume(unit(second.run_id))
        await ledger.close(first_unit)

    with pytest.raises(Stopped, match="lost its lease on all to a later run"):
        await first.lease.during(close())
    await Runs(database).finish(first.run_id, "success", None)
    assert await one(database, statuses) == "interrupted,running"


async def test_a_heartbeat_that_fails_ends_the_work(database: Database, begin: Begin) -> None:
    first = await begin(lease=1)
    entered, left = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    assert await one(database, f"SELECT pg_terminate_backend(pid, 10000) FROM ({LOCK}) AS held")
    second = await begin()  # before the first one beats
    async with asyncio.timeout(30):
        with pytest.raises(Stopped, match=f"Run {first.run_id} of one was not heard of .* another run has gone on"):
            await first.lease.during(work())
    assert entered.is_set()
    assert left.is_set()
    assert second.run_id > first.run_id


async def test_a_connection_that_is_lost_with_nobody_else_there_may_be_tried_again(
    database: Database, begin: Begin
) -> None:
    begun = await begin(lease=1)
    during = asyncio.create_task(begun.lease.during(asyncio.Event().wait()))
    assert await one(database, f"SELECT pg_terminate_backend(pid, 10000) FROM ({LOCK}) AS held")
    async with asyncio.timeout(30):
        with pytest.raises(StoreBusy, match="lost the connection that holds its source"):
            await during


async def test_a_run_that_lost_the_database_and_finds_its_source_in_use(database: Database, begin: Begin) -> None:
    first = (await begin()).run_id
    busy = RunResult(source="one", status="failed", counts=Counts(), duration=1, run_id=first, error_code="store_busy")
    conflict = replace(busy, run_id=None, error_code="conflict", error="Another run of one is under way")
    assert await explained(conflict, [], database) == conflict  # it never had the source
    assert await explained(conflict, [conflict], database) == conflict
    assert await explained(busy, [busy], database) == busy
    waits = await explained(conflict, [busy, replace(busy, run_id=None)], database)
    assert (waits.status, waits.error_code, waits.run_id) == ("failed", "store_busy", None)
    assert f"keeps one for run {first}, whose connection is lost" in str(waits.error)
    assert await one(database, f"SELECT pg_terminate_backend(pid, 10000) FROM ({LOCK}) AS held")
    await begin()
    over = await explained(conflict, [busy], database)
    assert (over.status, over.error_code, over.run_id) == ("stopped", "stopped", first)
    assert "another run has gone on from its last commit" in str(over.error)


async def test_what_the_work_raises_is_raised(begin: Begin) -> None:
    begun = await begin()

    async def fails() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await begun.lease.during(fails())


async def test_what_a_frozen_process_holds_in_a_transaction_is_let_go(database: Database, database_url: str) -> None:
    """One session hangs in a COPY whose client says nothing, one between two statements; a live one is left alone."""
    begin_dead = "INSERT INTO etl_run (source, holder, config_hash, code_version, lease) VALUES"
    async with AsyncExitStack() as stack:

        async def session(name: str) -> psycopg.AsyncConnection:
            made = await psycopg.AsyncConnection.connect(database_url, application_name=name)
            stack.push_async_callback(made.close)
            return made

        copying, idle = await session("kasparro frozen:1"), await session("kasparro frozen:1")
        alive = await session("kasparro other:1")
        await (await session("kasparro frozen:1")).set_autocommit(True)
        cursor = copying.cursor()
        copy = cursor.copy("COPY metric_writer (writer) FROM STDIN")
        await copy.__aenter__()
        await idle.execute("LOCK TABLE metric IN EXCLUSIVE MODE")
        await alive.execute("LOCK TABLE metric_change IN ROW EXCLUSIVE MODE")
        await one(database, f"{begin_dead} ('one', 'frozen:1', '', '', '0.4 s') RETURNING id")
        sessions = "FROM pg_stat_activity WHERE application_name"
        stuck = f"{sessions} = 'kasparro frozen:1' AND state <> 'idle'"
        await until(database, f"SELECT count(*) = 2 {stuck} AND state_change < clock_timestamp() - interval '0.5 s'")
        async with Runs(database).begin(NEW):
            assert await one(database, f"SELECT count(*) {stuck}") == 0
        assert await one(database, f"SELECT count(*) {sessions} = 'kasparro other:1'") == 1
        await alive.rollback()
        with pytest.raises(psycopg.OperationalError):
            await copy.__aexit__(None, None, None)


def unit(run_id: int) -> Unit:
    return Unit(source="one", kind="csv", dataset="normalized_data", run_id=run_id, slice_name="all")
