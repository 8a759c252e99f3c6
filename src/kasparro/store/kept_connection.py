"""A connection of one's own that is kept from one question to the next, and made anew where it has died meanwhile."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from psycopg import AsyncConnection

from kasparro.errors import StoreBusy
from kasparro.store.database import Database

Answer = TypeVar("Answer")


class KeptConnection:
    """Apart from the pool, so that whoever asks waits for nobody. `drop` it at the end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open = AsyncExitStack()
        self._connection: AsyncConnection | None = None

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer:
        """Return the answer. A kept connection may have died with a restart of the server: then once more over another.

        Raises:
            StoreBusy: the database does not answer over a new connection either.
        """
        kept = self._connection is not None
        try:
            return await question(await self._connected())
        except StoreBusy:
            await self.drop()
            if not kept:
                raise
        return await question(await self._connected())

    async def _connected(self) -> AsyncConnection:
        if self._connection is None or self._connection.closed:
            await self.drop()
            self._connection = await self._open.enter_async_context(self._database.own_connection())
        return self._connection

    async def drop(self) -> None:
        """Close the connection without asking it anything."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
        await self._open.aclose()
