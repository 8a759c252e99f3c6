"""Jobs that go back to the queue: from a worker that cannot end them now, or from one that is lost.

A job is known by the worker that took it and by how often it was begun. So whoever wakes up with a job that went back
meanwhile cannot end it for the one who has it now.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
import structlog
from psycopg import AsyncConnection, errors

from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.queue import TASK, Queue, brief

_AT_ONCE = 5
"""Workers that a job may lose before it waits: what takes its worker down does not take down one after the other."""

_FIRST_WAIT, _LONGEST_WAIT = 60.0, 960.0
"""Seconds that it waits then, twice as long each time."""

_log = structlog.get_logger("kasparro.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class InHand:
    """A job that a worker has taken.

    Attributes:
        worker: None where its worker is gone.
        attempts: How often it was begun and put back.
        lost: How many of its workers were lost.
    """

    id: int
    worker: int | None
    attempts: int
    lost: int = 0


async def put_back(
    connection: AsyncConnection,
    job: InHand,
    *,
    wait: float = 0.0,
    told: Mapping[str, int] | None = None,
    queue: Queue,
) -> bool:
    """Let a job wait again; False where it is no longer in that hand.

    Where another one of its source waits already, that one stands for both.

    Args:
        connection: In a transaction or not; it stays usable.
        job: Which.
        wait: Seconds before it is taken again.
        told: What is to be remembered of it: `tries` of `Queued`, `lost` of `InHand`.
        queue: Where it waits.
    """
    facts = {**asdict(job), "wait": wait, "args": orjson.dumps(told or {}).decode()}
    sql = queries("queue")
    try:
        async with connection.transaction():
            return (await connection.execute(sql["back"], facts)).rowcount > 0
    except errors.UniqueViolation:
        async with connection.transaction():
            ended = await connection.execute(sql["finish"], {**facts, "status": "aborted"})
            if ended.rowcount == 0:
                return False
            await queue.join(connection, job.id, wait)
            return True


async def recover(database: Database) -> None:
    """Put back what workers have in hand that are lost; each job once, however many workers look."""
    sql, queue = queries("queue"), Queue(database)
    async with database.connection() as connection, brief(connection):
        await connection.execute(sql["ahead"])
        lost = await (await connection.execute(sql["silent"])).fetchall()
        back = await put_back_orphans(connection, queue)
        await connection.execute(sql["unknown"])
    for _, name, host, pid in lost:
        _log.warning("a worker is lost: it was silent for longer than its lease", worker=name, host=host, pid=pid)
    for job in back:
        _log.warning("job of a lost worker waits again", job=job.id, lost=job.lost, wait=wait_of_lost(job.lost))


async def put_back_orphans(connection: AsyncConnection, queue: Queue) -> list[InHand]:
    """Put back what is in the hands of nobody, in the transaction of the caller; return it, this loss counted."""
    found = [replace(job, lost=job.lost + 1) for job in await _found(connection, "orphans", {"task": TASK})]
    return [
        job
        for job in found
        if await put_back(connection, job, wait=wait_of_lost(job.lost), told={"lost": job.lost}, queue=queue)
    ]


def wait_of_lost(lost: int) -> float:
    """Return the seconds that a job waits when so many of its workers were lost."""
    return 0.0 if lost <= _AT_ONCE else min(_FIRST_WAIT * 2.0 ** min(lost - _AT_ONCE - 1, 16), _LONGEST_WAIT)


async def recover_strays(database: Database, worker: int, held: list[int]) -> None:
    """Put back what a worker is said to have in hand and does not: the answer was lost with its connection."""
    queue = Queue(database)
    async with database.connection() as connection, brief(connection):
        for job in await _found(connection, "strays", {"worker": worker, "held": held}):
            if await put_back(connection, job, queue=queue):
                _log.warning("job that was taken when the database went away waits again", job=job.id)


async def forget(database: Database) -> None:
    """Delete jobs that have ended long ago."""
    async with database.connection() as connection:
        await connection.execute(queries("queue")["forget"], {"task": TASK})


async def _found(connection: AsyncConnection, statement: str, facts: dict[str, Any]) -> list[InHand]:
    cursor = await connection.execute(queries("queue")[statement], facts)
    rows = await cursor.fetchall()
    return [InHand(id=number, worker=worker, attempts=count, lost=lost) for number, worker, count, lost in rows]
