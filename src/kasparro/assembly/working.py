"""What a worker does: it takes runs from the queue, and runs them as `kasparro run` does."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

import structlog

from kasparro.assembly.asking import asked
from kasparro.assembly.jobs import Mode, refreshed, usual
from kasparro.assembly.running import run_config
from kasparro.assembly.scheduling import scheduling
from kasparro.config import Config, Settings, whole_hash
from kasparro.errors import Conflict, KasparroError, StoreBusy, Unreachable
from kasparro.model.events import Emit, Event, RunFinished
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts, RunResult
from kasparro.resilience.breakers import Breakers
from kasparro.store.breakers import PostgresBoard
from kasparro.store.database import Database, process_name
from kasparro.store.queue import Queued
from kasparro.store.queue_jobs import Again, Ended
from kasparro.store.queue_worker import take_runs
from kasparro.store.runs import Runs
from kasparro.store.workers import Identity, Workers
from kasparro.version import __version__

AGAIN = (30.0, 120.0, 480.0)
"""Seconds after which a run that failed for a reason that may pass is tried again, the first time, the second, ..."""

_MAY_PASS = frozenset({Unreachable.code, StoreBusy.code})

_LONGEST_CONFLICT = 15.0
"""Seconds between two attempts to run a source that is run by something else than a worker, at most."""

_log = structlog.get_logger("kasparro.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where a worker works.

    Attributes:
        config: Its sources are run, and no others.
        settings: Limits of this process; `concurrency` is how many runs it has in hand at the same time.
        database: Where queue and rows are.
        emit: Told what happens in the runs.
        ended: Called with the result of each run.
        stop: Ends it: no run is begun any more, and those in hand end after the commit in hand.
        name: Of the worker; None: its host and process.
        again: Seconds after which what failed is tried again, once for each.
    """

    config: Config
    settings: Settings
    database: Database
    emit: Emit
    ended: Callable[[Collection[RunResult]], Awaitable[None]]
    stop: asyncio.Event
    name: str | None = None
    again: tuple[float, ...] = AGAIN


async def working(bench: Bench) -> None:
    """Run what is queued until told to stop, and queue what is due by schedule."""
    one = identity(bench)
    await _warn_of_others(bench.database, one)
    facts = {"worker": one.name, "sources": len(one.sources), "concurrency": one.concurrency}
    _log.info("worker started", version=one.version, config=one.config_hash, **facts)
    work = partial(_run, bench, Breakers(PostgresBoard(bench.database)), Told())
    async with scheduling(bench.config, bench.database):
        await take_runs(bench.database, one, work, bench.stop)
    _log.info("worker stopped", worker=one.name)


def identity(bench: Bench) -> Identity:
    """Return what the worker says of itself."""
    secrets = Redactor(bench.config.secrets | bench.settings.secrets)
    return Identity(
        name=bench.name or process_name(),
        version=__version__,
        config_hash=whole_hash(bench.config, secrets),
        sources=tuple(sorted(source.name for source in bench.config.sources)),
        concurrency=bench.settings.concurrency,
        lease=bench.settings.lease,
    )


async def _warn_of_others(database: Database, one: Identity) -> None:
    """Say which workers differ: with another configuration a source is read otherwise, depending on who takes it."""
    for other in await Workers(database).listed():
        if not other.alive:
            continue
        if other.version != one.version:
            _log.warning("another worker has another version", other=other.name, its=other.version, ours=one.version)
        if other.config_hash != one.config_hash:
            differing = {"its": other.config_hash, "ours": one.config_hash}
            _log.warning("another worker has another configuration", other=other.name, **differing)


class Told:
    """Which jobs were said to wait for somebody else's run, so that it is said once."""

    def __init__(self) -> None:
        self._jobs: set[int] = set()

    def first(self, job: int) -> bool:
        """Tell whether it is the first time."""
        known = job in self._jobs
        self._jobs.add(job)
        return not known

    def over(self, job: int) -> None:
        """Forget it."""
        self._jobs.discard(job)


async def _run(bench: Bench, breakers: Breakers, told: Told, job: Queued) -> Ended:
    """Run what was taken; say how that has ended."""
    if bench.stop.is_set():
        return Again()
    known = {"job": job.id, "source": job.source, "by": job.by}
    _log.info("job taken", trigger=job.trigger, attempt=job.attempts + 1, **known)
    result = await _result(bench, breakers, job)
    ended = await end_of(bench, told, job, result)
    if isinstance(ended, Again):
        return ended
    told.over(job.id)
    await bench.ended([result])
    _log.info("job ended", status=result.status, run_id=result.run_id, **_why(result), **known)
    return ended


def _why(result: RunResult) -> dict[str, str]:
    """Return why a run did not end well, and until when it is parked: a worker shows no summary that would tell."""
    reason = {} if result.error is None else {"reason": result.error}
    return reason if result.resume_at is None else {**reason, "resume_at": result.resume_at.isoformat()}


async def _result(bench: Bench, breakers: Breakers, job: Queued) -> RunResult:
    mode: Mode = partial(refreshed, accept=job.accept) if job.trigger == "full_refresh" else usual
    try:
        results = await run_config(
            bench.config,
            bench.settings,
            database=bench.database,
            emit=partial(_passed_on, bench.emit),
            stop=bench.stop,
            names=[job.source],
            mode=mode,
            wrap=asked(job.by, due=job.due, job_id=job.id),
            breakers=breakers,
        )
    except KasparroError as error:
        redact = Redactor(bench.config.secrets | bench.settings.secrets)
        refused = RunResult(source=job.source, status="failed", counts=Counts(), duration=0, run_id=None)
        return replace(refused, error=redact(str(error)), error_code=error.code)
    return results[job.source]


def _passed_on(emit: Emit, event: Event) -> None:
    """Pass on what happens in a run, but not that it could not begin beside another one: its job waits, none failed."""
    if not (isinstance(event, RunFinished) and _conflicts(event.result)):
        emit(event)


def _conflicts(result: RunResult) -> bool:
    return result.error_code == Conflict.code and result.run_id is None


async def end_of(bench: Bench, told: Told, job: Queued, result: RunResult) -> Ended:
    """Say what becomes of a job, by what became of its run."""
    if result.status == "stopped":
        _log.warning("run was stopped", source=job.source, job=job.id, run_id=result.run_id, reason=result.error)
        # Told to stop, it goes on elsewhere at once. If another run has its source, that one does the work first.
        return Again() if bench.stop.is_set() else Again(wait=bench.settings.lease / 4)
    if result.status != "failed":
        return "done"
    if _conflicts(result):
        return await _conflicting(bench, told, job, result)
    if result.error_code in _MAY_PASS and job.tries < len(bench.again):
        wait = bench.again[job.tries]
        _log.warning("run is tried again", source=job.source, job=job.id, reason=result.error, wait=wait)
        await bench.ended([result])
        return Again(wait=wait, tries=job.tries + 1)
    if result.run_id is None:
        _log.error("run could not begin", source=job.source, job=job.id, reason=result.error)
        return "failed"
    return "done"


async def _conflicting(bench: Bench, told: Told, job: Queued, result: RunResult) -> Ended:
    """Wait for a run that is under way elsewhere; where rows are held nothing is run: somebody must decide first."""
    if await Runs(bench.database).is_held(job.source):
        _log.warning("run is given up: rows of an earlier one wait for a decision", source=job.source, job=job.id)
        return "failed"
    if told.first(job.id):
        _log.info("job waits", source=job.source, job=job.id, reason=result.error)
    return Again(wait=min(bench.settings.lease / 4, _LONGEST_CONFLICT))
