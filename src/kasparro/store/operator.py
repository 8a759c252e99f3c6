"""What the command line shows of runs and sources."""

from typing import Any, LiteralString

from psycopg import sql
from psycopg.rows import dict_row

from kasparro.errors import NotFound
from kasparro.store.browse_runs import listed
from kasparro.store.database import Database
from kasparro.store.queries import queries

Rows = list[dict[str, Any]]


class Operator:
    """Reads the records of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("operator")

    async def runs(self, source: str | None = None, limit: int = 20, held: str | None = None) -> Rows:
        """Return the latest runs, newest first. `held`: only those of which that became."""
        wanted = {"source": source, "held": held}
        return await self._rows(sql.SQL(self._sql["runs"]).format(**listed(wanted)), **wanted, limit=limit)

    async def run(self, run_id: int) -> dict[str, Any]:
        """Return one run. Raises NotFound."""
        rows = await self._rows(self._sql["run"], run_id=run_id)
        if not rows:
            raise NotFound(f"There is no run {run_id}. List them with: kasparro runs list")
        return rows[0]

    async def sources(self) -> Rows:
        """Return every source that ever ran, with its totals."""
        return await self._rows(self._sql["sources"])

    async def _rows(self, statement: LiteralString | sql.Composed, **facts: Any) -> Rows:  # noqa: ANN401 - parameters
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement, facts)
            return await cursor.fetchall()
