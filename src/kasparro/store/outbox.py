"""The outbox: what happened is written down where it happens, and becomes messages here.

A run that ends and a judgement that finds something write a row for each channel in their own transaction (see `finish`
in `runs.sql` and `found` in `watch.sql`), so a crash loses none. Here the rows of a channel are taken in their order,
weighed against what the channel wishes and was told already, and added to a message, all in one transaction again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import structlog
from psycopg.rows import dict_row

from kasparro.model.notification import Item, Wishes, no_counts, plain_item, worst_first
from kasparro.model.redact import Redactor
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.telling import Event, News, Telling, moment

PATIENCE = 24 * 3600.0
"""Seconds for which a message is tried."""

_UNSEEN = 7 * 24 * 3600.0
"""A channel that no process has named for so many seconds is forgotten, and gets nothing more."""

_KEPT = 31 * 24 * 3600.0
"""So long are messages kept that have ended, and what was told is remembered."""

_STEP = 200
"""Rows of one transaction."""

_LAPSED = "No configuration names this channel any more. To send it: declare the channel again, then retry it."

_log = structlog.get_logger("kasparro.notify")


class Outbox:
    """Makes messages of what happened.

    Args:
        database: Where both are.
        instance: Where the messages are made, for whoever reads them.
        redact: Masks secrets in what they say.
        now: The moment that everything goes by; None is the database's clock.
    """

    def __init__(
        self, database: Database, *, instance: str = "", redact: Redactor | None = None, now: datetime | None = None
    ) -> None:
        self._database = database
        self._instance = instance
        self._redact = Redactor() if redact is None else redact
        self._now = now
        self._sql = queries("outbox")

    async def register(self, names: Sequence[str]) -> None:
        """Make channels known: what happens from now on is kept for them.

        Also forgets what is old, and gives up messages whose channel nobody has named for as long as one is tried.
        """
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(self._sql["turn"], {"channel": ""})  # what is old is forgotten by one at a time
            now = await moment(connection, self._now)
            facts: dict[str, Any] = {"names": sorted(names), "now": now, "step": 1000}
            await connection.execute(self._sql["register"], facts)
            lapsed = {**facts, "patience": PATIENCE, "answer": _LAPSED}
            cursor = await connection.execute(self._sql["lapsed"], lapsed)
            for message_id, channel in await cursor.fetchall():
                _log.error("notification given up", channel=channel, id=message_id, reason=_LAPSED)
            await connection.execute(self._sql["unregister"], {**facts, "unseen": _UNSEEN})
            await connection.execute(self._sql["unheard"], facts)
            await connection.execute(self._sql["old"], {**facts, "kept": _KEPT})
            await connection.execute(self._sql["forgotten"], {**facts, "kept": _KEPT})

    async def refused(self, source: str, code: str, error: str) -> None:
        """Write down that a run could not even begin; one that began writes down by itself how it ended."""
        async with self._database.connection() as connection:
            facts = {"source": source, "code": code, "error": self._redact(error)}
            await connection.execute(self._sql["refused"], facts)

    async def gather(self, channel: str, wishes: Wishes) -> None:
        """Make messages of all that happened and that the channel was not told of yet."""
        while await self._gathered(channel, wishes) == _STEP:
            pass

    async def _gathered(self, channel: str, wishes: Wishes) -> int:
        """Take a part of what happened; return how many rows of the outbox that were."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["any"], {"channel": channel})
            if not (await cursor.fetchall())[0][0]:
                return 0
            async with connection.transaction():
                await connection.execute(self._sql["turn"], {"channel": channel})
                now = await moment(connection, self._now)
                events = connection.cursor(row_factory=dict_row)
                await events.execute(self._sql["take"], {"channel": channel, "step": _STEP})
                happened = [Event(**row) for row in await events.fetchall()]
                telling = Telling(connection, channel, wishes, now)
                news = [await telling.news(event) for event in happened if wishes.covers(event.source)]
                await self._add(telling, [one for one in news if any(one.counts.values())])
        return len(happened)

    async def _add(self, telling: "Telling", news: Sequence[News]) -> None:
        """Add to the message that is still open, or begin another one."""
        if not news:
            return
        facts = {"channel": telling.channel, "now": telling.now}
        cursor = await telling.connection.execute(self._sql["open"], facts)
        opened = await cursor.fetchone()
        message_id, said, counted = opened or (None, [], no_counts())
        items = [
            *(Item(**one) for one in said),
            *(plain_item(one, self._redact) for part in news for one in part.items),
        ]
        counts = {name: number + sum(part.counts.get(name, 0) for part in news) for name, number in counted.items()}
        content = {
            "items": orjson.dumps([one.to_json() for one in worst_first(items)]).decode(),
            "counts": orjson.dumps(counts).decode(),
        }
        if message_id is not None:
            await telling.connection.execute(self._sql["add"], {**content, "id": message_id})
            return
        made = {**facts, **content, "instance": self._instance, "group_for": telling.wishes.group_for}
        await telling.connection.execute(self._sql["make"], made)
