"""Where sources stand, and setting them back: what the next run would read again is told before it is done."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from kasparro.errors import Conflict, NotFound
from kasparro.model.dataset import NORMALIZED, Dataset
from kasparro.model.page import Bookmark
from kasparro.store.database import Database
from kasparro.store.lanes import abandon_hold, leave_lane, undecided, waiting_run
from kasparro.store.queries import queries

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """What setting a source back comes to.

    Attributes:
        source: Its name.
        slices: Each with `slice`, `lane`, `records` (read since), `now` and `back` (bookmarks; None is the beginning)
            and `run_id` (after which it stood there).
        rows: Rows that are deleted.
        inserted: Rows that runs have added since; likewise `updated`.
        run_id: The run after which the source stood there; None is before all of them.
    """

    source: str
    slices: Rows
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    run_id: int | None = None

    @property
    def records(self) -> int:
        """Records that the next run reads again."""
        return sum(one["records"] for one in self.slices)


class Checkpoints:
    """Shows and sets back checkpoints."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("checkpoints")

    async def show(self, source: str | None = None) -> Rows:
        """Return where each slice stands."""
        return await self._rows("show", source=source)

    async def known(self, source: str, shape: str) -> Mapping[str, Bookmark]:
        """Return where each slice stands that a refresh has read to its end, with the mapping of `shape`."""
        return {row["slice"]: row["bookmark"] for row in await self._rows("known", source=source, shape=shape)}

    async def to_reset(self, source: str, part: str | None = None, *, rows: bool = False) -> Back:
        """Return what `reset` would do. Raises NotFound, and Conflict as it does."""
        await self._refuse_held(source)
        slices = await self._rows("to_forget", source=source, slice=part)
        if not slices:
            raise NotFound(f"There is no checkpoint of {source}{f' for {part}' if part is not None else ''}.")
        count = (await self._dataset(source))[1] if rows else 0
        return Back(source=source, slices=slices, rows=count)

    async def reset(self, source: str, part: str | None = None, *, rows: bool = False) -> None:
        """Forget where a source stands, so that the next run reads it from the start.

        Args:
            source: Its name.
            part: Only this slice.
            rows: Also delete its rows, in the same transaction. Raw pages and rejects stay.

        Raises:
            Conflict: a run of the source is under way, or the rows of one are held.
        """
        async with self._locked(source) as connection:
            await connection.execute(self._sql["reset"], {"source": source, "slice": part})
            cursor = await connection.execute(self._sql["lanes"], {"source": source})
            for (lane,) in await cursor.fetchall():
                await leave_lane(connection, lane, source)
            if rows:
                await self._delete_rows(connection, source)

    async def to_rewind(self, source: str, to: int | datetime, part: str | None = None) -> Back:
        """Return what `rewind` would do. `to`: a run, or a moment: where the slices stood when it ended.

        Raises:
            NotFound: there is no such run, it is too long ago, or there is nothing to set back.
            Conflict: the rows of a run are held.
        """
        await self._refuse_held(source)
        run_id = await self._run(source, to)
        oldest = (await self._rows("oldest", source=source))[0]["min"]
        if oldest is None or (run_id != 0 and run_id < oldest):
            raise NotFound(
                f"Where {source} stood then is not remembered; the oldest place is that after run {oldest}. "
                f"Read it from the start: kasparro checkpoint reset {source}"
            )
        slices = await self._rows("to_rewind", source=source, slice=part, run_id=run_id)
        if not slices:
            raise NotFound(f"{source} stands where it stood then already: there is nothing to set back.")
        written = (await self._rows("written", source=source, run_id=run_id))[0]
        return Back(source=source, slices=slices, run_id=run_id, **written)

    async def rewind(self, back: Back) -> None:
        """Set the slices back. Raises Conflict when a run of the source is under way, or the rows of one are held."""
        async with self._locked(back.source) as connection:
            # What waits beside the table was read from where the slices stand now.
            await abandon_hold(connection, back.source)
            for one in back.slices:
                facts = {"source": back.source, "slice": one["slice"], "run_id": one["run_id"]}
                await connection.execute(self._sql["reset" if one["back"] is None else "rewind"], facts)

    async def leave(self, source: str, lane: str) -> None:
        """Forget the checkpoints of a lane that was read to its end."""
        async with self._database.connection() as connection:
            await connection.execute(queries("lanes")["over"], {"source": source, "lane": lane})

    async def _run(self, source: str, to: int | datetime) -> int:
        if isinstance(to, datetime):
            found = (await self._rows("run_at", source=source, moment=to))[0]["max"]
            return int(found or 0)
        if not await self._rows("run_of", source=source, run_id=to):
            raise NotFound(f"There is no run {to} of {source}. List them with: kasparro runs list {source}")
        return to

    async def _refuse_held(self, source: str) -> None:
        async with self._database.connection() as connection:
            held = await waiting_run(connection, source)
        if held is not None:
            raise undecided(source, held)

    @asynccontextmanager
    async def _locked(self, source: str) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction while no run of the source can begin."""
        async with self._database.own_connection() as connection:
            cursor = await connection.execute(queries("runs")["lock"], {"source": source})
            row = await cursor.fetchone()
            if row is None or not row[0]:
                raise Conflict(f"A run of {source} is under way. Wait for it to end, or stop it.")
            held = await waiting_run(connection, source)
            if held is not None:
                raise undecided(source, held)
            async with connection.transaction():
                yield connection

    async def _dataset(self, source: str) -> tuple[str, int]:
        row = (await self._rows("dataset_of", source=source))[0]
        return row["dataset"], row["coalesce"]

    async def _delete_rows(self, connection: AsyncConnection, source: str) -> None:
        name, _ = await self._dataset(source)
        table = NORMALIZED.table if name == NORMALIZED.name else Dataset(name=name, fields=()).table
        delete = sql.SQL("DELETE FROM {} WHERE source = %s").format(sql.SQL(table))  # type: ignore[arg-type,unused-ignore]
        cursor = await connection.execute(delete, [source])
        facts = {"source": source, "dataset": name, "deleted": cursor.rowcount}
        await connection.execute(self._sql["forget_rows"], facts)

    async def _rows(self, name: str, **facts: Any) -> Rows:  # noqa: ANN401 - parameters of a statement
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(self._sql[name], facts)
            return await cursor.fetchall()
