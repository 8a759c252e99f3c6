"""`migrate` and `psql`: the database itself."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from kasparro.assembly.storage import open_store, open_url
from kasparro.cli.context import consoles, run_async, settings_with_logs
from kasparro.config import read_environment
from kasparro.errors import Misconfigured
from kasparro.store.database import is_encrypted, libpq_environment
from kasparro.store.embedded import binaries


def migrate() -> None:
    """Bring the database to the schema of this version. Every other command that writes does so too."""
    settings = settings_with_logs()

    async def body() -> str:
        async with open_store(settings) as database:
            return database.place

    place = run_async(body)
    consoles().out.print(f"The database {place} has the schema of this version.", markup=False, soft_wrap=True)


def psql(
    arguments: Annotated[list[str] | None, typer.Argument(help="Handed to psql, such as -- -c 'SELECT 1'.")] = None,
) -> None:
    """Open psql on the database."""
    settings = settings_with_logs()

    async def body() -> int:
        async with open_url(settings) as url:
            # The address goes through the environment: arguments are seen by everyone on the machine.
            program = psql_program(encrypted=await is_encrypted(url))
            environment = {**read_environment(), **libpq_environment(url)}
            # `\\! pg_dump` is then that of the same version.
            environment["PATH"] = f"{Path(program).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
            return await _session([program, *(arguments or [])], environment)

    raise typer.Exit(run_async(body))


async def _session(command: list[str], environment: Mapping[str, str]) -> int:
    """Let a program have the terminal; return its exit code. Ctrl-C is its own meanwhile, and SIGTERM ends it, too."""
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def psql_program(*, encrypted: bool) -> str:
    """Return the path of psql: that of the extra `embedded`, which is new but speaks no TLS, or that of the machine.

    Raises:
        Misconfigured: there is none.
    """
    if not encrypted:
        with suppress(Misconfigured):
            return str(binaries() / "psql")
    found = shutil.which("psql")
    if found is None and encrypted:
        raise Misconfigured("The connection to the database is encrypted. Install a psql that speaks TLS; most do.")
    if found is None:
        raise Misconfigured('psql is not installed. Install it, or run: pip install "kasparro[embedded]"')
    return found
