"""`worker` and `workers`: runs that others asked for are done here."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer

from kasparro.assembly.storage import open_store
from kasparro.assembly.tracing import heard, open_traces
from kasparro.cli.context import (
    ConfigOption,
    Consoles,
    JsonOption,
    asked,
    consoles,
    need_config,
    run_async,
    settings_with_logs,
    with_stop,
)
from kasparro.cli.exits import FAILED
from kasparro.cli.reporting import lines
from kasparro.cli.tables import show
from kasparro.cli.telling import telling_meanwhile
from kasparro.store.workers import KnownWorker, Workers

ConcurrencyOption = Annotated[
    int | None,
    typer.Option("--concurrency", min=1, max=64, help="Runs at the same time. [default: KASPARRO_CONCURRENCY]"),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="What the worker is called. [default: its host and process]")
]
CheckOption = Annotated[
    bool, typer.Option("--check", help="Show nothing; exit with 1 unless a worker of this host is alive.")
]


def worker(config: ConfigOption = None, concurrency: ConcurrencyOption = None, name: NameOption = None) -> None:
    """Run what is queued and what is due, until stopped. Start as many as you like, on any hosts."""
    screens = consoles()
    settings = settings_with_logs()
    wanted = need_config(config, settings)
    settings_with_logs(wanted)
    if concurrency is not None:
        settings = replace(settings, concurrency=concurrency)

    async def body() -> None:
        from kasparro.assembly.working import Bench, working  # noqa: PLC0415 - loads procrastinate, for workers alone

        async with open_traces(settings, wanted.secrets) as traces, open_store(settings) as database:

            async def works(stop: asyncio.Event) -> None:
                emit = heard(traces, lines(screens.errors, production=settings.environment == "production"))
                async with telling_meanwhile(wanted, settings, database, stop) as ended:
                    bench = Bench(
                        config=wanted,
                        settings=settings,
                        database=database,
                        emit=emit,
                        ended=ended,
                        stop=stop,
                        name=name,
                    )
                    await working(bench)

            await with_stop(works, lambda: _say_stop(screens))

    run_async(body)


def _say_stop(screens: Consoles) -> None:
    screens.errors.print(
        "Stopping: no run is begun any more, and those in hand end after the commit in hand. Once more ends at once."
    )


def workers(as_json: JsonOption = False, check: CheckOption = False) -> None:  # noqa: FBT002
    """Show the workers, and whether they are alive."""
    found = asked(lambda database: Workers(database).listed())
    if check:
        _check_alive(found)
        return
    rows = [asdict(one) for one in found]
    for row in rows:
        row["sources"] = list(row["sources"])
    columns = ("name", "host", "pid", "alive", "version", "config_hash", "concurrency", "started_at", "heartbeat_at")
    if rows or as_json:
        show(consoles().out, rows, columns, as_json=as_json)
    else:
        consoles().out.print("There is no worker. Start one: kasparro worker")


def _check_alive(found: Sequence[KnownWorker]) -> None:
    """End with exit code 1 unless a worker of this host is alive: the health check of a container."""
    host = socket.gethostname()
    here = [one for one in found if one.host == host]
    if any(one.alive for one in here):
        return
    last = max((one.heartbeat_at for one in here), default=None)
    rest = "there is none" if last is None else f"the last one said so at {last:%Y-%m-%d %H:%M:%S %Z}"
    consoles().errors.print(f"No worker of this host, {host}, is alive: {rest}.", markup=False, soft_wrap=True)
    raise typer.Exit(FAILED)
