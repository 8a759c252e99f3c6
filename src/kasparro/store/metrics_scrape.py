"""What a process of the API tells of metrics: the totals of all, with what it has gathered itself.

A scrape first adds what this process has gathered, so it is never behind itself, then reads the totals. Both over a
connection of its own and with a limit, so that neither a busy pool nor a database that hangs makes a scrape fail: then
it tells what it read last, and what it has gathered since. Not less: a counter that fell would look as if it had begun
anew, and the whole total would be taken for an increase when the database is back.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import structlog
from psycopg import AsyncConnection

from kasparro.errors import KasparroError
from kasparro.model.metrics import (
    BREAKER_STATE,
    CHECKPOINT_LAG,
    DATABASE_UP,
    DATASET_ROWS,
    OPEN_REJECTS,
    QUEUE_DEPTH,
    RUNS_RUNNING,
    SCHEMA_VERSION,
    SOURCES,
    WORKERS,
)
from kasparro.observe.metrics import Meter, Readings, Series, Tally, added
from kasparro.observe.metrics_text import completed
from kasparro.store.database import Database, translated
from kasparro.store.kept_connection import KeptConnection
from kasparro.store.metrics import MetricWriter, read_metrics

_log = structlog.get_logger("kasparro.metrics")

_OF_NOW = frozenset(
    metric.name
    for metric in (
        RUNS_RUNNING,
        BREAKER_STATE,
        OPEN_REJECTS,
        QUEUE_DEPTH,
        WORKERS,
        DATASET_ROWS,
        SOURCES,
        SCHEMA_VERSION,
    )
)
"""What is true only of the moment at which it was read."""


@dataclass(frozen=True, slots=True)
class _Read:
    readings: Readings
    at: float


class Scraper:
    """Tells the metrics, and writes those of this process down meanwhile. Opened and closed with `async with`.

    Args:
        database: Where the totals are.
        meter: What this process has gathered.
        every: Seconds between two times that it is written down.
        wait: Seconds that a scrape waits for the database.
        give_up: Seconds after which the database is given up and the connection closed.
    """

    def __init__(
        self, database: Database, meter: Meter, *, every: float = 5.0, wait: float = 2.0, give_up: float = 10.0
    ) -> None:
        self._database = database
        self._writer = MetricWriter(meter)
        self._every, self._wait, self._give_up = every, wait, give_up
        self._scrape: asyncio.Task[bool] | None = None
        self._beat: asyncio.Task[None] | None = None
        self._last: _Read | None = None
        self._turn = asyncio.Lock()
        self._kept = KeptConnection(database)

    async def __aenter__(self) -> Self:
        self._beat = asyncio.create_task(self._writing())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in (self._beat, self._scrape):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._tried(last=True)
        await self._kept.drop()

    async def scrape(self) -> Readings:
        """Return all that is known. Never raises, and never waits longer than `wait`."""
        if self._scrape is None or self._scrape.done():
            self._scrape = asyncio.create_task(self._tried(read=True))
        done, _ = await asyncio.wait({self._scrape}, timeout=self._wait)
        up = bool(done) and self._scrape.result()
        return {**self._known(up=up), Series(DATABASE_UP.name): Tally(float(up))}

    def _known(self, *, up: bool) -> Readings:
        """Return what was read last, as far as it still holds, and what was gathered since."""
        if self._last is None:
            return {}
        read, gone = self._last.readings, time.monotonic() - self._last.at
        if not up:
            read = {
                series: tally + Tally(gone) if series.name == CHECKPOINT_LAG.name else tally
                for series, tally in read.items()
                if series.name not in _OF_NOW
            }
        return added([read, self._writer.unseen()])

    async def _writing(self) -> None:
        await self._tried(read=True)  # so that there is something to remember from the first moment on
        while True:
            await asyncio.sleep(self._every)
            await self._tried()

    async def _tried(self, *, read: bool = False, last: bool = False) -> bool:
        """Write, and read; tell whether the database took part. What it did not take is kept, and written later."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._wait if last else self._give_up):
                    await self._kept.ask(partial(self._once, read=read, last=last))
            except (KasparroError, TimeoutError) as error:
                _log.warning("metrics are written later", reason=str(error) or "the database hangs")
                await self._kept.drop()
                return False
        return True

    async def _once(self, connection: AsyncConnection, *, read: bool, last: bool) -> None:
        with translated(self._database.place):
            await self._writer.write(connection)
            if read:
                self._last = _Read(completed(await read_metrics(connection)), time.monotonic())
                self._writer.seen()
            if last:
                await self._writer.leave(connection)
