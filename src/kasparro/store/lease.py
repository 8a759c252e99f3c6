"""The lease of a run: its source is nobody else's for as long as the run says that it is alive.

What keeps others out is an advisory lock, and it lives as long as the session that took it. PostgreSQL itself ends that
session when nothing was said in it for the length of the lease (`idle_session_timeout`). So a process that is frozen,
or a host that is cut off, loses its source without anybody who must judge whether it is dead, and by one clock: the
server's. Whoever asks for the source next has it, and with it a later epoch, which refuses the commits of the other.

The run says so every quarter of the lease. Its record tells when it did last (`heartbeat_at`), for people; while rows
take effect the record is locked, and having said anything is enough.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from psycopg import AsyncConnection

from kasparro.errors import KasparroError, Stopped, StoreBusy
from kasparro.store.database import Database, translated
from kasparro.store.queries import queries

Result = TypeVar("Result")

LEASE = 60.0
"""Seconds, unless the settings say otherwise."""


async def guard(connection: AsyncConnection, lease: float) -> None:
    """Let the server end the session of a connection when it is silent for so many seconds."""
    await connection.execute(queries("runs")["guard"], {"milliseconds": str(max(1, round(lease * 1000)))})


class Lease:
    """Keeps the lease of one run on the connection that holds its source.

    Args:
        database: Asked, where the lease is lost, whether another run has the source.
        connection: Holds the source; nobody else uses it.
        run_id: The run.
        source: Its source, for messages.
        seconds: Length of the lease.
    """

    def __init__(
        self, database: Database, connection: AsyncConnection, *, run_id: int, source: str, seconds: float
    ) -> None:
        self._database = database
        self._connection = connection
        self._run_id = run_id
        self._source = source
        self._seconds = seconds
        self._sql = queries("runs")
        self._lost: KasparroError | None = None
        self._end: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Say that the run is alive, in the background of the block."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def during(self, work: Awaitable[Result]) -> Result:
        """Return what becomes of the work; end it where the lease is lost meanwhile.

        Raises:
            Stopped: it was lost, and another run has the source.
            StoreBusy: it was lost with the connection.
        """
        try:
            async with asyncio.timeout(None) as block:
                self._end = lambda: block.reschedule(asyncio.get_running_loop().time())
                if self._lost is not None:
                    self._end()
                return await work
        except TimeoutError:
            if self._lost is None:
                raise
            raise await self._why(self._lost) from self._lost
        finally:
            self._end = lambda: None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 4)
            try:
                with translated(self._database.place):
                    async with asyncio.timeout(self._seconds):
                        await self._connection.execute(self._sql["beat"], {"run_id": self._run_id})
            except KasparroError as error:
                self._lost = error
                self._end()
                return

    async def _why(self, lost: KasparroError) -> KasparroError:
        """Tell whether another run has the source, or only the connection is gone."""
        try:
            async with self._database.connection() as connection:
                row = await (await connection.execute(self._sql["status"], {"run_id": self._run_id})).fetchone()
        except KasparroError as away:
            return away
        if row is not None and row[0] == "running":
            return StoreBusy(f"Run {self._run_id} of {self._source} lost the connection that holds its source: {lost}")
        return lease_lost(self._run_id, self._source)


def lease_lost(run_id: int | None, source: str) -> Stopped:
    """Return what is said of a run whose source another one has."""
    return Stopped(
        f"Run {run_id} of {source} was not heard of for longer than its lease, and another run has gone on from its "
        "last commit. Nothing of it was lost, and nothing is written twice.",
        lease_lost=True,
    )
