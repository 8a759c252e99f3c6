"""Looks at a database from outside while runs are disturbed, and says afterwards whether it is whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from psycopg import AsyncConnection, errors, sql

from kasparro.errors import Misconfigured
from kasparro.store.database import connect, place_of, translated
from kasparro.store.queries import queries

_POINTS = {
    "before": r"^INSERT INTO raw_page",
    "copy": r"^COPY ",
    "merge": r"^\s*WITH last AS",
    "checkpoint": r"^(WITH moved AS|SELECT profile)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a database holds: by table and source, how many rows and a checksum over their values; rejects likewise."""

    rows: dict[str, tuple[int, str]] = field(default_factory=dict)
    rejects: dict[str, tuple[int, str]] = field(default_factory=dict)


class Witness:
    """One connection beside the runs."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._sql = queries("chaos")

    async def at_point(self, point: str) -> int | None:
        """Return a process of PostgreSQL that is at a point of a run now; None when there is none."""
        cursor = await self._connection.execute(self._sql["at_point"], {"pattern": _POINTS.get(point)})
        row = await cursor.fetchone()
        return None if row is None else int(row[0])

    async def cut(self, pid: int) -> None:
        """End a connection."""
        await self._connection.execute(self._sql["cut"], {"pid": pid})

    async def unlock(self) -> None:
        """Take the locks of all sources away from who holds them."""
        await self._connection.execute(self._sql["unlock"])

    async def facts(self) -> Facts:
        """Return what the database holds."""
        rows: dict[str, tuple[int, str]] = {}
        cursor = await self._connection.execute(self._sql["tables"], {})
        for table, columns in await cursor.fetchall():
            digest = sql.SQL(
                "SELECT source, count(*), md5(string_agg(md5(ROW({})::text), '' ORDER BY record_key)) "
                "FROM {} GROUP BY source"
            ).format(sql.SQL(columns), sql.SQL(table))
            found = await self._connection.execute(digest)
            rows |= {f"{table} {source}": (count, text) for source, count, text in await found.fetchall()}
        cursor = await self._connection.execute(self._sql["rejects"])
        return Facts(rows=rows, rejects={source: (count, text) for source, count, text in await cursor.fetchall()})

    async def broken(self, undisturbed: Facts) -> dict[str, str]:
        """Return each invariant with what is wrong with it; an empty text where it holds."""
        facts = await self.facts()
        found = {
            "rows equal an undisturbed run": _difference(undisturbed.rows, facts.rows),
            "rejects equal an undisturbed run": _difference(undisturbed.rejects, facts.rejects),
        }
        for name, text in (
            ("counters_of_runs", "every run ended, and its counts add up"),
            ("counters_of_sources", "totals equal the sum of the runs"),
            ("checkpoints", "checkpoints count what was committed"),
            ("unaccounted", "every raw record is accounted for"),
        ):
            cursor = await self._connection.execute(self._sql[name])
            found[text] = "; ".join(str(row) for row in await cursor.fetchall())
        found["row counts equal recounts"] = await self._miscounted(facts)
        return found

    async def _miscounted(self, facts: Facts) -> str:
        cursor = await self._connection.execute("SELECT sum(rows)::bigint FROM dataset_total")
        counted = (await cursor.fetchall())[0][0] or 0
        there = sum(count for count, _ in facts.rows.values())
        return "" if counted == there else f"{counted} counted, {there} there"


def _difference(wanted: dict[str, tuple[int, str]], found: dict[str, tuple[int, str]]) -> str:
    names = sorted({*wanted, *found})
    return "; ".join(
        f"{name}: {found.get(name, (0, ''))[0]} instead of {wanted.get(name, (0, ''))[0]}, or other values"
        for name in names
        if wanted.get(name) != found.get(name)
    )


@asynccontextmanager
async def witness(url: str) -> AsyncIterator[Witness]:
    """Open a witness of a database."""
    with translated(place_of(url)):
        async with await connect(url) as connection:
            yield Witness(connection)


@asynccontextmanager
async def scratch_database(url: str, name: str) -> AsyncIterator[str]:
    """Make a database on the same server, give its address, and drop it afterwards.

    Raises:
        Misconfigured: the user of the connection may not.
    """
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
                await connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
