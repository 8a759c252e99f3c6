"""Looks for late sources: in the background of a server, or when asked to. No run can find that there is none."""

import asyncio
from collections.abc import AsyncIterator, Callable, Container
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import structlog

from kasparro.config import Config
from kasparro.errors import KasparroError
from kasparro.judge.late import expected, is_on_time, waited
from kasparro.store.database import Database
from kasparro.store.lateness import Lateness, LateSource, Open, Turn, Watched

FIRST = 10.0
"""Seconds until a server looks for the first time: so long have sources that it runs itself to be well again."""

EVERY = 60.0
"""Seconds between two looks."""

_log = structlog.get_logger("kasparro.lateness")


async def find_late(database: Database, now: datetime | None = None) -> list[LateSource]:
    """Look for late sources, keep what was found, and return those that are late.

    Args:
        database: Where runs and schedules are.
        now: The present; None is the database's clock.
    """
    async with Lateness(database, now).turn(wait=True) as turn:
        return [] if turn is None else await _weighed(turn)


async def declare_schedules(config: Config, database: Database) -> None:
    """Write down when the sources of a configuration are to run, also of those that never ran."""
    for source in config.sources:
        if source.schedule is not None:
            await Lateness(database).declare(source.name, source.schedule)


async def outlook(database: Database) -> list[dict[str, Any]]:
    """Return when each source is due and until when a run must have succeeded; None where nobody waits for it."""
    async with Lateness(database).turn(wait=True) as turn:
        if turn is None:
            return []
        late_now = {one.source for one in await turn.late()}
        return [_outlook(one, late_now) for one in await turn.sources()]


def _outlook(one: Watched, late_now: Container[str]) -> dict[str, Any]:
    wait = None if one.forgotten else expected(one.past)
    return {
        "source": one.source,
        "late": one.source in late_now,
        "schedule": None if one.past.schedule is None else str(one.past.schedule),
        "last_success_at": one.past.last_success,
        "due_at": None if wait is None else wait.due,
        "allowed_until": None if wait is None else wait.allowed,
    }


async def _weighed(turn: Turn) -> list[LateSource]:
    for one in await turn.sources():
        await _weigh(turn, one)
        await asyncio.sleep(0)  # a server answers in between
    return await turn.late()


async def _weigh(turn: Turn, one: Watched) -> None:
    """Keep what is new about one source."""
    found = one.open
    if found is not None and (found.after_run_id, found.since) != (one.last_read_id, one.past.since):
        # It has succeeded since, or is to run at other times: another lateness is another finding.
        await turn.over(one)
        found = None
    if one.forgotten or (found is None and is_on_time(one.past, turn.now)) or _is_settled(one, found):
        return
    wait = expected(one.past)
    if wait is None:
        return
    finding = waited(one.past, wait, turn.now)
    if finding is None:
        if found is not None and wait.is_given_up(turn.now):
            await turn.give_up(one)
    elif found is None:
        await turn.found(one, finding, wait.due)
    elif (found.severity, finding.severity) == ("warning", "critical"):
        await turn.worse(one, finding)


def _is_settled(one: Watched, found: Open | None) -> bool:
    """Tell whether waiting longer changes nothing: only without a schedule nobody waits for ever."""
    return found is not None and (found.given_up or (found.severity == "critical" and one.past.schedule is not None))


def watched(
    open_database: Callable[[], AbstractAsyncContextManager[Database]], *, first: float = FIRST, every: float = EVERY
) -> Callable[[], AbstractAsyncContextManager[Database]]:
    """Return what opens the database as before and looks for late sources, as long as it is open.

    Args:
        open_database: Opens it.
        first: Seconds until the first look.
        every: Seconds between two.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[Database]:
        async with open_database() as database:
            looking = asyncio.create_task(_looking(database, first, every))
            try:
                yield database
            finally:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking

    return opened


async def _looking(database: Database, first: float, every: float) -> None:
    await asyncio.sleep(first)
    while True:
        try:
            # Another process that looks now finds the same.
            async with asyncio.timeout(every), Lateness(database).turn(wait=False) as turn:
                if turn is not None:
                    await _weighed(turn)
        except (KasparroError, TimeoutError) as error:
            _log.warning("cannot look for late sources", reason=str(error) or "the database hangs")
        await asyncio.sleep(every)
