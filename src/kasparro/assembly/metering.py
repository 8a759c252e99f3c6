"""Gathers the metrics of the runs of a process, and writes them down meanwhile and at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from kasparro.errors import KasparroError
from kasparro.model.events import Emit, Event
from kasparro.observe.metrics import Meter
from kasparro.store.database import Database
from kasparro.store.metrics import MetricWriter

_EVERY = 5.0
"""Seconds between two times. What a killed process has gathered since is lost."""

_AT_THE_END = 3.0
"""Seconds for the last time: a database that is away does not keep a command from ending."""

_log = structlog.get_logger("kasparro.metrics")


@asynccontextmanager
async def metered(database: Database, emit: Emit) -> AsyncIterator[Emit]:
    """Give what gathers metrics of events, and passes them on."""
    meter = Meter()
    writer = MetricWriter(meter)

    def told(event: Event) -> None:
        meter.emit(event)  # first, as what listens may raise to end the run
        emit(event)

    writing = asyncio.create_task(_writing(writer, database))
    try:
        yield told
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await _written(writer, database, last=True)


async def _writing(writer: MetricWriter, database: Database) -> None:
    while True:
        await asyncio.sleep(_EVERY)
        await _written(writer, database)


async def _written(writer: MetricWriter, database: Database, *, last: bool = False) -> None:
    """Write what was gathered. No run fails for its metrics: what is not written now is written the next time."""
    try:
        async with asyncio.timeout(_AT_THE_END if last else None), database.connection() as connection:
            await writer.write(connection)
            if last:
                await writer.leave(connection)
    except (KasparroError, TimeoutError) as error:
        _log.warning("metrics are not written", reason=str(error) or "the database hangs")
