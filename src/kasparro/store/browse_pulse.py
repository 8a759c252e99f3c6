"""Is the database there? Asked over a connection of its own, so that a busy pool does not look like a dead database.

A database that hangs answers nothing, not even a refusal, and a query that waits for it cannot be abandoned at once.
So one probe at a time runs in the background, and whoever asks waits for it only so long.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog
from psycopg import AsyncConnection

from kasparro.errors import KasparroError, Misconfigured, SchemaBroken
from kasparro.store.database import Database, translated
from kasparro.store.kept_connection import KeptConnection
from kasparro.store.migrate import is_current
from kasparro.store.queries import queries

_log = structlog.get_logger("kasparro.store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a probe found.

    Attributes:
        connected: The database answered.
        latency: Seconds that it took to answer.
        migrated: It has the schema of this version.
        failing: The last finished run of some source failed, a source is late, or a host is left alone.
        runs: JSON object of `last_run`, `sources`, `late`, `parked` and `hosts`; None where it could not be read.
    """

    connected: bool = False
    latency: float | None = None
    migrated: bool = False
    failing: bool = False
    runs: str | None = None


class Pulse:
    """Probes the database over its own connection, closed with `async with`.

    Args:
        database: What to probe.
        wait: Seconds that one who asks waits for an answer.
        give_up: Seconds after which a probe is abandoned and its connection closed.
    """

    def __init__(self, database: Database, *, wait: float = 1.5, give_up: float = 10.0) -> None:
        self._database = database
        self._wait = wait
        self._give_up = give_up
        self._probe: asyncio.Task[Beat] | None = None
        self._kept = KeptConnection(database)
        self._health = queries("browse")["health"]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._probe is not None:
            self._probe.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probe
        await self._kept.drop()

    async def take(self) -> Beat:
        """Probe, or join the probe under way. Never raises, and never waits longer than `wait`."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._run())
        done, _ = await asyncio.wait({self._probe}, timeout=self._wait)
        return self._probe.result() if done else Beat()

    async def _run(self) -> Beat:
        try:
            async with asyncio.timeout(self._give_up):
                return await self._kept.ask(self._look)
        except (KasparroError, TimeoutError) as error:
            _log.warning("database does not answer", error=str(error) or "it hangs")
            await self._kept.drop()
            return Beat()

    async def _look(self, connection: AsyncConnection) -> Beat:
        with translated(self._database.place):
            start = time.perf_counter()
            await connection.execute("SELECT 1")
            latency = time.perf_counter() - start
        try:
            with translated(self._database.place):
                return await self._read(connection, latency)
        except (SchemaBroken, Misconfigured) as error:
            _log.warning("database is not as this version needs it", error=str(error))
            return Beat(connected=True, latency=latency)

    async def _read(self, connection: AsyncConnection, latency: float) -> Beat:
        if not await is_current(connection):
            return Beat(connected=True, latency=latency)
        cursor = await connection.execute(self._health)
        runs, failing = await cursor.fetchone() or ("{}", False)
        return Beat(connected=True, latency=latency, migrated=True, failing=failing, runs=runs)
