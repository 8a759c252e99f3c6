"""What readers see: pages of rows, totals, runs. All of it leaves PostgreSQL as finished JSON, in one round trip."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import AsyncConnection, AsyncCursor, OperationalError, sql
from psycopg.pq.abc import PGresult

from kasparro.errors import NotFound, StoreBusy
from kasparro.model.dataset import NAME, NORMALIZED, Dataset, Field
from kasparro.store.browse_page import PageOfRows, PageQuery, Position, Shown, statement
from kasparro.store.browse_runs import ListPage, ListQuery
from kasparro.store.comparing import compare_runs
from kasparro.store.database import Database
from kasparro.store.queries import queries

_READ_SECONDS = 10.0
"""How long a read may take before it is cancelled on the server."""

_WAIT_SECONDS = 3.0
"""How long a read may wait for a connection: the pool is exhausted, or the database is down."""

_DEAD = 20
"""Dead connections that one read may meet: a pool may hold many after a restart of the server."""

_FIELDS_SECONDS = 5.0
"""How long the fields of a declared dataset are remembered: so long may a new field be missing from its pages."""


class Browser:
    """Reads for the API and the pages.

    Args:
        database: Where everything is kept.
        seconds: Longest time of one read.
        wait: Longest time to wait for a connection before.
    """

    def __init__(self, database: Database, *, seconds: float = _READ_SECONDS, wait: float = _WAIT_SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._wait = wait
        self._sql = queries("browse")
        self._shown: dict[str, tuple[float, Shown]] = {NORMALIZED.name: (math.inf, Shown.of(NORMALIZED))}

    async def shown(self, name: str) -> Shown:
        """Return what readers see of a dataset.

        Raises:
            NotFound: there is no such dataset.
        """
        remembered = self._shown.get(name)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        row = None
        if NAME.fullmatch(name) is not None:
            cursor = await self._execute(self._sql["fields"], {"dataset": name})
            row = await cursor.fetchone()
        if row is None:
            self._shown.pop(name, None)
            raise NotFound(f"There is no dataset {name!r}.")
        fields = tuple(Field(name=field["name"], type=field["type"]) for field in row[0])
        found = Shown.of(Dataset(name=name, fields=fields))
        self._shown[name] = (time.monotonic() + _FIELDS_SECONDS, found)
        return found

    async def page(self, query: PageQuery) -> PageOfRows:
        """Return a page of rows. Raises StoreBusy, SchemaBroken."""
        cursor = await self._execute(*statement(query))
        return _page(cursor.pgresult, query)

    async def stats(self, limit: int) -> bytes:
        """Return totals, the latest `limit` runs and the sources as a JSON object. Raises StoreBusy, SchemaBroken."""
        cursor = await self._execute(self._sql["stats"], {"limit": limit})
        return _bytes(cursor.pgresult, 0) or b"{}"

    async def listed(self, query: ListQuery) -> ListPage:
        """Return a part of the list of runs or findings. Raises StoreBusy, SchemaBroken."""
        cursor = await self._execute(*query.statement())
        last = _bytes(cursor.pgresult, 2)
        return ListPage(
            rows=_bytes(cursor.pgresult, 0) or b"[]",
            more=_bytes(cursor.pgresult, 1) == b"t",
            before=None if last is None else int(last),
        )

    async def run(self, run_id: int) -> bytes:
        """Return one run with its findings as a JSON object. Raises NotFound, StoreBusy, SchemaBroken."""
        cursor = await self._execute(queries("browse_runs")["run"], {"run_id": run_id})
        if cursor.rowcount == 0:
            raise NotFound(f"There is no run {run_id}.")
        return _bytes(cursor.pgresult, 0) or b"{}"

    async def compared(self, base: int, head: int) -> dict[str, Any]:
        """Return how two runs differ. Raises NotFound, StoreBusy, SchemaBroken."""
        return await compare_runs(self._database, base, head)

    async def _execute(self, text: LiteralString | bytes | sql.Composed, facts: dict[str, Any]) -> AsyncCursor:
        """Execute one statement that only reads; again, where its connection was found dead after a restart."""
        for _ in range(_DEAD):
            async with self._lent() as connection:
                try:
                    return await connection.execute(text, facts)
                except OperationalError:
                    if not connection.closed:
                        raise
        raise StoreBusy(f"The database {self._database.place} closes every connection. Look into its log.")

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for a limited time."""
        limit = self._wait
        try:
            async with asyncio.timeout(limit) as clock, self._database.connection() as connection:
                limit = self._seconds
                clock.reschedule(asyncio.get_running_loop().time() + limit)
                yield connection
        except TimeoutError as error:
            raise StoreBusy(
                f"The database {self._database.place} did not answer within {limit:g} seconds. "
                "Check that it runs, and look for what keeps it busy."
            ) from error


def _page(result: PGresult | None, query: PageQuery) -> PageOfRows:
    version = int(_bytes(result, 2) or 0)
    source, key = _bytes(result, 4), _bytes(result, 5)
    return PageOfRows(
        rows=None if version in query.known else _bytes(result, 0),
        total=int(_bytes(result, 1) or 0),
        version=version,
        more=_bytes(result, 3) == b"t",
        last=None if source is None or key is None else Position(source=source.decode(), key=key.decode()),
    )


def _bytes(result: PGresult | None, column: int) -> bytes | None:
    """Return a value of the one row as the server sent it: UTF-8 text, without a detour through str or json."""
    if result is None:  # an executed statement has a result
        raise AssertionError
    return result.get_value(0, column)
