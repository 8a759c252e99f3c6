"""`serve` and `up`: rows out."""

import asyncio
import os
import socket
from typing import Annotated

import typer

from kasparro.assembly.running import run_config
from kasparro.assembly.storage import open_store
from kasparro.cli.context import ConfigOption, Consoles, consoles, need_config, run_async, settings_with_logs, with_stop
from kasparro.cli.reporting import reporter
from kasparro.cli.run import summarise
from kasparro.config import Config, Settings, check_serving
from kasparro.errors import Misconfigured
from kasparro.store.database import Database

HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen on. [default: KASPARRO_HOST]")]
PortOption = Annotated[
    int | None, typer.Option("--port", "-p", min=0, max=65_535, help="Port to listen on. [default: KASPARRO_PORT]")
]


def serve(host: HostOption = None, port: PortOption = None) -> None:
    """Serve the API and the pages."""
    screens = consoles()
    settings = settings_with_logs()
    check_serving(settings)
    address = (host or settings.host, settings.port if port is None else port)

    async def body() -> None:
        from kasparro.cli.listening import serve_on  # noqa: PLC0415 - a fifth of a second that only servers need

        with _listening(*address) as listener:
            async with open_store(settings, only_reads=True) as database:
                await with_stop(lambda stop: serve_on(database, settings, listener, stop, screens), lambda: None)

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
            async with open_store(settings) as database:

                async def both(stop: asyncio.Event) -> None:
                    serving = asyncio.create_task(serve_on(database, settings, listener, stop, screens))
                    await _ingest(wanted, settings, database, stop, screens)
                    await serving

                await with_stop(both, lambda: screens.errors.print("Stopping after the commit in hand."))

    run_async(body)


async def _ingest(
    wanted: Config, settings: Settings, database: Database, stop: asyncio.Event, screens: Consoles
) -> None:
    with reporter(as_json=False, errors=screens.errors, production=settings.environment == "production") as emit:
        results = await run_config(wanted, settings, database=database, emit=emit, stop=stop)
    summarise(screens, results, as_json=False)


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
    return listener
