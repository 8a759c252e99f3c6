"""Brings a database to the schema of this version: numbered SQL files, once each, checked by their checksum.

A migration is expanding, so that code which does not know it goes on working, unless its first line says otherwise:
`-- needs: 0018` lets only code run that knows migration 18. The database keeps that number, so older code can tell.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString

from psycopg import AsyncConnection, errors

from kasparro.errors import Misconfigured, StoreBusy
from kasparro.store import queue_schema

_LOCK = 0x4B41_5350_4152_524F
"""Advisory lock of whoever migrates: the bytes `KASPARRO`."""

_ALONE: LiteralString = """
SELECT pg_advisory_xact_lock(%s), set_config('idle_in_transaction_session_timeout', '10s', true)"""
"""Every start takes the lock for a moment: a process that is frozen in it must not keep all others from starting."""

_TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     int PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    oldest     int
)"""

_APPLIED: LiteralString = """
SELECT number, name, checksum, (to_jsonb(one) ->> 'oldest')::int FROM schema_migration AS one"""
"""Also where the table is of a version that knew no `oldest`."""

_OLDEST: LiteralString = "ALTER TABLE schema_migration ADD COLUMN IF NOT EXISTS oldest int"

_NOT_LONG: LiteralString = "SET LOCAL lock_timeout = '2s'"

_ATTEMPTS, _PAUSE = 30, 0.5

_NEEDS = re.compile(r"-- needs: (\d{4})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file of statements."""

    number: int
    name: str
    sql: LiteralString

    @property
    def checksum(self) -> str:
        """SHA-256 of its text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def needs(self) -> int:
        """The migration that code must know to work on a database that has this one; 0 where it need know none."""
        stated = _NEEDS.match(self.sql)
        return 0 if stated is None else int(stated[1])


@dataclass(frozen=True, slots=True)
class _Applied:
    """A migration that a database has. `oldest`: see `Migration.needs`; None where who applied it did not say."""

    name: str
    checksum: str
    oldest: int | None


def shipped() -> tuple[Migration, ...]:
    """Return the migrations of this version, in order."""
    folder = files("kasparro.store").joinpath("migrations")
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(
        Migration(
            number=int(file.name[:4]),
            name=file.name.removesuffix(".sql")[5:],
            sql=file.read_text(encoding="utf-8"),  # type: ignore[arg-type,unused-ignore] # ships with the package
        )
        for file in found
    )


async def migrate(connection: AsyncConnection, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is missing, all in one transaction, and return it.

    Runs may be under way. What they hold is waited for only so long, as all others would wait behind that; then it is
    tried again.

    Raises:
        Misconfigured: a newer version has migrated the database so that this one cannot work on it, or an applied
            file has changed since.
        StoreBusy: others held its tables all the time.
    """
    for _ in range(_ATTEMPTS):
        try:
            async with connection.transaction():
                return await _migrated(connection, migrations)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            await asyncio.sleep(_PAUSE)
    raise StoreBusy(
        "The database could not be migrated: runs or other connections hold its tables. End them, then run: "
        "kasparro migrate"
    )


async def _migrated(connection: AsyncConnection, migrations: Sequence[Migration] | None) -> list[Migration]:
    wanted = shipped() if migrations is None else tuple(migrations)
    await connection.execute(_ALONE, [_LOCK])
    await connection.execute(_TABLE)
    applied = await _applied(connection)
    _check(applied, wanted)
    await _state_oldest(connection, applied, wanted)
    missing = [one for one in wanted if one.number not in applied]
    if missing:
        await connection.execute(_NOT_LONG)
    for one in missing:
        await connection.execute(one.sql)
        await connection.execute(
            "INSERT INTO schema_migration (number, name, checksum, oldest) VALUES (%s, %s, %s, %s)",
            [one.number, one.name, one.checksum, one.needs],
        )
    if any(one.number == queue_schema.SINCE for one in wanted):
        await queue_schema.install(connection)
    return missing


async def is_current(connection: AsyncConnection) -> bool:
    """Tell whether every migration of this version is applied. Raises as `migrate`."""
    return await lacking(connection) == [] and await queue_schema.is_installed(connection)


async def lacking(connection: AsyncConnection) -> list[Migration] | None:
    """Return the migrations that the database lacks; None where it has none at all. Raises as `migrate`."""
    cursor = await connection.execute("SELECT to_regclass('schema_migration') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    applied = await _applied(connection)
    wanted = shipped()
    _check(applied, wanted)
    return [one for one in wanted if one.number not in applied]


async def _applied(connection: AsyncConnection) -> dict[int, _Applied]:
    cursor = await connection.execute(_APPLIED)
    return {number: _Applied(*rest) for number, *rest in await cursor.fetchall()}


async def _state_oldest(
    connection: AsyncConnection, applied: Mapping[int, _Applied], wanted: Sequence[Migration]
) -> None:
    """Write down for migrations that an earlier version has applied what they need."""
    silent = [one for one in wanted if one.number in applied and applied[one.number].oldest is None]
    if silent:
        await connection.execute(_OLDEST)
        await connection.cursor().executemany(
            "UPDATE schema_migration SET oldest = %s WHERE number = %s", [(one.needs, one.number) for one in silent]
        )


def _check(applied: Mapping[int, _Applied], wanted: Sequence[Migration]) -> None:
    known = {one.number: one for one in wanted}
    newest = max(known, default=0)
    for number in sorted(applied.keys() - known.keys()):
        _check_unknown(number, applied[number], newest)
    changed = [one for number, one in known.items() if number in applied and applied[number].checksum != one.checksum]
    if changed:
        raise Misconfigured(
            f"Migration {changed[0].number:04d}_{changed[0].name} was applied with another text than this version has. "
            "Restore the file, or use a fresh database."
        )


def _check_unknown(number: int, one: _Applied, newest: int) -> None:
    """Refuse a migration of a newer version that does not let this one run."""
    if one.oldest is None:
        raise Misconfigured(
            f"The database has migration {number}, which this version of Kasparro does not know. "
            "Install the version that made it, or a newer one."
        )
    if one.oldest > newest:
        raise Misconfigured(
            f"The database has migration {number:04d}_{one.name}, with which only versions of Kasparro work that know "
            f"migration {one.oldest:04d}; this one knows them up to {newest:04d}. Install the version that made it, "
            "or a newer one."
        )
