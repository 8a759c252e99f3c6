"""What a run of a source can be: usual, a full refresh, a replay of raw pages or of rejects, a backfill."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kasparro.assembly.contracts import naming_of, without_freeze
from kasparro.config import Config, config_hash
from kasparro.errors import Misconfigured
from kasparro.ingestion.replay import Stored
from kasparro.ingestion.run import Job
from kasparro.ingestion.tally import Tally
from kasparro.model.contract import Agreement
from kasparro.model.finding import Judged
from kasparro.model.held import Held, HoldOn
from kasparro.model.source import Declared
from kasparro.shaping.plan import Shape
from kasparro.sources.tools import Opened
from kasparro.store.checkpoints import Checkpoints
from kasparro.store.database import Database
from kasparro.store.hold import Hold
from kasparro.store.lanes import HOLD, Lane, Terms
from kasparro.store.ledger import PostgresLedger
from kasparro.store.raw_reading import RawReading
from kasparro.store.refresh import Refresh
from kasparro.store.rejects import RejectFilter
from kasparro.store.runs import EACH_RECORD, NewRun
from kasparro.store.watch import Watch
from kasparro.version import __version__

if TYPE_CHECKING:
    from kasparro.ingestion.contract import Keeper

_REJECTS = "rejects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a job is made of.

    `keeper`: holds it to the contract of the source; None where there is nothing to hold. `tally`: hears what holds its
    requests up.
    """

    declared: Declared
    source: Opened
    config: Config
    database: Database
    keeper: "Keeper | None" = None
    tally: Tally | None = None

    @property
    def shape(self) -> Shape:
        """What the records are to become."""
        return shape_of(self.declared, self.config)

    @property
    def agreement(self) -> Agreement | None:
        """What the records are held to."""
        held = self.keeper is not None and self.keeper.agreement.contract.holds
        return self.keeper.agreement if self.keeper is not None and held else None


Mode = Callable[[Parts], Job]


def shape_of(declared: Declared, config: Config) -> Shape:
    """Return what the records of a source are to become."""
    return Shape(
        dataset=config.datasets[declared.dataset],
        mapping=declared.mapping,
        primary_key=declared.primary_key or declared.kind.natural_key,
        well_known=declared.kind.well_known,
        timezone=declared.timezone,
    )


def origin_of(declared: Declared) -> str:
    """Return where a source reads from: its URL or path. May hold a secret."""
    place = getattr(declared.kind, "url", None) or getattr(declared.kind, "path", None) or ""
    return place if isinstance(place, str) else ", ".join(place)


def usual(parts: Parts) -> Job:
    """Read what is new; or everything, where the source is declared so, unless nothing in it is new."""
    if not parts.declared.full_refresh:
        beside = parts.declared.hold_on is not None or parts.declared.contract.freezes
        return staged(parts) if beside else _plain(parts)
    job = refreshed(parts)
    known = partial(Checkpoints(parts.database).known, parts.declared.name, job.new.shape)
    return replace(job, known=known) if parts.source.kind.complete else job


def refreshed(parts: Parts, *, accept: bool = False) -> Job:
    """Read everything anew; the rows take effect at the end. `accept`: whatever number of rows goes.

    Raises:
        Misconfigured: the source appends.
    """
    check_refresh(parts.declared)
    return _gated(parts, _beside(parts, _plain(parts), "refresh", accept=accept, who=""))


def check_refresh(declared: Declared) -> None:
    """Raise Misconfigured where a source cannot be read anew: it appends."""
    if declared.append:
        raise Misconfigured(
            f"{declared.name} has write_disposition append: a full refresh would add all its records once more. "
            f"If that is meant: kasparro checkpoint reset {declared.name}, then kasparro run"
        )


def staged(parts: Parts) -> Job:
    """Read what is new beside the table; the rows take effect when the run was judged, unless they are to wait."""
    job = _plain(parts)
    hold = Hold(database=parts.database, source=parts.declared.name, terms=_terms(parts, job))
    return replace(
        _gated(parts, job),
        new=replace(job.new, lane=HOLD),
        ledger=_ledger(parts, table=hold.table, waits=True),
        lane=HOLD,
        prepare=hold.open,
        settle=hold.settle,
    )


def replayed(parts: Parts, *, accept: bool = False, who: str = "") -> Job:
    """Make the rows again from the raw pages, without asking the source. What a contract freezes was taken once."""
    parts = without_freeze(parts, "evolve")
    pages = RawReading(parts.database, parts.declared.name)
    job = replace(_plain(parts), source=_stored(parts, pages), judge=None)
    return _beside(parts, job, "replay", accept=accept, who=who)


def rejects_replayed(parts: Parts, *, wanted: RejectFilter, who: str) -> Job:
    """Try rejected records again with the mapping and the contract of now; what that freezes stays rejected."""
    parts = without_freeze(parts, "discard_row")
    pages = RawReading(parts.database, parts.declared.name, wanted)
    ledger = _ledger(parts, again=True, rejects_of=who)
    return replace(_in_lane(parts, _REJECTS, _REJECTS), source=_stored(parts, pages), ledger=ledger)


def backfilled(parts: Parts, *, first: Any, last: Any) -> Job:  # noqa: ANN401 - a cursor value
    """Read the records whose cursor value is from `first` to `last`; the usual checkpoint stays where it is.

    Raises:
        Misconfigured: the source has no such value.
    """
    kind = parts.source.kind
    if getattr(kind, "cursor_field", None) is None:
        raise Misconfigured(
            f"{parts.declared.name} has no cursor_field, so there is no range to read. To read it all: "
            f"kasparro run {parts.declared.name} --full-refresh"
        )
    ranged = replace(kind, cursor_start=first, cursor_end=last, lookback=0)  # type: ignore[type-var] # every kind is a dataclass
    job = _in_lane(parts, f"backfill {first}..{last}", "backfill")
    return replace(job, source=replace(parts.source, kind=ranged))


def _plain(parts: Parts) -> Job:
    declared, tools, shape = parts.declared, parts.source.tools, parts.shape
    return Job(
        new=NewRun(
            source=declared.name,
            kind=declared.kind.type,
            dataset=shape.dataset.name,
            origin=tools.redact(origin_of(declared)),
            config_hash=config_hash(declared, tools.redact),
            code_version=__version__,
            primary_key=EACH_RECORD if declared.append else shape.primary_key,
            shape=_digest(_told(parts)),
            schedule=None if declared.schedule is None else declared.schedule.to_text(),
        ),
        source=parts.source,
        dataset=shape.dataset,
        shape=shape,
        ledger=_ledger(parts),
        judge=partial(_judged, parts),
        agreement=parts.agreement,
        tally=parts.tally,
        kept_out=None if parts.agreement is None or parts.keeper is None else parts.keeper.kept_out,
        max_rejects=declared.max_rejects,
        most_records=tools.page_records,
        most_bytes=tools.page_bytes,
        redact=tools.redact,
        scratch=tools.scratch,
    )


def _ledger(
    parts: Parts,
    *,
    table: str | None = None,
    waits: bool = False,
    again: bool = False,
    rejects_of: str | None = None,
) -> PostgresLedger:
    return PostgresLedger(
        parts.database,
        parts.shape.dataset,
        # A page whose rows were made is not made again, unless the contract or the schema takes other records now.
        shape=_digest(f"{_told(parts)} {__version__}{'' if parts.agreement is None else parts.agreement.digest}"),
        table=table,
        append=parts.declared.append,
        waits=waits,
        again=again,
        rejects_of=rejects_of,
    )


def _gated(parts: Parts, job: Job) -> Job:
    """Let the rows of a job wait, where they stand beside the table, when the run is as bad as the source says."""
    return replace(
        job, judge=partial(_judged, parts, hold_on=parts.declared.hold_on), waits=partial(_waits, parts.database)
    )


async def _waits(database: Database, run_id: int) -> Held:
    from kasparro.store.hold_runs import HeldRuns  # noqa: PLC0415 - few runs are held: the others start without it

    return await HeldRuns(database).one(run_id)


async def _judged(parts: Parts, run_id: int, hold_on: HoldOn | None = None) -> Judged:
    from kasparro.ingestion.watch import judge_run  # noqa: PLC0415 - loads the judge: not before a run has come to its end

    return await judge_run(
        Watch(parts.database),
        run_id,
        _moments(parts),
        hold_on,
        contract=parts.declared.contract,
        naming=naming_of(parts.declared, parts.shape.dataset, parts.source.tools.redact),
        schedule=parts.declared.schedule,
    )


def _moments(parts: Parts) -> tuple[str, ...]:
    """Paths at which a record may say when it was made, the likeliest first."""
    shape, cursor = parts.shape, getattr(parts.declared.kind, "cursor_field", None)
    rule = None if shape.mapping is None else shape.mapping.rules.get("occurred_at")
    guesses = shape.well_known.get("occurred_at", ()) if shape.mapping is None else ()
    return (*(() if cursor is None else (cursor,)), *(() if rule is None else rule.paths), *guesses)


def _told(parts: Parts) -> str:
    """All that is stated about how records become rows."""
    nulls = _null_values(parts.declared)
    return str(parts.shape) if nulls == ("",) else f"{parts.shape} {nulls}"


def _null_values(declared: Declared) -> tuple[str, ...]:
    return getattr(declared.kind, "null_values", ("",))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _stored(parts: Parts, pages: RawReading) -> Stored:
    return Stored(pages=pages, null_values=_null_values(parts.declared))


def _in_lane(parts: Parts, lane: str, trigger: str) -> Job:
    """Read into the table itself, with checkpoints of its own that are forgotten at the end."""
    job = _plain(parts)

    async def settle(_run_id: int) -> None:
        await Checkpoints(parts.database).leave(parts.declared.name, lane)

    return replace(job, new=replace(job.new, lane=lane, trigger=trigger), lane=lane, settle=settle, judge=None)


def _beside(parts: Parts, job: Job, lane: Lane, *, accept: bool, who: str) -> Job:
    terms = _terms(parts, job, accept=accept, who=who)
    refresh = Refresh(database=parts.database, source=parts.declared.name, lane=lane, terms=terms)
    trigger = "full_refresh" if lane == "refresh" else lane
    return replace(
        job,
        new=replace(job.new, lane=lane, trigger=trigger, beside=True, accept=accept),
        ledger=_ledger(parts, table=refresh.table, again=lane == "replay"),
        lane=lane,
        prepare=refresh.open,
        settle=refresh.settle,
    )


def _terms(parts: Parts, job: Job, *, accept: bool = False, who: str = "") -> Terms:
    declared = parts.declared
    return Terms(
        dataset=job.dataset,
        shape=job.new.shape,
        primary_key=job.new.primary_key,
        removal=replace(declared.removal, accepted=accept),
        complete=parts.source.kind.complete or declared.replace,
        append=declared.append,
        who=who,
    )
