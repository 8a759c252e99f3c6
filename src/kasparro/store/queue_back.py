"""Jobs that go back to the queue: from a worker that cannot end them now, or from one that is lost.

A job is known by the worker that took it and by how often it was begun. So whoever wakes up with a job that went back
meanwhile cannot end it for the one who has it now.
"""

from dataclasses import asdict, dataclass
from typing import Any

import orjson
import structlog
from psycopg import AsyncConnection, errors

from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.queue import TASK, Queue, brief

_log = structlog.get_logger("kasparro.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class InHand:
    """A job that a worker has taken. `worker` is None where its worker is gone."""

    id: int
    worker: int | None
    attempts: int


async def put_back(
    connection: AsyncConnection, job: InHand, *, wait: float = 0.0, tries: int | None = None, queue: Queue
) -> bool:
    """Let a job wait again; False where it is no longer in that hand.

    Where another one of its source waits already, that one stands for both.

    Args:
        connection: In a transaction or not; it stays usable.
        job: Which.
        wait: Seconds before it is taken again.
        tries: How often its run has failed; None leaves that as it is.
        queue: Where it waits.
    """
    args = {} if tries is None else {"tries": tries}
    facts = {**asdict(job), "wait": wait, "args": orjson.dumps(args).decode()}
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
    for number in back:
        _log.warning("job of a lost worker waits again", job=number)


async def put_back_orphans(connection: AsyncConnection, queue: Queue) -> list[int]:
    """Put back what is in the hands of nobody, in the transaction of the caller; return the jobs."""
    found = await _found(connection, "orphans", {"task": TASK})
    return [job.id for job in found if await put_back(connection, job, queue=queue)]


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
    return [InHand(id=number, worker=worker, attempts=count) for number, worker, count in await cursor.fetchall()]
