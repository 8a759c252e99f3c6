"""Batches of one slice are written side by side, but take effect in the order in which they came.

A later batch copies its rows while the one before it is still being written, then waits for it to commit. The one
before may wait inside PostgreSQL for a row of the later one, when both hold the same key, or for another slice or run
that does. PostgreSQL sees only a part of that knot, so the later one looks: if the one before waits, and somebody
waits for the later one, it gives way and does its work again once the one before is done. That breaks every knot, as
each holds a batch that waits for its turn; at worst it breaks what was none, which costs the work of a batch.
"""

import asyncio
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

from psycopg import AsyncConnection

from kasparro.errors import Stopped
from kasparro.store.queries import queries

_LOOK = 0.05
"""Seconds between two looks at whether we may be in the way."""


class GiveWay(Exception):
    """The batch before waits, and somebody waits for this one."""


class Turn:
    """The place of one batch in the line of its slice.

    Attributes:
        over: Whether the batch was committed, as soon as that is known.
        pid: PostgreSQL's process that writes it.
        changed: Keys of rows that it changed, which were there before.
        stale: Those that the batch before changed after this one began to look at them.
    """

    def __init__(self, ahead: "Turn | None") -> None:
        self._ahead = ahead
        self.over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.pid = 0
        self.changed: Sequence[str] = ()
        self.stale: Sequence[str] = ()

    def at_work(self, pid: int) -> None:
        """Note which of PostgreSQL's processes writes the batch, and that it begins now."""
        self.pid = pid
        self.stale = ()
        if self._ahead is not None and self._ahead.over.done() and self._ahead.over.result():
            self._ahead = None

    def done(self, changed: Sequence[str]) -> None:
        """The batch is committed, and has changed rows with these keys."""
        self.changed = changed
        self.over.set_result(True)

    def failed(self) -> None:
        """The batch will not be committed."""
        if not self.over.done():
            self.over.set_result(False)

    async def before(self) -> None:
        """Wait until the batch before is committed. Raises Stopped where it was not."""
        if self._ahead is None:
            return
        if not await asyncio.shield(self._ahead.over):
            raise Stopped("A batch was not written because the one before it was not.", follows=True)
        self.stale = self._ahead.changed
        self._ahead = None

    async def mine(self, connection: AsyncConnection) -> None:
        """Wait as `before` does, inside our transaction. Raises GiveWay where it may wait for us."""
        while self._ahead is not None and not self._ahead.over.done():
            await asyncio.wait({self._ahead.over}, timeout=_LOOK)
            if not self._ahead.over.done():
                cursor = await connection.execute(queries("ledger")["blocked"], {"pid": self._ahead.pid})
                if (await cursor.fetchall())[0][0]:
                    raise GiveWay
        await self.before()


class Turns:
    """The lines of all slices."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Turn] = {}

    @contextmanager
    def enter(self, line: Hashable) -> Iterator[Turn]:
        """Stand at the end of the line; whoever leaves without being done lets those behind fail."""
        turn = Turn(self._last.get(line))
        self._last[line] = turn
        try:
            yield turn
        finally:
            turn.failed()
            if self._last.get(line) is turn:
                del self._last[line]
