"""`queue` and `run --queue`: runs that a worker does, here or elsewhere."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from kasparro.assembly.storage import open_store
from kasparro.cli.context import (
    Consoles,
    JsonOption,
    Limit,
    asked,
    consoles,
    need_config,
    run_async,
    settings_with_logs,
)
from kasparro.cli.tables import print_json, show
from kasparro.config import Config
from kasparro.errors import Misconfigured
from kasparro.model.source import Declared
from kasparro.store.database import Database
from kasparro.store.lanes import undecided, waiting_run
from kasparro.store.queue import Queue, Queued, Trigger, brief
from kasparro.store.workers import Workers

CancelOption = Annotated[
    int | None, typer.Option("--cancel", metavar="ID", help="Take a run that waits out of the queue.")
]


def queue(limit: Limit = 100, cancel: CancelOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show the runs that are under way by workers, and those that wait, in their order."""
    if cancel is not None:
        gone = asked(lambda database: Queue(database).cancel(cancel))
        if as_json:
            print_json(asdict(gone))
        else:
            consoles().out.print(f"{gone.source}: job {gone.id} is cancelled", markup=False, soft_wrap=True)
        return

    async def both(database: Database) -> list[Queued]:
        found = Queue(database)
        return [*await found.running(limit), *await found.waiting(limit)]

    rows = [asdict(one) for one in asked(both)][:limit]
    if rows or as_json:
        show(consoles().out, rows, ("id", "source", "status", "trigger", "by", "at", "attempts"), as_json=as_json)
    else:
        consoles().out.print("Nothing is queued.")


def put_in_queue(  # noqa: PLR0913 - the options of `run`
    screens: Consoles,
    targets: Sequence[str],
    config: Path | None,
    trigger: Trigger,
    *,
    accept: bool,
    as_json: bool,
) -> None:
    """Queue runs of declared sources, all or none, and say which: whoever waits for them asks `runs list`."""
    settings = settings_with_logs()
    wanted = _declared(need_config(config, settings), targets)
    for source in wanted:
        if trigger == "full_refresh":
            _check_refresh(source)

    async def body() -> tuple[list[Queued], list[str]]:
        async with open_store(settings) as database:
            async with database.connection() as connection, brief(connection):
                put = []
                for source in wanted:
                    held = await waiting_run(connection, source.name)
                    if held is not None:
                        raise undecided(source.name, held)
                    one = await Queue(database).put(
                        connection, source=source.name, by="cli", trigger=trigger, accept=accept
                    )
                    put.append(one)
            lonely = [one.name for one in wanted if await Workers(database).knowing(one.name) == 0]
        return put, lonely

    put, lonely = run_async(body)
    _say_queued(screens, put, lonely, as_json=as_json)


def _say_queued(screens: Consoles, put: Sequence[Queued], lonely: Sequence[str], *, as_json: bool) -> None:
    for one in put:
        if as_json:
            print_json(asdict(one))
        else:
            what = "queued" if one.new else "waits already"
            screens.out.print(f"{one.source}: {what} as job {one.id}", markup=False, soft_wrap=True)
    if lonely:
        names = ", ".join(lonely)
        screens.errors.print(
            f"No worker that is alive runs {names}. They wait until one does: kasparro worker",
            markup=False,
            soft_wrap=True,
        )


def _declared(config: Config, targets: Sequence[str]) -> list[Declared]:
    """Return the sources that are named; all where none is. A worker knows only what its configuration declares."""
    known: dict[str, Any] = {source.name: source for source in config.sources}
    for name in targets:
        if name not in known:
            names = ", ".join(known) or "none"
            raise Misconfigured(
                f"There is no source {name!r}: --queue takes declared sources, by name. Declared sources: {names}"
            )
    return [known[name] for name in dict.fromkeys(targets or known)]


def _check_refresh(source: Declared) -> None:
    from kasparro.assembly.jobs import check_refresh  # noqa: PLC0415 - loads what runs need, and nothing is run here

    check_refresh(source)
