"""Rows of a usual run that wait until it was judged: kept as they came, and merged as if they came then.

The batches of the run are copied to a table beside the dataset's, which has no key: a record that comes twice stands in
it twice. When they take effect, keys that came once are written by one statement; the batches that hold the others are
merged one after the other by the very statement that merges a batch of a run without a gate. So table, checkpoints and
counts are what they would have been without.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql

from kasparro.model.run import Counts, Unit
from kasparro.store.database import Database
from kasparro.store.lanes import HOLD, SETTINGS, Terms, as_sql, fenced, lane_table, leave_lane, open_lane
from kasparro.store.loading import Written, merge
from kasparro.store.queries import queries
from kasparro.store.target import Target, comparable

_STAGE = sql.Identifier("pg_temp", "held_batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The rows of one source that wait.

    Attributes:
        database: Where.
        source: Whose rows.
        terms: By which rules they take effect.
    """

    database: Database
    source: str
    terms: Terms

    @property
    def table(self) -> str:
        """Qualified name of the table beside, safe to put into SQL."""
        return lane_table(HOLD, self.source)

    async def open(self) -> None:
        """Make the table beside, unless there is one to go on with; its slices go on where the usual ones stand."""
        await open_lane(self.database, HOLD, self.source, self.terms)

    async def settle(self, run_id: int) -> None:
        """Let the rows take effect: all at once, or not at all. Raises Stopped when a later run has the source."""
        async with self.database.connection() as connection, connection.transaction():
            await self.take_effect(connection, run_id, await fenced(connection, self.source, run_id))

    async def take_effect(self, connection: AsyncConnection, run_id: int, pass_id: int) -> Counts:
        """Let the rows take effect inside the caller's transaction; return what became of them."""
        await connection.execute(SETTINGS)
        await connection.execute(sql.SQL("ANALYZE {}").format(as_sql(self.table)))
        written = await (self._append(connection) if self.terms.append else self._merge(connection, pass_id))
        counts = Counts(
            extracted=written.inserted + written.updated + written.unchanged + written.duplicates,
            inserted=written.inserted,
            updated=written.updated,
            unchanged=written.unchanged,
            duplicates=written.duplicates,
        )
        facts = {**self._facts(), "run_id": run_id, "pass_id": pass_id, "lost": 0, **asdict(counts)}
        await connection.execute(queries("lanes")["counted"], facts)
        await self.lead(connection, pass_id)
        return counts

    async def lead(self, connection: AsyncConnection, pass_id: int) -> None:
        """Let the next run go on where the lane stands, let its pages count, and leave it."""
        facts = {**self._facts(), "pass_id": pass_id}
        await connection.execute(queries("lanes")["in_force"], facts)
        await connection.execute(queries("hold")["lead"], facts)
        await leave_lane(connection, HOLD, self.source)

    async def _append(self, connection: AsyncConnection) -> Written:
        return Written(inserted=await self._count(connection, "append"))

    async def _merge(self, connection: AsyncConnection, pass_id: int) -> Written:
        await self._execute(connection, "several")
        cursor = await connection.execute("SELECT count(*) FROM pg_temp.several")
        (several,) = (await cursor.fetchall())[0]
        batches = await self._repeated(connection) if several else []
        once = sql.SQL(
            "NOT EXISTS (SELECT FROM pg_temp.several AS one WHERE one.record_key = made.record_key)"
            if several
            else "true"
        )
        rows = await self._count(connection, "size") - sum(count for _, _, count, *_ in batches)
        updated = await self._count(connection, "update", once=once)
        inserted = await self._count(connection, "insert", once=once)
        written = Written(inserted=inserted, updated=updated, unchanged=rows - inserted - updated)
        target = await self._target(connection, pass_id)
        for batch in batches:
            written += await self._batch(connection, target, batch, untouched=written.updated == 0)
        return written

    async def _repeated(self, connection: AsyncConnection) -> list[tuple[Any, ...]]:
        """Put the rows of keys that came more than once aside; return the batches that hold them, in their order."""
        await connection.execute("ANALYZE pg_temp.several")
        await self._execute(connection, "repeated")
        await connection.execute("CREATE INDEX ON pg_temp.repeated (page_slice, page_batch)")
        await connection.execute("ANALYZE pg_temp.repeated")
        stage = "CREATE TEMP TABLE held_batch (LIKE {log} INCLUDING DEFAULTS) ON COMMIT DROP"
        await connection.execute(sql.SQL(stage).format(log=as_sql(self.table)))
        cursor = await self._execute(connection, "batches")
        batches: list[tuple[Any, ...]] = await cursor.fetchall()
        return batches

    async def _target(self, connection: AsyncConnection, pass_id: int) -> Target:
        runs = "SELECT array_agg(id) FROM etl_run WHERE source = %(source)s AND pass_id = %(pass_id)s"
        cursor = await connection.execute(runs, {"source": self.source, "pass_id": pass_id})
        dataset = self.terms.dataset
        return Target(dataset=dataset, table=dataset.table, pass_runs=(await cursor.fetchall())[0][0] or ())

    async def _batch(
        self, connection: AsyncConnection, target: Target, batch: Sequence[Any], *, untouched: bool
    ) -> Written:
        """Merge the repeated keys of one batch, as a run without a gate merges it.

        `untouched`: no row was changed before; then a page that this run has read already holds duplicates.
        """
        part, number, count, again, given, stored = batch
        await connection.execute("TRUNCATE pg_temp.held_batch")
        await self._execute(connection, "batch", slice=part, batch=number)
        unit = Unit(source=self.source, kind="", dataset=target.dataset.name, run_id=0, slice_name=part, lane=HOLD)
        renumbered = dict(zip(given or (), stored or (), strict=True))
        written = await merge(connection, replace(target, renumbered=renumbered), unit, _STAGE, count)
        if again and untouched and written.unchanged == count:
            return Written(duplicates=count)
        return written

    async def _count(self, connection: AsyncConnection, name: LiteralString, **words: sql.Composable) -> int:
        cursor = await self._execute(connection, name, words)
        return int((await cursor.fetchall())[0][0])

    async def _execute(
        self,
        connection: AsyncConnection,
        name: LiteralString,
        words: dict[str, sql.Composable] | None = None,
        **facts: Any,  # noqa: ANN401 - parameters of a statement
    ) -> Any:  # noqa: ANN401 - a cursor of rows of any shape
        statement = sql.SQL(queries("hold")[name]).format(**{**self._words(), **(words or {})})
        return await connection.execute(statement, {**self._facts(), **facts})

    def _facts(self) -> dict[str, Any]:
        return {"source": self.source, "lane": HOLD, "dataset": self.terms.dataset.name}

    def _words(self) -> dict[str, sql.Composable]:
        """What stands for the names in the statements: tables, columns and conditions."""
        dataset, comma = self.terms.dataset, sql.SQL(", ")
        names = [sql.Identifier(field.name) for field in dataset.fields]
        system = ("source", "record_key", "record_hash", "run_id", "raw_page_id", "raw_index")
        return {
            "table": as_sql(dataset.table),
            "log": as_sql(self.table),
            "columns": comma.join([*(sql.Identifier(name) for name in system), *names]),
            "fields": comma.join(names),
            "made": comma.join(sql.SQL("made.{}").format(name) for name in names),
            "changes": comma.join(sql.SQL("{0} = made.{0}").format(name) for name in names),
            "differs": sql.SQL("known.record_hash <> made.record_hash AND ROW({}) IS DISTINCT FROM ROW({})").format(
                comparable(dataset, "known"), comparable(dataset, "made")
            ),
        }
