"""Looks at a database from outside while runs are disturbed, and says whether it is whole."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, LiteralString
from urllib.parse import urlsplit, urlunsplit

from psycopg import AsyncConnection, InterfaceError, OperationalError, errors, sql

from kasparro.errors import Misconfigured
from kasparro.store.database import connect, place_of, translated
from kasparro.store.migrate import is_current
from kasparro.store.queries import queries

_POINTS = MappingProxyType(
    {
        "before": r"^INSERT INTO raw_page",
        "copy": r"^COPY ",
        "merge": r"^\s*WITH last AS",
        "checkpoint": r"^(WITH moved AS|SELECT FROM etl_checkpoint)",
        "after": r"^COMMIT",
    }
)

ALWAYS: Mapping[str, LiteralString] = MappingProxyType(
    {
        "no record is doubled: each row is a raw record of its own": "doubled",
        "every raw record is a row, an unchanged row, a duplicate or a reject": "unaccounted",
        "no checkpoint is ahead of the data": "ahead",
        "checkpoints count what was committed": "checkpoints",
        "row counts equal recounts": "miscounted",
        "no run failed of what no fault explains": "unforeseen",
    }
)
"""Invariants that hold at any moment, and the statements that find what breaks them."""

AT_THE_END: Mapping[str, LiteralString] = MappingProxyType(
    {
        "every run ended, and its counts add up": "counters_of_runs",
        "totals equal the sum of the runs": "counters_of_sources",
    }
)
"""Invariants that hold when no run is under way."""

_OVER = "a run that is over commits nothing more"
_RECONNECT_SECONDS = 60.0
_LOOK = 0.1

Sums = Mapping[str, tuple[int, str]]
"""By source, or table and source: how many there are, and a checksum over them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a database holds.

    Attributes:
        rows: By table and source, over the values.
        rejects: By source.
        records: By source: the raw records, each content once.
    """

    rows: Sums = field(default_factory=dict)
    rejects: Sums = field(default_factory=dict)
    records: Sums = field(default_factory=dict)


class Witness:
    """One connection beside the runs, opened again when the server was restarted.

    Args:
        url: Of the database.
        connection: To it.
        append: Sources of which each record becomes a row of its own. Their keys tell the run, and a source that gives
            all its records to each run gets them once per run: so only their values are compared, each once.
    """

    def __init__(self, url: str, connection: AsyncConnection, append: Collection[str] = ()) -> None:
        self._url = url
        self._connection = connection
        self._append = list(append)
        self._sql = queries("chaos")
        self._ended: dict[int, tuple[Any, ...]] = {}

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def at_point(self, point: str) -> int | None:
        """Return a process of PostgreSQL that is at a point of a run now; None when there is none."""
        facts = {"pattern": _POINTS.get(point), "after": point == "after"}
        rows = await self._ask(sql.SQL(self._sql["at_point"]), facts)
        return int(rows[0][0]) if rows else None

    async def cut(self, pid: int) -> None:
        """End a connection."""
        await self._ask(sql.SQL(self._sql["cut"]), {"pid": pid})

    async def unlock(self) -> None:
        """Take the locks of all sources away from who holds them."""
        await self._ask(sql.SQL(self._sql["unlock"]))

    async def remember(self) -> None:
        """Take note of the runs that are over by now; `standing` tells when one of them has gone on."""
        if await self._current():
            self._ended = {**await self._over(), **self._ended}

    async def facts(self) -> Facts:
        """Return what the database holds."""
        rows: dict[str, tuple[int, str]] = {}
        for table, columns in await self._tables():
            digest = sql.SQL(
                "SELECT source, count(DISTINCT digest), md5(string_agg(DISTINCT digest, '' ORDER BY digest)) FROM ("
                "SELECT source, md5(ROW(CASE WHEN source = ANY (%(append)s) THEN '' ELSE record_key END, {})::text) "
                "AS digest FROM {}) AS one GROUP BY source"
            ).format(sql.SQL(columns), sql.SQL(table))
            found = await self._ask(digest, {"append": self._append})
            rows |= {f"{table} {source}": (count, text) for source, count, text in found}
        return Facts(rows=rows, rejects=await self._sums("rejects"), records=await self._sums("records"))

    async def standing(self) -> dict[str, str]:
        """Return the invariants that hold at any moment, each with what is wrong with it: empty where it holds."""
        # Where a run was killed while it made the tables, there is nothing to be wrong yet.
        if not await self._current():
            return {}
        found = {text: await self._told(name) for text, name in ALWAYS.items()}
        now = await self._over()
        grown = [f"run {run_id} of {there[0]}" for run_id, there in self._ended.items() if now.get(run_id) != there]
        self._ended = {**now, **self._ended}
        return {**found, _OVER: "; ".join(grown)}

    async def broken(self, undisturbed: Facts) -> dict[str, str]:
        """Return all invariants, each with what is wrong with it, as `standing` does. For when no run is under way."""
        facts = await self.facts()
        return {
            "rows equal an undisturbed run": _difference(undisturbed.rows, facts.rows),
            "rejects equal an undisturbed run": _difference(undisturbed.rejects, facts.rejects),
            "no raw record is lost": _difference(undisturbed.records, facts.records),
            **await self.standing(),
            **{text: await self._told(name) for text, name in AT_THE_END.items()},
        }

    async def _told(self, name: LiteralString) -> str:
        """What a statement finds, as text. A record in it may hold anything, so it is cut short."""
        text = sql.SQL(self._sql[name])
        if "{rows}" in self._sql[name]:
            columns = sql.SQL("SELECT source, run_id, raw_page_id, raw_index FROM {}")
            tables = [columns.format(sql.SQL(table)) for table, _ in await self._tables()]
            rows = await self._ask(text.format(rows=sql.SQL(" UNION ALL ").join(tables)))
        else:
            rows = await self._ask(text)
        return "; ".join(", ".join(str(cell) for cell in row)[:300] for row in rows)

    async def _over(self) -> dict[int, tuple[Any, ...]]:
        """Runs that are over, and what each has committed."""
        return {run_id: tuple(rest) for run_id, *rest in await self._ask(sql.SQL(self._sql["ended"]))}

    async def _sums(self, name: LiteralString) -> Sums:
        return {source: (count, text) for source, count, text in await self._ask(sql.SQL(self._sql[name]))}

    async def _tables(self) -> list[tuple[LiteralString, LiteralString]]:
        """Qualified names of the tables of all datasets, and their columns, both quoted by PostgreSQL."""
        return [(table, columns) for table, columns in await self._ask(sql.SQL(self._sql["tables"]), {})]

    async def _current(self) -> bool:
        await self._ask(sql.SQL("SELECT 1"))  # connects again where that is needed
        return await is_current(self._connection)

    async def _ask(
        self, statement: sql.SQL | sql.Composed, facts: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Return what a statement gives, on a new connection where the server was restarted meanwhile."""
        until = asyncio.get_running_loop().time() + _RECONNECT_SECONDS
        while True:
            try:
                if self._connection.closed:
                    self._connection = await connect(self._url)
                cursor = await self._connection.execute(statement, facts)
                return await cursor.fetchall()
            except (OperationalError, InterfaceError):
                await self._connection.close()
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(_LOOK)


def _difference(wanted: Sums, found: Sums) -> str:
    names = sorted({*wanted, *found})
    return "; ".join(
        f"{name}: {found.get(name, (0, ''))[0]} instead of {wanted.get(name, (0, ''))[0]}, or other values"
        for name in names
        if wanted.get(name) != found.get(name)
    )


@asynccontextmanager
async def witness(url: str, append: Collection[str] = ()) -> AsyncIterator[Witness]:
    """Open a witness of a database."""
    with translated(place_of(url)):
        one = Witness(url, await connect(url), append)
        try:
            yield one
        finally:
            await one.close()


@asynccontextmanager
async def scratch_database(url: str, name: str) -> AsyncIterator[str]:
    """Make a database on the same server, give its address, and drop it afterwards.

    Raises:
        Misconfigured: the user of the connection may not.
    """
    # A connection for each of the two statements: the server may be restarted between them.
    with translated(place_of(url)):
        async with await connect(url) as connection:
            try:
                await connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            except errors.InsufficientPrivilege as refused:
                raise Misconfigured(
                    f"Chaos needs a database of its own beside {place_of(url)}, and may not create one. Grant CREATEDB "
                    "to the user, or unset DATABASE_URL to use the embedded PostgreSQL."
                ) from refused
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            async with await connect(url) as connection:
                await connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
