"""Looks at a database as `kasparro doctor` needs it: nothing is migrated, and nothing is left behind.

What a right allows is tried, in a transaction that is rolled back: a catalogue would only say what should be so.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, errors, sql
from psycopg.rows import dict_row

from kasparro.errors import Misconfigured
from kasparro.store.database import OLDEST, connect, place_of, translated
from kasparro.store.migrate import lacking
from kasparro.store.queries import queries

_MINE: LiteralString = "SET statement_timeout = '5s'; SET lock_timeout = '3s'"

_RIGHTS: Mapping[str, str] = MappingProxyType(
    {"schema": "make schemas", "table": "make tables", "temporary": "make temporary tables", "copy": "COPY"}
)
"""Statements that are tried, and what each of them is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found.

    Attributes:
        server: As the query `server` has it: version, settings, role, free connections.
        latency: Seconds that a statement took, there and back.
        clock_ahead: Seconds by which the clock of the server is ahead of this machine's.
        tried: Whether rights were tried: not where nothing can be written, or the server is too old.
        refused: What our role may not do, each with what the server said.
        others: Roles that own tables of ours, and are not ours.
        closed: Tables of ours that our role may not read and write, a few of them.
        pooled: Statements of one connection go to several: something between us pools transactions.
        missing: Names of migrations that are to come; None where the database has none at all, or does not show them.
        migrations_wrong: Why this version cannot work on the database.
    """

    place: str
    server: Mapping[str, Any]
    latency: float
    clock_ahead: float
    tried: bool
    refused: Mapping[str, str]
    others: tuple[str, ...]
    closed: tuple[str, ...]
    pooled: bool
    missing: tuple[str, ...] | None
    migrations_wrong: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A source whose last run waits. `due`: until a moment that has come."""

    source: str
    resume_at: datetime
    due: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that lives."""

    name: str
    host: str
    version: str
    config_hash: str
    sources: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAlone:
    """A host whose breaker is not closed."""

    host: str
    retry_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """What runs on a database."""

    parked: tuple[Parked, ...]
    workers: tuple[Worker, ...]
    left_alone: tuple[LeftAlone, ...]


async def examine(url: str) -> Examined:
    """Look at the database behind a connection string.

    Raises:
        Misconfigured, StoreBusy: it cannot be opened.
    """
    place = place_of(url)
    with translated(place):
        async with await connect(url) as connection, await connect(url) as other:
            pooled = await _pooled(connection, other)
            if not pooled:  # else it would stay with a connection that others are given next
                await connection.execute(_MINE)
            latency, ahead = await _clock(connection)
            (server,) = await _rows(connection, queries("examining")["server"])
            old = connection.info.server_version < OLDEST * 10_000
            usable = not (server["standby"] or server["read_only"] or old)
            refused = await _refused(connection, other, pooled=pooled) if usable else {}
            names, wrong = await _missing(connection)
            return Examined(
                place=place,
                server=server,
                latency=latency,
                clock_ahead=ahead,
                tried=usable,
                refused=refused,
                others=await _names(connection, queries("examining")["others"]),
                closed=await _names(connection, queries("examining")["closed"]),
                pooled=pooled,
                missing=names,
                migrations_wrong=wrong,
            )


async def at_work(url: str) -> AtWork:
    """Look at what runs on a database that has the tables of this version. Raises as `examine`."""
    with translated(place_of(url)):
        async with await connect(url) as connection:
            await connection.execute(_MINE)
            return AtWork(
                parked=tuple([Parked(**row) for row in await _rows(connection, queries("examining")["parked"])]),
                workers=tuple([Worker(**row) for row in await _rows(connection, queries("examining")["workers"])]),
                left_alone=tuple(
                    [LeftAlone(**row) for row in await _rows(connection, queries("examining")["breakers"])]
                ),
            )


async def _rows(connection: AsyncConnection, statement: LiteralString) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(statement)
    return await cursor.fetchall()


async def _names(connection: AsyncConnection, statement: LiteralString) -> tuple[str, ...]:
    cursor = await connection.execute(statement)
    return tuple([name for (name,) in await cursor.fetchall()])


async def _clock(connection: AsyncConnection) -> tuple[float, float]:
    """Return how many seconds a statement takes, there and back, and how far the clock of the server is ahead."""
    before, since = time.time(), time.perf_counter()
    cursor = await connection.execute(queries("examining")["clock"])
    (row,) = await cursor.fetchall()
    latency = time.perf_counter() - since
    return latency, row[0] - (before + latency / 2)


async def _pooled(one: AsyncConnection, other: AsyncConnection) -> bool:
    """Tell whether two connections that are open at once are served by one process of the server."""
    return await _pid(one) == await _pid(other)


async def _pid(connection: AsyncConnection) -> int:
    cursor = await connection.execute(queries("examining")["pid"])
    (row,) = await cursor.fetchall()
    return int(row[0])


async def _refused(connection: AsyncConnection, other: AsyncConnection, *, pooled: bool) -> dict[str, str]:
    """Return what may not be done. `other` is ended on the way."""
    found: dict[str, str] = {}
    async with connection.transaction(force_rollback=True):
        for name, words in _RIGHTS.items():
            if name == "copy" and _RIGHTS["temporary"] in found:
                continue  # there is no table to fill
            said = await _tried(connection, name)
            if said is not None:
                found[words] = said
    await connection.execute(queries("examining")["lock"])
    cursor = await connection.execute(queries("examining")["unlock"])
    (row,) = await cursor.fetchall()
    if not row[0]:
        found["hold advisory locks"] = "the lock was gone with the statement that took it"
    if not pooled:
        try:
            await connection.execute(queries("examining")["terminate"], {"pid": await _pid(other)})
        except errors.InsufficientPrivilege as error:
            found["end connections of its own"] = _first_line(error)
    return found


async def _tried(connection: AsyncConnection, name: str) -> str | None:
    """Try a statement; return what the server said against it."""
    try:
        async with connection.transaction(force_rollback=name != "temporary"):
            if name == "copy":
                async with connection.cursor().copy(sql.SQL(queries("examining")[name])) as copy:
                    await copy.write(b"1\n")
            else:
                await connection.execute(queries("examining")[name])
    except (errors.InsufficientPrivilege, errors.UndefinedTable, errors.InvalidSchemaName) as error:
        return _first_line(error)
    return None


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


async def _missing(connection: AsyncConnection) -> tuple[tuple[str, ...] | None, str | None]:
    try:
        found = await lacking(connection)
    except Misconfigured as error:
        return (), str(error)
    except errors.InsufficientPrivilege:  # `closed` has it
        return None, None
    return None if found is None else tuple(f"{one.number:04d}_{one.name}" for one in found), None
