"""The tables of the queue: made and moved on with our own, from the SQL files that procrastinate ships with.

It has files for a fresh database and for each step from an older one, and records in no table which were applied. So
that is recorded here. Tables that a later version has moved on are used as long as they have what this one calls.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import LiteralString

from psycopg import AsyncConnection

from kasparro.errors import Misconfigured

LATEST = "03.04.00_50_post_add_retry_failed_job_procedure"
"""The last migration of the version of procrastinate that we are made for."""

SINCE = 13
"""The migration of ours that the tables come with."""

_CALLED = "procrastinate_fetch_job_v2(character varying[],bigint)"
"""Of what is called there this is what changes: its name has a version."""

_MADE: LiteralString = "SELECT made FROM queue_schema"

_RECORD: LiteralString = """
INSERT INTO queue_schema (made) VALUES (%s)
ON CONFLICT (one) DO UPDATE SET made = excluded.made, made_at = now()"""


async def install(connection: AsyncConnection) -> None:
    """Make the tables of the queue, or move them on, in the transaction of the caller.

    Raises:
        Misconfigured: they are another application's, or a later version has changed them too much.
    """
    made = await _made(connection)
    if made == LATEST:
        return
    if made is not None and made > LATEST:
        await _check_newer(connection, made)
        return
    if made is not None:
        for step in steps(after=made):
            await connection.execute(_text(step))
    else:
        await _refuse_foreign(connection)
        await connection.execute(_text(_folder() / "schema.sql"))
    await connection.execute(_RECORD, [LATEST])


async def is_installed(connection: AsyncConnection) -> bool:
    """Tell whether the tables are there and fit. Raises Misconfigured as `install`."""
    made = await _made(connection)
    if made is not None and made > LATEST:
        await _check_newer(connection, made)
    return made is not None and made >= LATEST


def steps(after: str) -> list[Path]:
    """Return the files that come after a migration, in their order."""
    files = sorted((_folder() / "migrations").glob("*.sql"), key=lambda file: file.name)
    return [file for file in files if file.stem > after]


def _folder() -> Path:
    spec = find_spec("procrastinate")  # looks where it is, and does not load it
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured("The package procrastinate is missing. Install Kasparro anew: pip install kasparro")
    return Path(spec.submodule_search_locations[0]) / "sql"


def _text(file: Path) -> LiteralString:
    # It ships with the package, which is what LiteralString is to guarantee.
    return file.read_text(encoding="utf-8")  # type: ignore[return-value,unused-ignore]


async def _made(connection: AsyncConnection) -> str | None:
    row = await (await connection.execute(_MADE)).fetchone()
    return None if row is None else str(row[0])


async def _check_newer(connection: AsyncConnection, made: str) -> None:
    row = await (await connection.execute("SELECT to_regprocedure(%s) IS NOT NULL", [_CALLED])).fetchone()
    if row is None or not row[0]:
        raise Misconfigured(
            f"The queue in the database was moved on to {made} by a later version of Kasparro, and this version "
            "cannot use it any more. Install the version that made it, or a newer one."
        )


async def _refuse_foreign(connection: AsyncConnection) -> None:
    row = await (await connection.execute("SELECT to_regclass('procrastinate_jobs') IS NOT NULL")).fetchone()
    if row is not None and row[0]:
        raise Misconfigured(
            "The database has tables of procrastinate that another application made; its workers would take our runs. "
            "Give Kasparro a database of its own, and name it in DATABASE_URL."
        )
