"""Notifications of commands that go on: sent in the background, where the configuration has channels."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from kasparro.config import Config, Settings
from kasparro.model.run import RunResult
from kasparro.store.database import Database

Told = Callable[[Collection[RunResult]], Awaitable[None]]
"""Called with the results of runs."""


@asynccontextmanager
async def telling_meanwhile(
    config: Config | None, settings: Settings, database: Database, stop: asyncio.Event
) -> AsyncIterator[Told]:
    """Send notifications in the background of the block. Give what is to be called with the results of runs in it."""
    if config is None or not config.notifications:

        async def nobody(_results: Collection[RunResult]) -> None:
            """Tell nobody."""

        yield nobody
        return
    from kasparro.assembly.notifying import telling  # noqa: PLC0415 - most configurations have no channels

    async with telling(config, settings, database, stop) as ended:
        yield ended
