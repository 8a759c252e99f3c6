"""Totals of what all processes on all hosts have counted and timed, and what `/metrics` tells.

What must be exact is counted by the transactions that do it, see `migrations/0008_metrics.sql`. The rest is gathered in
each process by a `Meter`, and added here every few seconds: one that is killed loses the last of them.
"""

import asyncio
import uuid
from collections.abc import Mapping

import orjson
from psycopg import AsyncConnection

from kasparro.model.metrics import MOST_HOSTS, MOST_SOURCES
from kasparro.observe.metrics import Meter, Readings, Series, Tally, added
from kasparro.store.queries import queries


class MetricWriter:
    """Adds what a meter has gathered to the totals, each batch exactly once, whatever becomes of the connection.

    Args:
        meter: What is emptied.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._writer = uuid.uuid4()
        self._batch = 0
        self._pending: Readings = {}
        self._since: Readings = {}
        self._turn = asyncio.Lock()
        self._sql = queries("metrics")

    async def write(self, connection: AsyncConnection) -> None:
        """Add what was gathered. What was not added, as this raised, the next call adds under the same number."""
        async with self._turn:
            while True:
                if not self._pending:
                    self._pending = self._meter.take()
                    self._batch += 1
                if not self._pending:
                    break
                facts = {"writer": self._writer, "batch": self._batch, "series": _json(self._pending)}
                await connection.execute(self._sql["add"], facts)
                self._since, self._pending = added([self._since, self._pending]), {}
            await connection.execute(self._sql["fold"])

    async def leave(self, connection: AsyncConnection) -> None:
        """Forget this writer, which has written its last batch."""
        await connection.execute(self._sql["leave"], {"writer": self._writer})

    def seen(self) -> None:
        """Note that the totals were read: from now on, what was added so far is part of them."""
        self._since = {}

    def unseen(self) -> Readings:
        """Return what was gathered, added or not, and is not in the totals that were read last."""
        return added([self._since, self._pending, self._meter.look()])


async def read_metrics(connection: AsyncConnection) -> Readings:
    """Return all series as they are now. Costs the same for any length of history."""
    cursor = await connection.execute(queries("metrics")["read"], {"most": MOST_SOURCES, "most_hosts": MOST_HOSTS})
    (text,) = await cursor.fetchone() or ("[]",)
    found: dict[Series, Tally] = {}
    for name, labels, bounds, value, counts in orjson.loads(text):
        series, tally = Series(name, tuple(labels), bounds), Tally(value, tuple(counts or ()))
        known = found.get(series)
        found[series] = tally if known is None else known + tally
    return found


def _json(readings: Mapping[Series, Tally]) -> str:
    rows = [
        {
            "name": series.name,
            "labels": series.labels,
            "bounds": series.bounds,
            "value": tally.value,
            "counts": tally.counts or None,
        }
        for series, tally in readings.items()
    ]
    return orjson.dumps(rows).decode()
