"""Runs sources side by side; the entry for those who call Kasparro from Python."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kasparro.errors import StoreBusy
from kasparro.ingestion.run import Job, run_source
from kasparro.model.engine import Engine
from kasparro.model.events import Emit
from kasparro.model.run import RunResult
from kasparro.resilience.retry import RetryPolicy, Timing, retrying
from kasparro.store.database import Database

_BUSY = RetryPolicy(attempts=6, total_seconds=120, first_wait=1, max_wait=30)
"""How long a run waits for a database that went away: a restart takes seconds. Each attempt is a run of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Where runs take place: the database, the engine, who listens, when to stop, and what time is."""

    database: Database
    engine: Engine
    emit: Emit
    stop: asyncio.Event
    timing: Timing = Timing()  # noqa: RUF009 - frozen


async def run_jobs(jobs: Sequence[Job], floor: Floor) -> dict[str, RunResult]:
    """Run every source; one that fails does not stop another. The results are by source."""
    results = await floor.engine.run([partial(_patiently, job, floor) for job in jobs])
    return {result.source: result for result in results}


async def _patiently(job: Job, floor: Floor) -> RunResult:
    """Run a source, and run it again when the database went away meanwhile: it goes on from its checkpoint."""
    attempts: list[RunResult] = []

    async def attempt() -> None:
        attempts.append(await run_source(job, floor.database, floor.emit, floor.stop))
        if attempts[-1].error_code == StoreBusy.code and not floor.stop.is_set():
            raise StoreBusy(attempts[-1].error or "")

    with suppress(StoreBusy):  # told by the result of the last attempt
        await retrying(attempt, _BUSY, timing=floor.timing)
    counts = attempts[0].counts
    for later in attempts[1:]:
        counts += later.counts
    return replace(attempts[-1], counts=counts, duration=sum(one.duration for one in attempts))


async def run_etl_with_backoff(
    sources: Mapping[str, Any],
    *,
    datasets: Mapping[str, Any] | None = None,
    database_url: str | None = None,
    emit: Callable[[Any], None] | None = None,
) -> dict[str, RunResult]:
    """Run sources that are declared in Python, and return what became of each, by name.

    Args:
        sources: Name to declaration, as under `sources:` in `kasparro.yaml`.
        datasets: Name to declaration as under `datasets:`, or to a Pydantic model class.
        database_url: PostgreSQL to use; None takes `DATABASE_URL`, and without it the embedded one.
        emit: Told each event of `kasparro.model.events`.

    Returns:
        One `RunResult` per source, in the order given: status, counts, duration, run id, error. A source that fails
        says so there and does not stop the others.

    Raises:
        Misconfigured: a declaration is wrong; nothing was started.
        StoreBusy: the database cannot be reached.
    """
    # This is the promised place of the name; the parts are put together one floor up.
    from kasparro.assembly.running import run_declared  # noqa: PLC0415

    return await run_declared(sources, datasets=datasets or {}, database_url=database_url, emit=emit)
