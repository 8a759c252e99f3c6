"""The books of all budgets in the database, so that processes on any host share them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
from psycopg import AsyncConnection

from kasparro.resilience.budget_book import settle
from kasparro.resilience.budget_values import Ask, Book, Grant, from_json, lasts_until, to_json
from kasparro.store.database import Database, translated
from kasparro.store.queries import queries

_MOST_CONNECTIONS = 3
"""Exchanges at a time; a process has one budget or a few."""


_TO_END = 1.0
"""Seconds that an exchange may take to end by itself when nobody waits for it any more."""


class BudgetDesk:
    """Implements `resilience.budget_demand.Desk`. `close` it.

    It settles over a few connections of its own, so that no request waits for a page to be written, or for a book that
    another process has in its hands. What failed is not tried again here: whether it was written is not known, so that
    the next attempt must be that of another process.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[tuple[AsyncConnection, AsyncExitStack]] = []
        self._places = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._sql = queries("budgets")

    async def look(self, key: str) -> bool:
        """Tell whether anything that counts is known of the budget. Raises StoreBusy."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["look"], {"key": key})
            return (await cursor.fetchall())[0][0] is True

    async def settle(self, key: str, host: str, ask: Ask, expected: Callable[[], float | None]) -> Grant:
        """Settle with the book, in one transaction of two round trips. Raises StoreBusy.

        Who is cancelled meanwhile waits for its end first, if that comes soon: a pipeline that is cut off leaves a
        connection in the middle of an answer.
        """
        exchange = asyncio.ensure_future(self._exchanged(key, host, ask, expected))
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            done, _ = await asyncio.wait({exchange}, timeout=_TO_END)
            if not done:
                exchange.cancel()
            elif not exchange.cancelled():
                exchange.exception()  # nobody else will ask for it
            raise

    async def _exchanged(self, key: str, host: str, ask: Ask, expected: Callable[[], float | None]) -> Grant:
        async with self._lent() as connection:
            grant = await self._settled(connection, {"key": key, "host": host}, ask, expected)
            if ask.leaving:
                await connection.execute(self._sql["tidy"])
        return grant

    async def _settled(
        self, connection: AsyncConnection, facts: dict[str, str], ask: Ask, expected: Callable[[], float | None]
    ) -> Grant:
        sql = self._sql
        async with connection.pipeline(), connection.transaction():
            await connection.execute(sql["bounds"])
            await connection.execute(sql["open"], facts)
            locked = await connection.execute(sql["lock"], facts)
            clock = await connection.execute(sql["now"])
            (written,) = (await locked.fetchall())[0]
            (wall,) = (await clock.fetchall())[0]
            book = Book() if written is None else from_json(written)
            grant = settle(book, ask, wall, expected())
            text = orjson.dumps(to_json(book)).decode()
            hold = book.hold + book.offset if book.hold > grant.now else None
            await connection.execute(sql["write"], {**facts, "book": text, "lasts": lasts_until(book), "hold": hold})
        return grant

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection to one exchange at a time. One on which it failed is closed."""
        async with self._places, AsyncExitStack() as failed:
            with translated(self._database.place):
                connection, stack = self._idle.pop() if self._idle else await self._opened()
                failed.push_async_callback(stack.aclose)
                yield connection
            failed.pop_all()
            self._idle.append((connection, stack))

    async def _opened(self) -> tuple[AsyncConnection, AsyncExitStack]:
        stack = AsyncExitStack()
        return await stack.enter_async_context(self._database.own_connection()), stack

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            _, stack = self._idle.pop()
            await stack.aclose()
