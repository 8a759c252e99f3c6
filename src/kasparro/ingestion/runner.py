"""Runs sources side by side; the entry for those who call Kasparro from Python."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kasparro.errors import Conflict, KasparroError, StoreBusy
from kasparro.ingestion.run import Job, run_source
from kasparro.model.engine import Engine
from kasparro.model.events import Emit, Event, PageCommitted
from kasparro.model.run import Counts, RunResult
from kasparro.resilience.retry import RetryPolicy, Timing, retrying
from kasparro.store.database import Database
from kasparro.store.lease import LEASE, lease_lost
from kasparro.store.runs import Runs

_BUSY = RetryPolicy(attempts=1000, total_seconds=120, first_wait=1, max_wait=10)
"""How long a run waits for a database that went away: a restart takes seconds, a failover a minute or two. It is the
time that ends it, whatever the dice say of the waits. Each attempt is a run of its own.

An attempt that committed something begins the count anew: a database that is lost every few seconds ends no load that
moves on meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Where runs take place: the database, the engine, who listens, when to stop, what time is, and how long leases."""

    database: Database
    engine: Engine
    emit: Emit
    stop: asyncio.Event
    timing: Timing = Timing()  # noqa: RUF009 - frozen
    lease: float = LEASE


async def run_jobs(jobs: Sequence[Job], floor: Floor) -> dict[str, RunResult]:
    """Run every source; one that fails does not stop another. The results are by source."""
    results = await floor.engine.run([partial(_patiently, job, floor) for job in jobs])
    return {result.source: result for result in results}


async def _patiently(job: Job, floor: Floor) -> RunResult:
    """Run a source, and run it again when the database went away meanwhile: it goes on from its checkpoint."""
    attempts: list[RunResult] = []
    committed = 0

    def told(event: Event) -> None:
        nonlocal committed
        committed += isinstance(event, PageCommitted)
        floor.emit(event)

    def interrupted() -> bool:
        return attempts[-1].error_code == StoreBusy.code and not floor.stop.is_set()

    async def attempt() -> None:
        before = committed
        result = await run_source(job, floor.database, told, floor.stop, floor.lease)
        attempts.append(await explained(result, attempts, floor.database))
        if interrupted() and committed == before:
            raise StoreBusy(attempts[-1].error or "")

    with suppress(StoreBusy):  # told by the result of the last attempt
        await retrying(attempt, _BUSY, timing=floor.timing)
        while interrupted():
            await retrying(attempt, _BUSY, timing=floor.timing)
    if len(attempts) == 1:
        return attempts[0]
    counts = await _committed(attempts, floor.database)
    return replace(attempts[-1], counts=counts, duration=sum(one.duration for one in attempts))


async def explained(result: RunResult, before: Sequence[RunResult], database: Database) -> RunResult:
    """Explain why a run that has lost the database finds its source in use.

    Either nobody has taken over: then the server has not noticed yet that the connection of the run before is gone, and
    it is tried again. Or another process has: then this one is over, and nothing went wrong.
    """
    ours = next((one.run_id for one in reversed(before) if one.run_id is not None), None)
    if ours is None or result.run_id is not None or result.error_code != Conflict.code:
        return result
    try:
        waits = await Runs(database).is_running(ours)
    except KasparroError as away:
        return replace(result, error=str(away), error_code=away.code)
    if waits:
        reason = f"The server keeps {result.source} for run {ours}, whose connection is lost, until its lease ends."
        return replace(result, error=reason, error_code=StoreBusy.code)
    lost = lease_lost(ours, result.source)
    return replace(result, run_id=ours, status="stopped", error=str(lost), error_code=lost.code)


async def _committed(attempts: Sequence[RunResult], database: Database) -> Counts:
    """Return what attempts have committed together. One that lost the database could not ask what it had committed."""
    try:
        return await Runs(database).committed([one.run_id for one in attempts if one.run_id is not None])
    except KasparroError:
        # It is still away, which the result says.
        return sum((one.counts for one in attempts), start=Counts())


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
