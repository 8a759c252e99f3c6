"""Rows of a refresh or replay: they stand beside the table until all are there, then take effect in one transaction.

So readers see the rows as they were before or as they are afterwards, and a refresh that was killed goes on where it
stopped. The table beside has the columns of the dataset's; what takes effect is the difference between the two.
"""

from dataclasses import asdict, dataclass
from typing import Any

import orjson
from psycopg import AsyncConnection, sql

from kasparro.errors import Broken
from kasparro.model.run import Counts
from kasparro.store.database import Database
from kasparro.store.lanes import SETTINGS, Lane, Terms, as_sql, fenced, lane_table, leave_lane, open_lane
from kasparro.store.queries import queries
from kasparro.store.target import comparable


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the rows beside the table differ from those in it.

    Attributes:
        rows: In the table, of this source.
        lost: Rows that should be in it besides, and are not: somebody deleted them.
        missing: Rows in the table that are not beside it.
        beside: Rows beside the table.
        new: Those of them that are not in the table.
    """

    rows: int
    lost: int
    missing: int
    beside: int
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """The rows of one source on their way.

    Attributes:
        database: Where.
        source: Whose rows.
        lane: `refresh`: they were read from the source. `replay`: from its raw pages.
        terms: By which rules they take effect.
    """

    database: Database
    source: str
    lane: Lane
    terms: Terms

    @property
    def table(self) -> str:
        """Qualified name of the table beside, safe to put into SQL."""
        return lane_table(self.lane, self.source)

    async def open(self) -> None:
        """Make the table beside, unless there is one to go on with."""
        await open_lane(self.database, self.lane, self.source, self.terms)

    async def settle(self, run_id: int) -> None:
        """Let the rows take effect: all at once, or not at all.

        Raises:
            Broken: the rows of the source would shrink by more than allowed; nothing has changed.
            Stopped: a later run has the source.
        """
        try:
            async with self.database.connection() as connection, connection.transaction():
                await self.take_effect(connection, run_id, await fenced(connection, self.source, run_id))
        except Broken as refusal:
            if refusal.facts.get("too_many_deletions"):
                async with self.database.connection() as connection:
                    await connection.execute(queries("refresh")["refused"], self._facts())
            raise

    async def take_effect(self, connection: AsyncConnection, run_id: int, pass_id: int) -> Counts:
        """Let the rows take effect inside the caller's transaction; return what became of them. Raises as `settle`."""
        text, shared = queries("refresh"), queries("lanes")
        await connection.execute(SETTINGS)
        await connection.execute(sql.SQL("ANALYZE {}").format(as_sql(self.table)))
        cursor = await connection.execute(text["known"], self._facts())
        key, shape = await cursor.fetchone() or (None, None)
        await self._check_key(connection, key)
        found = await self._difference(connection)
        if self.terms.removal.refuses(shrunk=found.missing - found.new, rows=found.rows):
            raise Broken(self._refusal(found), too_many_deletions=True)
        alike = self.lane == "refresh" and shape == self.terms.shape
        counts = await self._write(connection, run_id, found, alike=alike)
        facts = {**self._facts(), "run_id": run_id, "pass_id": pass_id, "lost": found.lost, **asdict(counts)}
        await connection.execute(shared["counted"], facts)
        await connection.execute(shared["in_force"], facts)
        if self.lane == "refresh":
            await connection.execute(text["unled"], facts)
            await connection.execute(text["lead"], facts)
        await connection.execute(text["made"], facts)
        await connection.execute(text["rejects"], facts)
        await leave_lane(connection, self.lane, self.source)
        return counts

    def _facts(self) -> dict[str, Any]:
        terms = self.terms
        whole = self.lane == "refresh" and terms.complete and terms.removal.deletions != "ignore"
        return {
            "source": self.source,
            "dataset": terms.dataset.name,
            "lane": self.lane,
            "shape": terms.shape,
            "primary_key": orjson.dumps(terms.primary_key).decode(),
            "who": terms.who,
            "whole": whole,
            "every": whole,
            "status": "replayed" if self.lane == "replay" else "gone",
        }

    async def _check_key(self, connection: AsyncConnection, key: list[str] | None) -> None:
        """Refuse to make rows again by another key when some of them cannot be made again."""
        if self.lane != "replay" or self.terms.append or tuple(key or ()) == self.terms.primary_key:
            return
        lost = sql.SQL(
            "SELECT count(*) FROM {table} AS known WHERE known.source = %(source)s "
            "AND NOT EXISTS (SELECT FROM raw_page AS page WHERE page.id = known.raw_page_id)"
        )
        count = await _count(connection, lost.format(table=as_sql(self.terms.dataset.table)), {"source": self.source})
        if count:
            raise Broken(
                f"The primary_key of {self.source} has changed, but the raw pages of {count:,} of its rows are no "
                "longer kept, so these cannot be made again. Read everything: "
                f"kasparro run {self.source} --full-refresh"
            )

    async def _difference(self, connection: AsyncConnection) -> Difference:
        cursor = await connection.execute(queries("refresh")["rows"], self._facts())
        (told,) = (await cursor.fetchall())[0]
        counts = sql.SQL(
            "SELECT (SELECT count(*) FROM {table} AS known WHERE known.source = %(source)s), "
            "(SELECT count(*) FROM {table} AS known WHERE {removable}), "
            "(SELECT count(*) FROM {beside}), "
            "(SELECT count(*) FROM {beside} AS made WHERE NOT EXISTS (SELECT FROM {table} AS known WHERE {same}))"
        )
        cursor = await connection.execute(counts.format(**self._words()), {"source": self.source})
        rows, missing, beside, new = (await cursor.fetchall())[0]
        return Difference(rows=rows, lost=told - rows, missing=missing, beside=beside, new=new)

    async def _write(self, connection: AsyncConnection, run_id: int, found: Difference, *, alike: bool) -> Counts:
        """Write the difference. `alike`: all rows were made by one mapping, so hashes tell whether they differ."""
        words = self._words(alike=alike)
        facts = {"source": self.source, "dataset": self.terms.dataset.name, "run_id": run_id}
        deleted = await _count(connection, sql.SQL(_DELETE).format(**words), facts) if found.missing else 0
        updated = await _count(connection, sql.SQL(_UPDATE).format(**words), facts)
        inserted = await _count(connection, sql.SQL(_INSERT).format(**words), facts) if found.new else 0
        unchanged = found.beside - inserted - updated
        return Counts(extracted=found.beside, inserted=inserted, updated=updated, unchanged=unchanged, deleted=deleted)

    def _words(self, *, alike: bool = False) -> dict[str, sql.Composable]:
        """What stands for the names in the statements: tables, columns and conditions."""
        names = [sql.Identifier(field.name) for field in self.terms.dataset.fields]
        taken = ("record_hash", "run_id", "raw_page_id", "raw_index")
        written = [*(sql.Identifier(name) for name in taken), *names]
        comma = sql.SQL(", ")
        return {
            "table": as_sql(self.terms.dataset.table),
            "beside": as_sql(self.table),
            "same": _BY_RECORD if self.terms.append else _BY_KEY,
            "removable": self.removable,
            "kept": sql.SQL("INSERT INTO deleted_record (source, dataset, record_key, row, run_id) ")
            + sql.SQL("SELECT source, %(dataset)s, record_key, row_to_json(gone), %(run_id)s FROM gone ")
            + sql.SQL("WHERE {}").format(
                sql.Literal(self.lane == "refresh" and self.terms.removal.deletions == "soft")
            ),
            "changes": comma.join(sql.SQL("{0} = made.{0}").format(name) for name in written),
            "hashes": sql.SQL("known.record_hash <> made.record_hash AND" if alike else ""),
            "old": comparable(self.terms.dataset, "known"),
            "new": comparable(self.terms.dataset, "made"),
            "columns": comma.join([sql.Identifier("source"), sql.Identifier("record_key"), *written]),
        }

    @property
    def removable(self) -> sql.Composable:
        """Which rows of the table go, as they are not beside it.

        A replay speaks only of pages that are still kept; a refresh of all rows, if the source hands out all it has.
        """
        gone = sql.SQL("known.source = %(source)s AND NOT EXISTS (SELECT FROM {beside} AS made WHERE {same})").format(
            beside=as_sql(self.table), same=_BY_RECORD if self.terms.append else _BY_KEY
        )
        if self.lane == "replay":
            return gone + sql.SQL(" AND EXISTS (SELECT FROM raw_page AS page WHERE page.id = known.raw_page_id)")
        return gone if self.terms.complete and self.terms.removal.deletions != "ignore" else sql.SQL("false")

    def _refusal(self, found: Difference) -> str:
        what = "this replay" if self.lane == "replay" else "this refresh"
        again = f"kasparro replay {self.source}" if self.lane == "replay" else f"kasparro run {self.source}"
        option = " --accept-deletions" if self.lane == "replay" else " --full-refresh --accept-deletions"
        return (
            f"{self.source} has {found.rows:,} rows; after {what} it would have "
            f"{found.rows - found.missing + found.new:,}, and max_deletions allows to lose {self.terms.removal.limit}. "
            f"Nothing was changed. If that is right: {again}{option}. If not, look at the source, and run again."
        )


_BY_KEY = sql.SQL("made.source = known.source AND made.record_key = known.record_key")
_BY_RECORD = sql.SQL(
    "made.source = known.source AND made.raw_page_id = known.raw_page_id AND made.raw_index = known.raw_index"
)

_DELETE = """
WITH gone AS (DELETE FROM {table} AS known WHERE {removable} RETURNING known.*), kept AS ({kept})
SELECT count(*) FROM gone"""

_UPDATE = """
WITH changed AS (
    UPDATE {table} AS known SET {changes}, updated_at = now() FROM {beside} AS made
    WHERE {same} AND {hashes} ROW({old}) IS DISTINCT FROM ROW({new})
    RETURNING made.record_key
)
SELECT count(DISTINCT record_key) FROM changed"""

_INSERT = """
WITH added AS (
    INSERT INTO {table} ({columns}) SELECT {columns} FROM {beside} AS made
    WHERE NOT EXISTS (SELECT FROM {table} AS known WHERE {same})
    RETURNING 1
)
SELECT count(*) FROM added"""


async def _count(connection: AsyncConnection, statement: sql.Composed, facts: dict[str, Any]) -> int:
    cursor = await connection.execute(statement, facts)
    return int((await cursor.fetchall())[0][0])
