"""`late`: sources that should have run and did not, for people and for monitoring."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from kasparro.assembly.lateness import declare_schedules, find_late, outlook
from kasparro.assembly.storage import open_store
from kasparro.cli.context import ConfigOption, JsonOption, consoles, find_config, run_async, settings_with_logs
from kasparro.cli.exits import FAILED, OK
from kasparro.cli.tables import show
from kasparro.store.lateness import Lateness

Rows = list[dict[str, Any]]

_LATE = ("source", "severity", "due_at", "last_success_at", "message")
_OUTLOOK = ("source", "late", "schedule", "last_success_at", "due_at", "allowed_until")


def late(
    config: ConfigOption = None,
    every: Annotated[  # noqa: FBT002
        bool, typer.Option("--all", help="Also sources that are not late, and their due moments.")
    ] = False,
    forget: Annotated[
        str | None, typer.Option("--forget", metavar="SOURCE", help="Wait for a source no more, until it runs again.")
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Look for sources that are late by their schedule or habit, and show them. Exit code 1 when there are any."""
    screens = consoles()
    settings = settings_with_logs()
    wanted = find_config(config, settings)

    async def body() -> tuple[Rows, Rows]:
        async with open_store(settings) as database:
            if wanted is not None:
                await declare_schedules(wanted, database)
            if forget is not None:
                await Lateness(database).forget(forget)
            found = [asdict(one) for one in await find_late(database)]
            return found, await outlook(database) if every else found

    found, rows = run_async(body)
    if rows or as_json:
        show(screens.out, rows, _OUTLOOK if every else _LATE, as_json=as_json)
    else:
        screens.out.print("No source is late.")
    raise typer.Exit(FAILED if found else OK)
