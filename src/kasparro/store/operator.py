"""What the command line shows and does beside runs: runs, sources, checkpoints and rejects."""

from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from kasparro.errors import Conflict, NotFound
from kasparro.model.dataset import NORMALIZED, Dataset
from kasparro.store.database import Database
from kasparro.store.queries import queries

Rows = list[dict[str, Any]]


class Operator:
    """Reads and resets the records of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("operator")

    async def runs(self, source: str | None = None, limit: int = 20) -> Rows:
        """Return the latest runs, newest first."""
        return await self._rows("runs", source=source, limit=limit)

    async def run(self, run_id: int) -> dict[str, Any]:
        """Return one run. Raises NotFound."""
        rows = await self._rows("run", run_id=run_id)
        if not rows:
            raise NotFound(f"There is no run {run_id}. List them with: kasparro runs list")
        return rows[0]

    async def sources(self) -> Rows:
        """Return every source that ever ran, with its totals."""
        return await self._rows("sources")

    async def checkpoints(self, source: str | None = None) -> Rows:
        """Return where each slice stands."""
        return await self._rows("checkpoints", source=source)

    async def reset(self, source: str, part: str | None = None, *, rows: bool = False) -> int:
        """Forget where a source stands, so that the next run reads it from the start. Returns how many slices.

        Args:
            source: Its name.
            part: Only this slice.
            rows: Also delete its rows, in the same transaction. Raw pages and rejects stay.

        Raises:
            NotFound: there is no such checkpoint.
            Conflict: a run of the source is under way.
        """
        lock = queries("runs")["lock"]
        async with self._database.own_connection() as connection:
            cursor = await connection.execute(lock, {"source": source})
            row = await cursor.fetchone()
            if row is None or not row[0]:
                raise Conflict(f"A run of {source} is under way. Wait for it to end, or stop it.")
            async with connection.transaction():
                cursor = await connection.execute(self._sql["reset"], {"source": source, "slice": part})
                count = cursor.rowcount
                if count == 0:
                    raise NotFound(f"There is no checkpoint of {source}{f' for {part}' if part is not None else ''}.")
                if rows:
                    await self._delete_rows(connection, source)
            return count

    async def _delete_rows(self, connection: AsyncConnection, source: str) -> None:
        cursor = await connection.execute(self._sql["dataset_of"], {"source": source})
        (name,) = (await cursor.fetchall())[0]
        table = NORMALIZED.table if name == NORMALIZED.name else Dataset(name=name, fields=()).table
        delete = sql.SQL("DELETE FROM {} WHERE source = %s").format(sql.SQL(table))  # type: ignore[arg-type,unused-ignore]
        cursor = await connection.execute(delete, [source])
        facts = {"source": source, "dataset": name, "deleted": cursor.rowcount}
        await connection.execute(self._sql["forget_rows"], facts)

    async def rejects(self, source: str | None = None, run_id: int | None = None, limit: int = 20) -> Rows:
        """Return the latest rejects, newest first."""
        return await self._rows("rejects", source=source, run_id=run_id, limit=limit)

    async def _rows(self, name: str, **facts: Any) -> Rows:  # noqa: ANN401 - parameters of a statement
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(self._sql[name], facts)
            return await cursor.fetchall()
