"""`serve` and `up`: rows out."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kasparro.assembly.lateness import declare_schedules
from kasparro.assembly.running import run_config
from kasparro.assembly.storage import open_store
from kasparro.assembly.tracing import heard, open_traces
from kasparro.cli.context import (
    ConfigOption,
    Consoles,
    consoles,
    find_config,
    need_config,
    run_async,
    settings_with_logs,
    with_stop,
)
from kasparro.cli.reporting import reporter
from kasparro.cli.run import summarise
from kasparro.config import Config, Settings, check_serving
from kasparro.errors import Misconfigured
from kasparro.model.run import RunResult
from kasparro.store.database import Database

if TYPE_CHECKING:
    from kasparro.observe.traces import Traces

HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen on. [default: KASPARRO_HOST]")]
PortOption = Annotated[
    int | None, typer.Option("--port", "-p", min=0, max=65_535, help="Port to listen on. [default: KASPARRO_PORT]")
]


def serve(config: ConfigOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Serve the API and the pages, and send notifications meanwhile where the configuration has channels for them."""
    screens = consoles()
    settings = settings_with_logs()
    check_serving(settings)
    wanted = _channels_of(config, settings, screens)
    address = (host or settings.host, settings.port if port is None else port)

    async def body() -> None:
        from kasparro.cli.listening import serve_on  # noqa: PLC0415 - a fifth of a second that only servers need

        with _listening(*address) as listener:
            async with open_traces(settings) as traces, open_store(settings, only_reads=True) as database:

                async def served(stop: asyncio.Event) -> None:
                    if wanted is not None:
                        await declare_schedules(wanted, database)
                    async with _telling(wanted, settings, database, stop):
                        await serve_on(database, settings, listener, stop, screens, traces=traces)

                await with_stop(served, lambda: None)

    run_async(body)


def up(config: ConfigOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Ingest all sources, and serve the API and the pages meanwhile and afterwards."""
    screens = consoles()
    settings = settings_with_logs()
    check_serving(settings)
    wanted = need_config(config, settings)
    settings_with_logs(wanted)
    address = (host or settings.host, settings.port if port is None else port)

    async def body() -> None:
        from kasparro.cli.listening import serve_on  # noqa: PLC0415 - as above

        with _listening(*address) as listener:
            async with open_traces(settings, wanted.secrets) as traces, open_store(settings) as database:

                async def both(stop: asyncio.Event) -> None:
                    await declare_schedules(wanted, database)
                    serve = serve_on(database, settings, listener, stop, screens, traces=traces)
                    serving = asyncio.create_task(serve)
                    async with _telling(wanted, settings, database, stop) as ended:
                        await ended(await _ingest(wanted, settings, database, stop, screens, traces))
                        await serving

                await with_stop(both, lambda: screens.errors.print("Stopping after the commit in hand."))

    run_async(body)


async def _ingest(  # noqa: PLR0913, PLR0917 - each is a part that is open already
    wanted: Config,
    settings: Settings,
    database: Database,
    stop: asyncio.Event,
    screens: Consoles,
    traces: "Traces | None",
) -> Collection[RunResult]:
    with reporter(as_json=False, errors=screens.errors, production=settings.environment == "production") as emit:
        results = await run_config(wanted, settings, database=database, emit=heard(traces, emit), stop=stop)
    summarise(screens, results, as_json=False)
    return results.values()


def _channels_of(path: Path | None, settings: Settings, screens: Consoles) -> Config | None:
    """Return the configuration, for the channels that it may have; mistakes in it keep nothing from being served.

    Raises:
        Misconfigured: it was named on the command line.
    """
    try:
        found = find_config(path, settings)
    except Misconfigured as error:
        if path is not None:
            raise
        screens.errors.print(f"This process sends no notifications: {error}", markup=False, soft_wrap=True)
        return None
    settings_with_logs(found)
    return found


@asynccontextmanager
async def _telling(
    config: Config | None, settings: Settings, database: Database, stop: asyncio.Event
) -> AsyncIterator[Callable[[Collection[RunResult]], Awaitable[None]]]:
    """Send notifications in the background of the block. Give what is to be called with the results of runs in it."""
    if config is None or not config.notifications:

        async def nobody(_results: Collection[RunResult]) -> None:
            """Tell nobody."""

        yield nobody
        return
    from kasparro.assembly.notifying import telling  # noqa: PLC0415 - most configurations have no channels

    async with telling(config, settings, database, stop) as ended:
        yield ended


def _listening(host: str, port: int) -> socket.socket:
    """Open the port before anything else is started.

    Raises:
        Misconfigured: it is in use, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise Misconfigured(
            f"Cannot listen on {host}:{port}: {reason}. Stop what uses the port, or choose another with --port."
        ) from error
    listener.setblocking(False)
    # asyncio does so only for sockets that name their protocol. Without it the second part of an answer waits for the
    # other side to confirm the first, which takes 40 ms on a connection that is kept open.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
