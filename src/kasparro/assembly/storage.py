"""The database that the settings name, or the embedded one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kasparro.config import Settings
from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer

_EACH = 4
"""Connections of one source: two slices at a time, each with two commits. A commit may wait for another one's."""

_POOL = 8
"""Connections of a pool for all else."""

_BESIDE = 4
"""Connections that a process has outside the pool, beside a lock for each source that runs: health, the queue."""


def connections_of(settings: Settings) -> int:
    """Return how many connections one process takes at most."""
    return settings.concurrency * (_EACH + 1) + _POOL + _BESIDE


@asynccontextmanager
async def open_url(settings: Settings) -> AsyncIterator[str]:
    """Give the connection string of a running server; the embedded one is stopped after its last user."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = EmbeddedServer(settings.home)
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
        yield server.url
    finally:
        # Whoever is told to end while it starts would else leave it running: no thread can be cut off.
        await asyncio.gather(starting, return_exceptions=True)
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def open_store(settings: Settings, *, only_reads: bool = False) -> AsyncIterator[Database]:
    """Open the database, migrated. Readers try again by themselves, so their connections are not tried beforehand."""
    async with (
        open_url(settings) as url,
        Database(
            url, debug=settings.debug, size=settings.concurrency * _EACH + _POOL, check=not only_reads
        ) as database,
    ):
        yield database
