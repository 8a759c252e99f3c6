"""Messages: leased to whoever sends them, tried again, ended; listed, retried and discarded by hand."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from kasparro.errors import Conflict, NotFound
from kasparro.model.notification import Item, Message, Status
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.telling import moment

LEASE = 60.0
"""Seconds for which a message belongs to the process that sends it; longer than any attempt takes."""

Rows = list[dict[str, Any]]

Which = Literal["due", "fresh", "all"]
"""Messages to send: those that are `due`; also those whose group is still open (`fresh`); or `all` that wait."""


class Notifications:
    """The messages of all channels.

    Args:
        database: Where they are.
        now: The moment that everything goes by; None is the database's clock.
    """

    def __init__(self, database: Database, *, now: datetime | None = None) -> None:
        self._database = database
        self._now = now
        self._sql = queries("notifications")

    async def lease(self, channel: str, which: Which = "due", after: int = 0) -> Message | None:
        """Take the next message of a channel, for this process alone; None when there is none to send now.

        A process that dies keeps its lease for `LEASE` seconds; then the message is another's.

        Args:
            channel: Its name.
            which: See `Which`.
            after: Only those with a larger id.
        """
        async with self._database.connection() as connection, connection.transaction():
            facts = {"channel": channel, "what": which, "after": after, "seconds": LEASE}
            rows = await self._rows(connection, "lease", **facts)
        if not rows:
            return None
        row = rows[0]
        return Message(**{**row, "items": tuple(Item(**one) for one in row["items"])})

    async def end(self, message: Message, status: Status, answer: str) -> bool:
        """Record that a message was sent, or is given up. False: another process has it by now, and nothing is done."""
        return await self._outcome(message, "ended", status=status, answer=answer)

    async def again(self, message: Message, wait: float, answer: str) -> bool:
        """Let a message be tried again after so many seconds. Returns as `end`."""
        return await self._outcome(message, "again", wait=wait, answer=answer)

    async def soonest(self, channel: str) -> float | None:
        """Return in how many seconds the next message of a channel is due; None when none waits."""
        async with self._database.connection() as connection:
            (row,) = await self._rows(connection, "soonest", channel=channel)
        found: float | None = next(iter(row.values()))
        return found

    async def waiting(self) -> Rows:
        """Return for each channel with messages that wait how many, and since when."""
        async with self._database.connection() as connection:
            return await self._rows(connection, "waiting")

    async def depth(self) -> Rows:
        """Return `channel`, `status` and `messages`, for a gauge.

        The status `outbox` is what is not a message yet; then there are `waiting` and `failed`. Those that were sent
        are not counted, so the cost does not grow with the history.
        """
        async with self._database.connection() as connection:
            return await self._rows(connection, "depth")

    async def list(self, *, channel: str | None = None, status: str | None = None, limit: int = 20) -> Rows:
        """Return messages, newest first."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            statement, facts = list_statement(channel=channel, status=status, limit=limit)
            await cursor.execute(statement, facts)
            return await cursor.fetchall()

    async def retry(self, message_id: int) -> str:
        """Let a message be sent once more, as if it were made now; return its channel. Raises NotFound, Conflict."""

        async def change(connection: AsyncConnection, row: dict[str, Any]) -> None:
            if row["status"] == "sent":
                raise Conflict(f"Notification {message_id} was sent. Nothing is done.")
            await self._rows(connection, "retry", id=message_id)

        return await self._changed(message_id, change)

    async def discard(self, message_id: int, who: str) -> str:
        """Let a message not be sent any more; return its channel. Raises NotFound, Conflict."""

        async def change(connection: AsyncConnection, row: dict[str, Any]) -> None:
            if row["status"] in {"sent", "discarded"}:
                raise Conflict(f"Notification {message_id} was {row['status']}. Nothing is done.")
            await self._rows(connection, "discard", id=message_id, answer=f"discarded by {who}")

        return await self._changed(message_id, change)

    async def _changed(
        self, message_id: int, change: Callable[[AsyncConnection, dict[str, Any]], Awaitable[None]]
    ) -> str:
        async with self._database.connection() as connection, connection.transaction():
            rows = await self._rows(connection, "one", id=message_id)
            if not rows:
                raise NotFound(f"There is no notification {message_id}. List them with: kasparro notifications list")
            if rows[0]["sending"]:
                raise Conflict(f"Notification {message_id} is being sent right now. Try again in a minute.")
            await change(connection, rows[0])
        return str(rows[0]["channel"])

    async def _outcome(self, message: Message, name: str, **facts: Any) -> bool:  # noqa: ANN401 - parameters
        async with self._database.connection() as connection:
            return bool(await self._rows(connection, name, id=message.id, lease=message.lease, **facts))

    async def _rows(self, connection: AsyncConnection, name: str, **facts: Any) -> Rows:  # noqa: ANN401 - parameters
        cursor = connection.cursor(row_factory=dict_row)
        now = await moment(connection, self._now)
        await cursor.execute(self._sql[name], {**facts, "now": now})
        return [] if cursor.description is None else await cursor.fetchall()


def list_statement(*, channel: str | None, status: str | None, limit: int) -> tuple[sql.Composed, dict[str, Any]]:
    """Return the statement of a list and its parameters: only what is asked for is in it, for the plan of its index."""
    wanted: Sequence[tuple[str, LiteralString, str | None]] = (
        ("channel", "channel = %(channel)s", channel),
        ("status", "status = %(status)s", status),
    )
    given = [(name, text, value) for name, text, value in wanted if value is not None]
    conditions = sql.SQL(" AND ").join([sql.SQL("true"), *(sql.SQL(text) for _, text, _ in given)])
    statement = sql.SQL(queries("notifications")["list"]).format(conditions=conditions)
    return statement, {**{name: value for name, _, value in given}, "limit": limit}
