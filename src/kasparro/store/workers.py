"""Workers: what is known of each, and whether it is alive."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection

from kasparro.store.database import Database
from kasparro.store.queries import queries

MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a worker says of itself.

    Attributes:
        config_hash: Tells its configuration from others.
        sources: Those that its configuration declares; it takes runs of no other.
        concurrency: Runs that it has in hand at the same time, at most.
        lease: Seconds for which it may be silent before what it has in hand is given to others.
    """

    name: str
    version: str
    config_hash: str
    sources: tuple[str, ...]
    concurrency: int
    lease: float

    @property
    def host(self) -> str:
        """Where it is."""
        return socket.gethostname()

    @property
    def pid(self) -> int:
        """Its process."""
        return os.getpid()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorker:
    """A worker as the database knows it. `alive`: it said so within its lease, by the clock of the database."""

    id: int
    name: str
    host: str
    pid: int
    version: str
    config_hash: str
    sources: Sequence[str]
    concurrency: int
    started_at: datetime
    heartbeat_at: datetime
    alive: bool


class Workers:
    """Looks at the workers of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("queue")

    async def listed(self, most: int = MOST) -> list[KnownWorker]:
        """Return the workers, by name. One that was killed is there until another worker finds it lost."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["workers"], {"most": most})
            names = [column.name for column in cursor.description or ()]
            return [KnownWorker(**dict(zip(names, row, strict=True))) for row in await cursor.fetchall()]

    async def knowing(self, source: str) -> int:
        """Return how many workers are alive whose configuration declares a source."""
        async with self._database.connection() as connection:
            return await knowing(connection, source)


async def knowing(connection: AsyncConnection, source: str) -> int:
    """Return how many workers are alive whose configuration declares a source, as the caller's transaction sees it."""
    cursor = await connection.execute(queries("queue")["knowing"], {"source": source})
    (row,) = await cursor.fetchall()
    return int(row[0])
