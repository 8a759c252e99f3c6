"""Runs in the database: one at a time per source, recorded from their first moment to their end."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import AsyncConnection

from kasparro.errors import Conflict, Misconfigured
from kasparro.model.run import Counts, Delays, RunStatus
from kasparro.store.database import Database, process_name
from kasparro.store.lanes import HOLD, abandon_hold, undecided, waiting_run
from kasparro.store.lease import LEASE, Lease, guard
from kasparro.store.queries import queries

EACH_RECORD = ("*",)
"""Stands for the primary key where each record is a row of its own: `write_disposition: append`."""

REMEMBERED = 100
"""Of so many runs it is remembered where each slice stood, see `checkpoints`."""

_READS = frozenset({"run", "full_refresh", "backfill"})
"""Triggers of runs that ask the source. Rows that were read before, and stand in a lane, are not the latest then."""

_DIED = (
    "The process that ran it ended without a word (killed, or the machine went down), or was silent for longer than "
    "its lease (frozen, or cut off). The next run went on from there."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What is known of a run before it begins.

    Attributes:
        origin: Where the source reads from, without secrets; likewise `config_hash`.
        shape: Tells the mapping by which its rows are made from others.
        trigger: What began it: `run`, `full_refresh`, `replay`, `backfill`, `rejects`.
        lane: Which checkpoints it moves: `""` the usual ones.
        beside: Its rows wait beside the table (`refresh`), so they may be known by another key.
        accept: A refresh that was refused at its end is gone on with, instead of begun again.
        schedule: When the source is to run, as JSON; None where nobody says.
        requested_by: Who asked for it: `schedule`, `api`, `cli`, `resume`; None is another program.
        due_at: The due moment that it is for; None where it is for none.
        job_id: The job of the queue that it is; None where it was not queued.
    """

    source: str
    kind: str
    dataset: str
    origin: str
    config_hash: str
    code_version: str
    primary_key: tuple[str, ...] = ()
    shape: str = ""
    trigger: str = "run"
    lane: str = ""
    beside: bool = False
    accept: bool = False
    schedule: str | None = None
    requested_by: str | None = None
    due_at: datetime | None = None
    job_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that holds its source's lock.

    `resumed`: an earlier run left something to go on from. `note`: something that the operator should know.
    """

    run_id: int
    resumed: bool
    lease: Lease
    note: str | None = None


class Runs:
    """Begins and ends runs.

    Args:
        database: Where they are recorded.
        lease: Seconds for which a run may be silent before another may have its source.
    """

    def __init__(self, database: Database, lease: float = LEASE) -> None:
        self._database = database
        self._seconds = lease
        self._sql = queries("runs")

    @asynccontextmanager
    async def begin(self, new: NewRun) -> AsyncIterator[Begun]:
        """Hold the source's lock for the block, record runs that died, and begin a new one.

        Raises:
            Conflict: another run of this source is under way, or the rows of one are held.
            Misconfigured: its rows are known by another key, or stand in another dataset.
        """
        async with self._database.own_connection() as connection:
            await guard(connection, self._seconds)
            await self._lock(connection, new.source)
            async with connection.transaction():
                begun = await self._begun(connection, new)
            if isinstance(begun, int):
                raise undecided(new.source, begun)
            async with begun.lease.kept():
                yield begun

    async def _begun(self, connection: AsyncConnection, new: NewRun) -> Begun | int:
        """Begin a run; or return the one whose rows are held, with runs that died recorded all the same."""
        facts = {**asdict(new), "primary_key": orjson.dumps(new.primary_key).decode()}
        facts |= {"holder": process_name(), "lease": self._seconds}
        await connection.execute(self._sql["leftovers"], facts)
        held = await self._ended_dead(connection, new.source)
        if held is not None:
            return held
        cursor = await connection.execute(self._sql["known"], facts)
        known = _Known.of(await cursor.fetchone())
        if known is not None:
            _check_known(new, known)
        await connection.execute(self._sql["declare"], {**facts, "first": known is None or known.rows == 0})
        await connection.execute(self._sql["schedule"], facts)
        if new.lane != HOLD and new.trigger in _READS:
            await abandon_hold(connection, new.source)
        if new.beside or new.lane == HOLD:
            await connection.execute(self._sql["stale"], facts)
            await connection.execute(self._sql["unled"], facts)
        cursor = await connection.execute(self._sql["unfinished"], facts)
        resumed = await _single(cursor.fetchone())
        cursor = await connection.execute(self._sql["begin"], facts)
        run_id = await _single(cursor.fetchone())
        await connection.execute(self._sql["pass"], {**facts, "run_id": run_id, "resumed": resumed})
        lease = Lease(self._database, connection, run_id=run_id, source=new.source, seconds=self._seconds)
        return Begun(run_id=run_id, resumed=resumed, lease=lease, note=None if known is None else _note(new, known))

    async def _ended_dead(self, connection: AsyncConnection, source: str) -> int | None:
        """Record the runs of the source that died; return the one whose rows are held. That one had come to its end."""
        cursor = await connection.execute(self._sql["abandoned"], {"source": source})
        for run_id, held in await cursor.fetchall():
            if held:
                await self._end(connection, run_id, "success", None)
            else:
                await self._end(connection, run_id, "interrupted", ("interrupted", _DIED))
        return await waiting_run(connection, source)

    async def finish(
        self,
        run_id: int,
        status: RunStatus,
        error: tuple[str, str] | None,
        delays: Delays = Delays(),  # noqa: B008 - frozen
        resume_in: float | None = None,
    ) -> tuple[Counts, datetime | None]:
        """End a run; return what it has committed, and when it goes on if it is parked.

        Args:
            run_id: The run.
            status: Any but `running`.
            error: Code and sentence, without secrets.
            delays: What held it up.
            resume_in: Seconds, by the database's clock, until a parked run goes on; None of any other.
        """
        async with self._database.connection() as connection:
            resume_at = await self._end(connection, run_id, status, error, delays, resume_in)
            await connection.execute(self._sql["remember"], {"run_id": run_id})
            await connection.execute(self._sql["forget"], {"run_id": run_id, "keep": REMEMBERED - 1})
        return await self.committed([run_id]), resume_at

    async def is_running(self, run_id: int) -> bool:
        """Tell whether the record of a run says that it is under way."""
        async with self._database.connection() as connection:
            row = await (await connection.execute(self._sql["status"], {"run_id": run_id})).fetchone()
        return row is not None and row[0] == "running"

    async def is_held(self, source: str) -> bool:
        """Tell whether rows of the source wait for a decision: until then none of its runs begins."""
        async with self._database.connection() as connection:
            return await waiting_run(connection, source) is not None

    async def committed(self, run_ids: Sequence[int]) -> Counts:
        """Return what runs have committed together."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["committed"], {"run_ids": list(run_ids)})
            (row,) = await cursor.fetchall()
        names = ("extracted", "inserted", "updated", "unchanged", "duplicates", "rejected", "deleted")
        return Counts(**dict(zip(names, row, strict=True)))

    async def _lock(self, connection: AsyncConnection, source: str) -> None:
        cursor = await connection.execute(self._sql["lock"], {"source": source})
        if await _single(cursor.fetchone()):
            return
        cursor = await connection.execute(self._sql["holder"], {"source": source})
        row = await cursor.fetchone()
        who = f"run {row[0]} by {row[1]}, since {row[2]:%Y-%m-%d %H:%M:%S} UTC" if row is not None else "just started"
        raise Conflict(f"Another run of {source} is under way ({who}). Wait for it to end, or stop it.")

    async def _end(  # noqa: PLR0913, PLR0917 - the columns of the end of a run
        self,
        connection: AsyncConnection,
        run_id: int,
        status: RunStatus,
        error: tuple[str, str] | None,
        delays: Delays = Delays(),  # noqa: B008 - frozen
        resume_in: float | None = None,
    ) -> datetime | None:
        code, text = error if error is not None else (None, None)
        ended = {"run_id": run_id, "status": status, "error_code": code, "error": text}
        cursor = await connection.execute(self._sql["finish"], {**ended, **asdict(delays), "resume_in": resume_in})
        row = await cursor.fetchone()
        return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the rows of a source are known by."""

    dataset: str
    key: tuple[str, ...] | None
    rows: int
    shape: str | None

    @classmethod
    def of(cls, row: tuple[Any, ...] | None) -> "_Known | None":
        if row is None:
            return None
        dataset, key, rows, shape = row
        return cls(dataset, None if key is None else tuple(key), rows, shape)


def _check_known(new: NewRun, known: _Known) -> None:
    """Refuse what would make a second set of rows of the same records."""
    if known.key is None or known.rows == 0:
        return
    if known.dataset != new.dataset:
        change, old, now, others = "dataset", known.dataset, new.dataset, ""
    elif not new.beside and new.primary_key not in {known.key, EACH_RECORD}:
        change, old, now = "primary_key", _shown(known.key), _shown(new.primary_key)
        others = f"or make its rows again by it: kasparro replay {new.source}, "
    else:
        return
    raise Misconfigured(
        f"{new.source} has {known.rows:,} rows with the {change} {old}, and is now declared with {now}: the same "
        f"records would become other rows beside them. Declare it under another name, or change it back, {others}or "
        f"remove its rows and read it anew: kasparro checkpoint reset {new.source} --rows"
    )


def _note(new: NewRun, known: _Known) -> str | None:
    """What is to be said of rows that were made by another mapping."""
    if known.rows == 0 or known.shape in {None, new.shape} or new.beside:
        return None
    if known.shape == "":
        return f"rows that are there have lost the values of a column. To fill it: kasparro replay {new.source}"
    return (
        f"the mapping has changed since the {known.rows:,} rows that are there were made; what is read from now on "
        f"follows the new one. To make the others again: kasparro replay {new.source}"
    )


def _shown(key: Sequence[str]) -> str:
    if key == EACH_RECORD:
        return "(none: each record was appended)"
    return ", ".join(key) or "(none: the content)"


async def _single(fetched: Any) -> Any:  # noqa: ANN401 - a row of one column
    row = await fetched
    return row[0]
