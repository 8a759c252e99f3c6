"""Brings a database to the schema of this version: numbered SQL files, once each, checked by their checksum."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString

from psycopg import AsyncConnection

from kasparro.errors import Misconfigured

_LOCK = 0x4B41_5350_4152_524F
"""Advisory lock of whoever migrates: the bytes `KASPARRO`."""

_TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     int PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


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

    Raises:
        Misconfigured: the database was migrated by a newer version, or an applied file has changed since.
    """
    wanted = shipped() if migrations is None else tuple(migrations)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        await connection.execute(_TABLE)
        cursor = await connection.execute("SELECT number, checksum FROM schema_migration")
        applied: dict[int, str] = dict(await cursor.fetchall())
        _check(applied, wanted)
        missing = [one for one in wanted if one.number not in applied]
        for one in missing:
            await connection.execute(one.sql)
            await connection.execute(
                "INSERT INTO schema_migration (number, name, checksum) VALUES (%s, %s, %s)",
                [one.number, one.name, one.checksum],
            )
    return missing


async def is_current(connection: AsyncConnection) -> bool:
    """Tell whether every migration of this version is applied."""
    cursor = await connection.execute("SELECT to_regclass('schema_migration') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return False
    cursor = await connection.execute("SELECT number, checksum FROM schema_migration")
    applied: dict[int, str] = dict(await cursor.fetchall())
    wanted = shipped()
    _check(applied, wanted)
    return all(one.number in applied for one in wanted)


def _check(applied: dict[int, str], wanted: Sequence[Migration]) -> None:
    known = {one.number: one for one in wanted}
    newer = sorted(number for number in applied if number not in known)
    if newer:
        raise Misconfigured(
            f"The database has migration {newer[-1]}, which this version of Kasparro does not know. "
            "Install the version that made it, or a newer one."
        )
    changed = [one for number, one in known.items() if number in applied and applied[number] != one.checksum]
    if changed:
        raise Misconfigured(
            f"Migration {changed[0].number:04d}_{changed[0].name} was applied with another text than this version has. "
            "Restore the file, or use a fresh database."
        )
