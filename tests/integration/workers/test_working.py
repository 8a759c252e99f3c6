"""What becomes of a job by what became of its run."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.assembly.working import AGAIN, Bench, Told, end_of, identity, working
from kasparro.config import declare_sources, load_settings
from kasparro.model.run import Counts, RunResult
from kasparro.store.database import Database
from kasparro.store.queue import Queue, Queued
from kasparro.store.queue_jobs import Again, Ended

JOB = Queued(
    id=1,
    source="one",
    status="running",
    at=None,
    new=False,
    trigger="run",
    by="cli",
    due=None,
    accept=False,
    attempts=0,
    tries=0,
)
RESULT = RunResult(source="one", status="success", counts=Counts(), duration=1, run_id=1)


class Asked:
    """A bench, and what was told of results."""

    def __init__(self, database: Database, tmp_path: Path, *, stopping: bool = False) -> None:
        self.results: list[RunResult] = []
        self.came = asyncio.Event()
        stop = asyncio.Event()
        if stopping:
            stop.set()

        async def ended(results: Collection[RunResult]) -> None:
            self.results += results
            self.came.set()

        settings = replace(load_settings({"KASPARRO_LEASE_SECONDS": "40"}, None), concurrency=3)
        config = declare_sources(
            {"two": {"type": "csv", "path": "a.csv"}, "one": {"type": "csv", "path": "a.csv"}}, {}, tmp_path
        )
        self.bench = Bench(
            config=config,
            settings=settings,
            database=database,
            emit=lambda _event: None,
            ended=ended,
            stop=stop,
            name="here",
        )

    async def end(self, told: Told | None = None, tries: int = 0, **result: Any) -> Ended:
        return await end_of(
            self.bench, Told() if told is None else told, replace(JOB, tries=tries), replace(RESULT, **result)
        )


@pytest.fixture
def asked(database: Database, tmp_path: Path) -> Asked:
    return Asked(database, tmp_path)


@pytest.mark.parametrize("status", ["success", "partial", "parked"])
async def test_what_was_run_is_done(asked: Asked, status: str) -> None:
    assert await asked.end(status=status) == "done"


async def test_a_failed_run_is_done_too_as_its_record_tells(asked: Asked) -> None:
    assert await asked.end(status="failed", error_code="broken", error="no") == "done"
    assert await asked.end(status="failed", error_code="misconfigured", error="no") == "done"


async def test_a_worker_says_why_a_run_has_failed(asked: Asked, database: Database) -> None:
    await Queue(database).put(None, source="one", by="cli")  # there is no a.csv
    with capture_logs() as lines:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(working(asked.bench))
            await asked.came.wait()
            asked.bench.stop.set()
    (ended,) = [line for line in lines if line["event"] == "job ended"]
    assert (ended["status"], ended["run_id"]) == ("failed", 1)
    assert "a.csv" in ended["reason"]


async def test_what_could_not_begin_has_failed(asked: Asked) -> None:
    assert await asked.end(status="failed", error_code="misconfigured", error="no", run_id=None) == "failed"


@pytest.mark.parametrize("code", ["unreachable", "store_busy"])
async def test_what_may_pass_is_tried_again_a_few_times(asked: Asked, code: str) -> None:
    for tries, wait in enumerate(AGAIN):
        again = await asked.end(status="failed", error_code=code, error="away", tries=tries)
        assert again == Again(wait=wait, tries=tries + 1)
    assert len(asked.results) == len(AGAIN)  # people are told each time
    assert await asked.end(status="failed", error_code=code, error="away", tries=len(AGAIN)) == "done"


async def test_a_run_that_was_stopped_goes_on_elsewhere_at_once(database: Database, tmp_path: Path) -> None:
    stopping = Asked(database, tmp_path, stopping=True)
    assert await stopping.end(status="stopped", error_code="stopped", error="told to") == Again()


async def test_a_run_whose_source_another_has_waits_for_it(asked: Asked) -> None:
    assert await asked.end(status="stopped", error_code="stopped", error="lease") == Again(wait=10)


async def test_a_job_waits_for_a_run_that_is_under_way(asked: Asked) -> None:
    told = Told()
    with capture_logs() as lines:
        for _ in range(3):
            busy = await asked.end(told, status="failed", error_code="conflict", error="Another run", run_id=None)
            assert busy == Again(wait=10)
    assert asked.results == []
    assert [line["event"] for line in lines] == ["job waits"]


async def test_a_job_of_a_source_whose_rows_are_held_is_given_up(asked: Asked, database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO etl_run (source, holder, config_hash, code_version, status, finished_at, held) "
            "VALUES ('one', '', '', '', 'success', now(), 'held')"
        )
    held = await asked.end(status="failed", error_code="conflict", error="The rows are held", run_id=None)
    assert held == "failed"


def test_a_worker_says_what_it_is(asked: Asked) -> None:
    one = identity(asked.bench)
    assert (one.name, one.sources, one.concurrency, one.lease) == ("here", ("one", "two"), 3, 40)
    changed = replace(asked.bench.config, sources=asked.bench.config.sources[:1])
    assert identity(replace(asked.bench, config=changed)).config_hash != one.config_hash
    assert identity(replace(asked.bench, name=None)).name == f"{one.host}:{one.pid}"
