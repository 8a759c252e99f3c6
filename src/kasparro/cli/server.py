"""`serve` and `up`: rows out."""

import asyncio
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kasparro.assembly.lateness import declare_schedules
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
from kasparro.cli.reporting import lines
from kasparro.cli.run import summarise
from kasparro.cli.telling import Told, telling_meanwhile
from kasparro.config import Config, Settings, check_serving
from kasparro.errors import Misconfigured
from kasparro.model.run import RunResult
from kasparro.observe.logs import forwarded_logs
from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer

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
                    async with telling_meanwhile(wanted, settings, database, stop):
                        await serve_on(database, settings, listener, stop, screens, traces=traces)

                await with_stop(served, lambda: None)

    with forwarded_logs("uvicorn", to="kasparro.api"):
        run_async(body)


def up(config: ConfigOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Run everything in one process: ingest all sources, then by their schedules, and serve the API and the pages."""
    screens = consoles()
    settings = settings_with_logs()
    check_serving(settings)
    wanted = need_config(config, settings)
    settings_with_logs(wanted)
    address = (host or settings.host, settings.port if port is None else port)

    async def body() -> None:
        with _listening(*address) as listener:
            async with open_traces(settings, wanted.secrets) as traces, open_store(settings) as database:
                house = _House(wanted, settings, database, listener, screens, traces)
                await with_stop(house.live, lambda: screens.errors.print("Stopping after the commit in hand."))

    with forwarded_logs("uvicorn", to="kasparro.api"):
        run_async(body)


@dataclass(frozen=True, slots=True)
class _House:
    """What the parts of `up` share."""

    config: Config
    settings: Settings
    database: Database
    listener: socket.socket
    screens: Consoles
    traces: "Traces | None"

    async def live(self, stop: asyncio.Event) -> None:
        """Keep all parts going until told to stop."""
        from kasparro.assembly.up import keep_server, queue_first, supervised  # noqa: PLC0415 - for this command alone

        await queue_first(self.config, self.database)
        async with telling_meanwhile(self.config, self.settings, self.database, stop) as told:
            ready = asyncio.Event()
            parts = {"api": partial(self._serve, stop, ready), "worker": partial(self._work, stop, ready, told)}
            if self.settings.database_url is None:
                parts["database"] = partial(keep_server, EmbeddedServer(self.settings.home), stop)
            await supervised(parts, stop)

    async def _serve(self, stop: asyncio.Event, ready: asyncio.Event) -> None:
        try:
            from kasparro.cli.listening import serve_on  # noqa: PLC0415 - as above

            # The server closes what it listens on; the port is ours for as long as we live.
            with self.listener.dup() as own:
                await serve_on(self.database, self.settings, own, stop, self.screens, traces=self.traces, ready=ready)
        finally:
            ready.set()  # sources are run whether or not they are served

    async def _work(self, stop: asyncio.Event, ready: asyncio.Event, told: Told) -> None:
        # It takes a while to load: requests are answered before, and meanwhile.
        await ready.wait()
        working = await asyncio.to_thread(import_module, "kasparro.assembly.working")

        async def ended(results: Collection[RunResult]) -> None:
            summarise(self.screens, {result.source: result for result in results}, as_json=False)
            await told(results)

        emit = heard(self.traces, lines(self.screens.errors, production=self.settings.environment == "production"))
        await working.working(
            working.Bench(
                config=self.config,
                settings=self.settings,
                database=self.database,
                emit=emit,
                ended=ended,
                stop=stop,
            )
        )


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
