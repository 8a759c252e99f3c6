"""One run of one source, from its lock to its last word."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from kasparro.errors import KasparroError, Stopped
from kasparro.ingestion.limits import RejectLimit
from kasparro.ingestion.slices import Halt, all_of
from kasparro.ingestion.tally import Tally
from kasparro.ingestion.work import Hands, work
from kasparro.model.contract import Agreement, Breach
from kasparro.model.dataset import Dataset
from kasparro.model.events import Emit, Event, PageCommitted, RunFinished, RunJudged, RunStarted
from kasparro.model.finding import Judged
from kasparro.model.held import Held
from kasparro.model.ledger import Ledger
from kasparro.model.limit import Limit
from kasparro.model.page import Bookmark
from kasparro.model.profile import added
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts, Delays, RunResult, RunStatus, Unit
from kasparro.model.shaped import Batch
from kasparro.model.source import Slice, Source
from kasparro.resilience.parking import parks
from kasparro.shaping.plan import Shape
from kasparro.shaping.shaper import Shaper
from kasparro.store.database import Database
from kasparro.store.datasets import ensure, refuse_emptied
from kasparro.store.lease import LEASE
from kasparro.store.runs import Begun, NewRun, Runs

_log = structlog.get_logger("kasparro.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: Any but `running`.
        error: Code and sentence, unless all went well.
        resume_in: Seconds until a parked run goes on.
    """

    status: RunStatus
    error: tuple[str, str] | None = None
    resume_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A source that is ready to run.

    Attributes:
        new: What the run's record says of it.
        source: To read from.
        dataset: Where its rows go.
        shape: What its records become.
        ledger: Keeps what was read.
        redact: Masks secrets in what is recorded.
        scratch: Folder for temporary files.
        lane: Which checkpoints the run moves: `""` the usual ones.
        parallel: Slices that are read at the same time.
        most_records: Small pages are committed together up to so many records,
        most_bytes: and so many bytes.
        max_rejects: A run with more is stopped.
        known: Gives where each slice stands whose records have all taken effect; a run that would read everything anew
            looks first whether there is anything new at all.
        prepare: Called before the first slice is read.
        settle: Called with the run's number when every slice was read to its end; what it raises fails the run.
        judge: Likewise, before that: says what is odd about the run, and whether its rows are to wait; then nothing is
            settled.
        waits: Called with the run's number then: says what waits.
        agree: Called when the source's lock is held: gives the job that holds its records to the source's contract.
        agreement: What the records are held to; None where the source evolves.
        tally: Hears what holds the requests of the source up; None where it sends none.
        kept_out: Called with the run's number at the end of a run that is not judged, with what the contract kept out
            by path, and with the error that ended the run.
    """

    new: NewRun
    source: Source
    dataset: Dataset
    shape: Shape
    ledger: Ledger
    redact: Redactor
    scratch: Path
    lane: str = ""
    parallel: int = 2
    most_records: int = 50_000
    most_bytes: int = 2 * 1024 * 1024
    max_rejects: Limit | None = None
    known: Callable[[], Awaitable[Mapping[str, Bookmark]]] | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    settle: Callable[[int], Awaitable[None]] | None = None
    judge: Callable[[int], Awaitable[Judged]] | None = None
    waits: Callable[[int], Awaitable[Held]] | None = None
    agree: "Callable[[], Awaitable[Job]] | None" = None
    agreement: Agreement | None = None
    tally: Tally | None = None
    kept_out: Callable[[int, Mapping[str, Breach], KasparroError | None], Awaitable[None]] | None = None


async def run_source(job: Job, database: Database, emit: Emit, stop: asyncio.Event, lease: float = LEASE) -> RunResult:
    """Run a source once and return what became of it. Does not raise for anything that a run can report.

    `lease`: seconds for which it may be silent before another process may go on with its source.
    """
    since = time.monotonic()
    run_id: int | None = None
    counts = Counts()
    resume_at: datetime | None = None
    judged: RunJudged | None = None
    held: Held | None = None

    def count(event: Event) -> None:
        nonlocal judged
        if isinstance(event, RunJudged):
            judged = event
        emit(event)

    ended = Outcome(status="failed")
    try:
        async with Runs(database, lease).begin(job.new) as begun:
            run_id = begun.run_id
            with structlog.contextvars.bound_contextvars(source=job.new.source, run_id=run_id):
                ended = await _outcome(job, begun.lease.during(_slices(job, database, begun, count, stop)))
            delays = Delays() if job.tally is None else job.tally.take()
            counts, resume_at = await Runs(database).finish(
                run_id, ended.status, ended.error, delays, resume_in=ended.resume_in
            )
            if judged is not None and judged.held and job.waits is not None:
                held = await job.waits(run_id)
    except KasparroError as raised:
        # It could not begin, or its end could not be recorded: then the next run finds it interrupted.
        ended = Outcome(status="failed", error=ended.error or (raised.code, job.redact(str(raised))))
    result = RunResult(
        source=job.new.source,
        status=ended.status,
        counts=counts,
        duration=time.monotonic() - since,
        run_id=run_id,
        verdict=None if judged is None else judged.verdict,
        held=held,
        error=None if ended.error is None else ended.error[1],
        error_code=None if ended.error is None else ended.error[0],
        resume_at=resume_at,
    )
    emit(RunFinished(result=result))
    return result


async def _outcome(job: Job, attempt: Awaitable[None]) -> Outcome:
    try:
        await attempt
    except Stopped as told:
        return Outcome(status="stopped", error=(told.code, job.redact(str(told))))
    except KasparroError as raised:
        wait = parks(raised)
        status: RunStatus = "partial" if raised.facts.get("incomplete") else "failed"
        error = (raised.code, job.redact(str(raised)))
        return Outcome(status=status if wait is None else "parked", error=error, resume_in=wait)
    except Exception as unforeseen:  # noqa: BLE001 - a bug must not take the other sources down; it is logged and recorded
        _log.exception("unforeseen error")
        return Outcome(status="failed", error=("internal", job.redact(f"{type(unforeseen).__name__}: {unforeseen}")))
    return Outcome(status="success")


async def _slices(job: Job, database: Database, begun: Begun, emit: Emit, stop: asyncio.Event) -> None:
    began = time.time()
    job = job if job.agree is None else await job.agree()
    note = await _note(job, database, begun)
    parts = await job.source.slices()
    started = RunStarted(
        source=job.new.source,
        run_id=begun.run_id,
        slices=len(parts),
        resumed=begun.resumed,
        note=note,
        began=began,
    )
    emit(started)
    if job.known is not None and not begun.resumed and await _unchanged(job, parts, await job.known()):
        return
    if job.prepare is not None:
        await job.prepare()
    await _read(job, parts, begun.run_id, emit, stop)
    if job.judge is not None:
        judged = await job.judge(begun.run_id)
        source, run_id = job.new.source, begun.run_id
        emit(
            RunJudged(source=source, run_id=run_id, verdict=judged.verdict, findings=judged.findings, held=judged.held)
        )
        if judged.held:
            return
    if job.settle is not None:
        await job.settle(begun.run_id)


async def _read(job: Job, parts: Sequence[Slice], run_id: int, emit: Emit, stop: asyncio.Event) -> None:
    """Work on all slices to their end, and tell what the contract kept out where no judge will."""
    breaches: Mapping[str, Breach] = {}
    free = asyncio.Semaphore(job.parallel)
    limit = RejectLimit(job.new.source, job.max_rejects)

    def told(event: Event) -> None:
        emit(event)
        if isinstance(event, PageCommitted):
            limit.add(event.counts)

    def kept(batch: Batch) -> None:
        nonlocal breaches
        breaches = added(breaches, batch.shaped.profile.breaches)

    async def bounded(part: Slice, halt: Halt) -> None:
        async with free, halt.ending():
            halt.begin(job.new.source)
            await _slice(job, run_id, part, told, halt.event, None if job.kept_out is None else kept)

    ended: KasparroError | None = None
    try:
        async with Halt.after(stop) as halt:
            await all_of(bounded(part, halt) for part in parts)
        halt.check()
        limit.end()
    except KasparroError as error:
        ended = error
    # A run that was stopped or parked is judged together with the one that goes on.
    goes_on = isinstance(ended, Stopped) or (ended is not None and parks(ended) is not None)
    judged_later = job.judge is not None and (ended is None or goes_on)
    if job.kept_out is not None and not judged_later:
        await job.kept_out(run_id, breaches, ended)
    if ended is not None:
        raise ended


async def _note(job: Job, database: Database, begun: Begun) -> str | None:
    """Make the dataset's table ready; return what the operator should know. A replay mends what is missing in it."""
    found = await ensure(database, job.dataset)
    if job.new.beside:
        return begun.note
    await refuse_emptied(database, job.dataset, job.new.source)
    return found or begun.note


async def _unchanged(job: Job, parts: Sequence[Slice], known: Mapping[str, Bookmark]) -> bool:
    """Tell whether the source has the same slices as before, and nothing new in any of them."""
    if {part.name for part in parts} != set(known):
        return False
    for part in parts:
        async with aclosing(job.source.read(part, known[part.name])) as pages:  # type: ignore[type-var] # a generator
            async for _page in pages:
                return False
    return True


async def _slice(  # noqa: PLR0913, PLR0917 - a slice of a job, and who listens
    job: Job,
    run_id: int,
    part: Slice,
    emit: Emit,
    stop: asyncio.Event,
    kept: Callable[[Batch], None] | None,
) -> None:
    unit = Unit(
        source=job.new.source,
        kind=job.new.kind,
        dataset=job.dataset.name,
        run_id=run_id,
        slice_name=part.name,
        lane=job.lane,
    )
    scratch = Path(tempfile.mkdtemp(dir=job.scratch))
    try:
        bound = structlog.contextvars.bound_contextvars(slice=part.name)
        with bound, await asyncio.to_thread(Shaper, job.shape, scratch, job.agreement) as shaper:
            hands = Hands(
                shape=shaper.shape,
                emit=emit,
                stop=stop,
                kept=kept,
                most_records=job.most_records,
                most_bytes=job.most_bytes,
            )
            await work(unit, part, job.source, job.ledger, hands)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
