"""Runs whose rows wait for a decision: looked at, released or dropped, once, by whom and when."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from kasparro.errors import Broken, Conflict, NotFound, SchemaBroken
from kasparro.model.held import Held, HeldState
from kasparro.model.run import Counts, Delays
from kasparro.store.database import Database
from kasparro.store.hold import Hold
from kasparro.store.hold_rows import Beside, counted, shown
from kasparro.store.lanes import HOLD, Terms, gone, lane_table, leave_lane
from kasparro.store.queries import queries
from kasparro.store.refresh import Refresh
from kasparro.store.runs import REMEMBERED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A run whose rows wait, with its record held in our transaction.

    Attributes:
        beside: Its rows; None where their table is gone.
        version: Of the schema that it was judged by.
        pending: JSON of the schema that waits with the rows.
    """

    connection: AsyncConnection
    run_id: int
    source: str
    lane: str
    pass_id: int
    verdict: str
    beside: Beside | None
    version: int | None
    pending: Any


class HeldRuns:
    """Shows and decides about runs whose rows wait.

    Every method raises NotFound where there is no such run, and Conflict where none of its rows wait, or where somebody
    has dropped their table.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("hold")

    async def one(self, run_id: int) -> Held:
        """Return what waits, and why."""
        async with self._looking(run_id) as waiting:
            return await counted(waiting.connection, self._there(waiting), run_id, waiting.verdict)

    async def rows(self, run_id: int, limit: int) -> list[dict[str, Any]]:
        """Return rows that would be added, changed or removed, by key."""
        async with self._looking(run_id) as waiting:
            return await shown(waiting.connection, self._there(waiting), limit)

    async def source(self, run_id: int) -> str:
        """Return whose run it is."""
        async with self._database.connection() as connection:
            return await self._source_at(connection, run_id)

    async def release(self, run_id: int, who: str, *, accept: bool = False) -> Counts:
        """Let the rows take effect, with checkpoint, counts and schema: all at once; return what became of them.

        Args:
            run_id: The run.
            who: Who decides.
            accept: However many rows go.

        Raises:
            Conflict: a refresh would shrink the rows of the source by more than `max_deletions`.
            Broken: the table does not take them; nothing was changed.
        """
        async with self._deciding(run_id) as waiting:
            beside = self._there(waiting)
            if accept:
                removal = replace(beside.terms.removal, accepted=True)
                beside = replace(beside, terms=replace(beside.terms, removal=removal))
            try:
                counts = await beside.take_effect(waiting.connection, run_id, waiting.pass_id)
            except Broken as refusal:
                raise _refusal(refusal, run_id) from refusal
            facts = {"source": waiting.source, "run_id": run_id, **asdict(counts)}
            await self._execute(waiting, "totals", **facts)
            if waiting.pending is not None:
                await self._execute(
                    waiting, "evolve", **facts, who=who, pending=waiting.pending, version=waiting.version
                )
            await self._remember(waiting)
            await self._decide(waiting, "released", who)
        return counts

    async def drop(self, run_id: int, who: str, *, skip: bool = False) -> None:
        """Throw the rows away. The next run reads the same records again; with `skip` it goes on behind them.

        The raw pages stay stored. Only those that were skipped count in a replay.
        """
        async with self._deciding(run_id) as waiting:
            facts = {"source": waiting.source, "lane": waiting.lane, "run_id": run_id, "pass_id": waiting.pass_id}
            if skip:
                lead = "lead" if waiting.lane == HOLD else "lead_refresh"
                await waiting.connection.execute(queries("lanes")["in_force"], facts)
                await self._execute(waiting, lead, **facts)
                await self._remember(waiting)
            else:
                await self._execute(waiting, "unmet", **facts, who=who)
            await leave_lane(waiting.connection, "hold" if waiting.lane == HOLD else "refresh", waiting.source)
            await self._decide(waiting, "dropped", who, skipped=skip)

    @asynccontextmanager
    async def _looking(self, run_id: int) -> AsyncIterator[_Waiting]:
        """Give the run to look at. Where somebody decides about it meanwhile, that is said."""
        try:
            async with self._database.connection() as connection, connection.transaction():
                yield await self._waiting(connection, run_id)
        except SchemaBroken:
            await self.source(run_id)
            raise

    @asynccontextmanager
    async def _deciding(self, run_id: int) -> AsyncIterator[_Waiting]:
        """Give the run in a transaction, while nobody else can decide about it, and no run of its source can begin."""
        async with self._database.own_connection() as connection:
            source = await self._source_at(connection, run_id)
            cursor = await connection.execute(queries("runs")["lock"], {"source": source})
            row = await cursor.fetchone()
            if row is None or not row[0]:
                raise Conflict(
                    f"A run of {source}, or another decision about run {run_id}, is under way. Wait for it to end; "
                    f"kasparro runs show {run_id} says what became of it."
                )
            async with connection.transaction():
                waiting = await self._waiting(connection, run_id, lock="FOR UPDATE OF run")
                await self._end(connection, run_id)
                yield waiting

    async def _source_at(self, connection: AsyncConnection, run_id: int) -> str:
        """Return whose run it is. Raises NotFound, and Conflict where its rows do not wait."""
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(self._sql["run"], {"run_id": run_id})
        run = await cursor.fetchone()
        if run is None:
            raise NotFound(f"There is no run {run_id}. List them with: kasparro runs list")
        state: HeldState | None = run["held"]
        match state:
            case "held":
                return str(run["source"])
            case None:
                raise Conflict(f"Run {run_id} of {run['source']} was not held: no rows of it wait.", held=None)
            case _:
                how = "dropped, and its records are passed over," if run["skipped"] else f"{state}"
                raise Conflict(
                    f"Run {run_id} of {run['source']} was {how} already, by {run['decided_by']} at "
                    f"{run['decided_at']:%Y-%m-%d %H:%M:%S} UTC. No rows of it wait.",
                    held=state,
                )

    async def _waiting(self, connection: AsyncConnection, run_id: int, *, lock: LiteralString = "") -> _Waiting:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(sql.SQL(self._sql["held"]).format(lock=sql.SQL(lock)), {"run_id": run_id})
        row = await cursor.fetchone()
        if row is None:
            await self._source_at(connection, run_id)
            raise Conflict(f"No rows of run {run_id} wait.", held=None)
        source, lane, terms = row["source"], row["lane"], row["terms"]
        beside: Beside | None = None
        table = lane_table(HOLD if lane == HOLD else "refresh", source)
        there = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        if terms is not None and (await there.fetchall())[0][0]:
            kept = Terms.from_json(terms, row["shape"])
            if lane == HOLD:
                beside = Hold(database=self._database, source=source, terms=kept)
            else:
                beside = Refresh(database=self._database, source=source, lane="refresh", terms=kept)
        return _Waiting(
            connection=connection,
            run_id=run_id,
            source=source,
            lane=lane,
            pass_id=row["pass_id"],
            verdict=row["verdict"],
            beside=beside,
            version=row["schema_version"],
            pending=row["pending"],
        )

    def _there(self, waiting: _Waiting) -> Beside:
        if waiting.beside is None:
            raise gone(waiting.source, waiting.run_id)
        return waiting.beside

    async def _end(self, connection: AsyncConnection, run_id: int) -> None:
        """End a run that died after it had come to its end; one that has ended is left as it is."""
        ended = {"run_id": run_id, "status": "success", "error_code": None, "error": None, "resume_in": None}
        await connection.execute(queries("runs")["finish"], {**ended, **asdict(Delays())})

    async def _remember(self, waiting: _Waiting) -> None:
        """Where the slices stand now is where this run has led them."""
        facts = {"run_id": waiting.run_id, "keep": REMEMBERED - 1}
        await waiting.connection.execute(queries("runs")["remember"], facts)
        await waiting.connection.execute(queries("runs")["forget"], facts)

    async def _decide(self, waiting: _Waiting, held: HeldState, who: str, *, skipped: bool = False) -> None:
        await self._execute(waiting, "decided", run_id=waiting.run_id, held=held, who=who, skipped=skipped)

    async def _execute(self, waiting: _Waiting, name: LiteralString, **facts: Any) -> None:  # noqa: ANN401 - parameters
        await waiting.connection.execute(self._sql[name], facts)


def _refusal(refusal: Broken, run_id: int) -> Conflict | Broken:
    """Return the error for whoever releases: what to do about too many deletions is another command than in a run."""
    if not refusal.facts.get("too_many_deletions"):
        return refusal
    numbers = str(refusal).partition(" Nothing was changed.")[0]
    return Conflict(
        f"{numbers} Nothing was changed. If that is right: kasparro runs release {run_id} --accept-deletions. "
        f"If not: kasparro runs drop {run_id}",
        too_many_deletions=True,
    )
