"""Everything in one process: keeps its parts alive, and queues what has to be run at first."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog

from kasparro.config import Config
from kasparro.errors import Broken, KasparroError, Misconfigured, StoreBusy
from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer
from kasparro.store.queue import Queue, Queued
from kasparro.store.ticks import Ticks

LOOKS = 1.0
"""Seconds between two looks whether the embedded PostgreSQL is there."""

Part = Callable[[], Awaitable[None]]
"""What is to go on until everything is told to stop."""

_log = structlog.get_logger("kasparro.up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How parts that die are begun anew.

    Attributes:
        failures: So many in a row end everything.
        first_wait: Seconds before a part is begun anew; doubled each time,
        longest_wait: up to this.
        well_after: A part that lived for so many seconds was well: its failures are counted anew.
    """

    failures: int = 6
    first_wait: float = 1.0
    longest_wait: float = 30.0
    well_after: float = 60.0


async def supervised(parts: Mapping[str, Part], stop: asyncio.Event, patience: Patience = Patience()) -> None:
    """Keep parts going, side by side, until told to stop; then wait until each has ended by itself.

    Args:
        parts: By the name that they have in the log.
        stop: Set to end them; each looks at it itself.
        patience: How those that die are begun anew.

    Raises:
        Broken: a part died too often in a row. The others were told to stop, and have.
        Misconfigured: a part cannot go on before the operator has changed something; likewise.
    """
    tasks = [asyncio.create_task(_kept(name, part, stop, patience)) for name, part in parts.items()]
    try:
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
    for error in ended:
        if isinstance(error, BaseException):
            raise error


async def _kept(name: str, part: Part, stop: asyncio.Event, patience: Patience) -> None:
    """Keep one part going. What ends it for good ends all."""
    failures, wait = 0, patience.first_wait
    while not stop.is_set():
        since = time.monotonic()
        try:
            reason, counts = await _death(name, part)
        except Misconfigured:
            stop.set()
            raise
        if stop.is_set():
            return
        if time.monotonic() - since >= patience.well_after:
            failures, wait = 0, patience.first_wait
        failures += counts
        if failures >= patience.failures:
            stop.set()
            raise Broken(
                f"The part {name} failed {failures} times in a row, the last time as follows: {reason} Everything else "
                "was stopped after the commit in hand."
            )
        _log.error("a part has ended and is begun anew", part=name, reason=reason, failures=failures, wait=wait)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
        wait = min(2 * wait, patience.longest_wait)


async def _death(name: str, part: Part) -> tuple[str, bool]:
    """Let a part live; return why it ended, and whether that counts: a database that is away is no failure of it.

    Raises:
        Misconfigured: it would not help to begin it anew.
    """
    try:
        await part()
    except Misconfigured:
        raise
    except KasparroError as error:
        return str(error), not isinstance(error, StoreBusy)
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is begun anew, and the log has it
        _log.exception("unforeseen error", part=name)
        return f"{type(error).__name__}: {error}", True
    return "It ended by itself.", True


async def keep_server(server: EmbeddedServer, stop: asyncio.Event) -> None:
    """See to it that the embedded PostgreSQL is there; start it again where it died. Ends when told to stop.

    Raises:
        StoreBusy: it does not start.
    """
    while not stop.is_set():
        if not server.is_alive():
            _log.error("the embedded PostgreSQL is gone and is started again", log_file=str(server.log_file))
            try:
                await asyncio.to_thread(server.revive)
            except StoreBusy as error:  # here it is the part itself
                raise Broken(str(error)) from error
            _log.info("the embedded PostgreSQL is back")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOKS)


async def queue_first(config: Config, database: Database) -> list[Queued]:
    """Queue what has to be run when everything starts, and return what was not queued before.

    That is each source without a schedule, and each that has never been read to its end; the others are run when they
    are due. One that waits for a rate limit goes on when that is over.
    """
    own = {source.name: source.schedule is not None for source in config.sources}
    queue = Queue(database)
    firsts = await Ticks(database).never_read([name for name, planned in own.items() if planned])
    standings = await Ticks(database).look(list(own))
    wanted = [one for one in standings if not one.is_parked and (not own[one.source] or one.source in firsts)]
    queued = [await queue.put(None, source=one.source, by="cli") for one in wanted]
    return [one for one in queued if one.new]
