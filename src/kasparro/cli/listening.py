"""The server itself. Loaded only where something is served: it takes longer to import than all the rest."""

import asyncio
import gc
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from kasparro.assembly.serving import app_on
from kasparro.cli.context import Consoles
from kasparro.config import Settings
from kasparro.store.database import Database

if TYPE_CHECKING:
    from kasparro.observe.traces import Traces


_SOON = 0.01
"""Seconds between two looks whether the server has begun: it tells nobody."""

_KEPT_OPEN = 75
"""Seconds that a connection without a request stays open. A load balancer closes it first, mostly after 60: where the
server does, a request that is on its way at that moment is lost, and answered with 502."""


async def serve_on(  # noqa: PLR0913 - each is a part that is open already
    database: Database,
    settings: Settings,
    listener: socket.socket,
    stop: asyncio.Event,
    screens: Consoles,
    *,
    traces: "Traces | None" = None,
    ready: asyncio.Event | None = None,
) -> None:
    """Serve API and pages on an open port until told to stop. `ready`: set when requests are answered."""
    host, port = listener.getsockname()[:2]
    app = app_on(database, settings, host, traces)
    server = uvicorn.Server(options_of(app))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment] # signals are ours
    shown = "localhost" if host in {"127.0.0.1", "::1", "0.0.0.0"} else host  # noqa: S104 - compared, not bound
    screens.out.print(f"Serving on http://{shown}:{port} (rows: /data, documentation: /docs). Ctrl-C stops.")
    _settle()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(stop.wait())
    try:
        while ready is not None and not (server.started or serving.done()):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(_SOON)
        if ready is not None:
            ready.set()
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopped.cancel()
        with suppress(asyncio.CancelledError):
            await stopped


def options_of(app: Callable[..., Any]) -> uvicorn.Config:
    """Return how the server is run."""
    return uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="on", timeout_keep_alive=_KEPT_OPEN
    )


def _settle() -> None:
    """Spare the collector of garbage what stays loaded, and let it look less often.

    A scrape of 200 sources makes some 50,000 values, none of them in a circle; looking for one among them, and among
    all that the framework holds, took half of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
