"""The queue of runs: what waits to be run by a worker, on any host. Its tables are those of procrastinate.

Of each source one run waits at most, and one is under way at most. To queue and to look needs no part of procrastinate
but its tables, so it is not loaded here; `queue_worker` does that, for those who take runs from the queue.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import orjson
from psycopg import AsyncConnection

from kasparro.errors import Conflict, NotFound
from kasparro.store.database import Database
from kasparro.store.queries import queries

TASK = "kasparro.run"
"""Name of the only kind of job."""

MOST = 1000
"""Jobs that are listed, unless asked otherwise."""

_LONGEST = 63 - len("procrastinate_queue_v1#")
"""Bytes of a queue's name: with that before it, it names a channel of NOTIFY."""

Trigger = Literal["run", "full_refresh"]
"""What kind of run: what is new, or everything anew."""

By = Literal["schedule", "api", "cli", "resume"]
"""Who asked for it; `resume`: a parked run whose time has come."""

State = Literal["waiting", "running", "done", "failed", "dropped"]
"""`done`: it was run, well or not, which the record of the run tells; `failed`: it could not be run at all, by its
declaration; `dropped`: it was cancelled, or another one that waits stands for it."""

STATES: Mapping[str, State] = MappingProxyType(
    {
        "todo": "waiting",
        "doing": "running",
        "succeeded": "done",
        "failed": "failed",
        "cancelled": "dropped",
        "aborting": "dropped",
        "aborted": "dropped",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A run that waits, is under way, or was.

    Attributes:
        at: When it may begin; None: at once.
        new: It was not there before it was put.
        due: The moment of the schedule that it is for.
        accept: However many rows a full refresh removes.
        attempts: How often it was begun and put back.
        tries: How often its run has failed for a reason that may pass.
    """

    id: int
    source: str
    status: State
    at: datetime | None
    new: bool
    trigger: Trigger
    by: By
    due: datetime | None
    accept: bool
    attempts: int
    tries: int


class Queue:
    """Puts runs into the queue and looks at it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("queue")

    async def put(  # noqa: PLR0913 - what is known of a job
        self,
        connection: AsyncConnection | None,
        *,
        source: str,
        by: By,
        trigger: Trigger = "run",
        at: datetime | None = None,
        due: datetime | None = None,
        accept: bool = False,
    ) -> Queued:
        """Queue a run of a source, or return the one that waits already.

        That one then runs as early, and reads as much, as either asked for; who asked first stays in its record.

        Args:
            connection: Its transaction is used, so that the run is queued together with what else is written there.
            source: Name of the source; nobody asks here whether a worker knows it.
            by: Who asks.
            trigger: What kind of run.
            at: When it may begin; None: at once.
            due: The moment of the schedule that it is for.
            accept: However many rows a full refresh removes.
        """
        args = {"source": source, "trigger": trigger, "by": by, "due": None if due is None else due.isoformat()}
        facts = {
            "queue": queue_of(source),
            "task": TASK,
            "lock": lock_of(source),
            "args": orjson.dumps({**args, "accept": accept}).decode(),
            "at": at,
        }
        async with self._connected(connection) as lent:
            cursor = await lent.execute(self._sql["put"], facts)
            (row,) = await cursor.fetchall()
        return _queued(row)

    async def join(self, connection: AsyncConnection, number: int, wait: float) -> None:
        """Let the job of its source that waits stand for another one, too, which was to wait for so many seconds."""
        cursor = await connection.execute(self._sql["joining"], {"id": number, "wait": wait})
        for *row, at in await cursor.fetchall():
            one = _queued(row)
            await self.put(
                connection,
                source=one.source,
                by=one.by,
                trigger=one.trigger,
                at=at,
                due=one.due,
                accept=one.accept,
            )

    async def waiting(self, most: int = MOST) -> list[Queued]:
        """Return what waits, in the order in which it is taken."""
        return await self._listed("waiting", {"most": most})

    async def running(self, most: int = MOST) -> list[Queued]:
        """Return what workers have in hand."""
        return await self._listed("running", {"most": most})

    async def get(self, number: int) -> Queued | None:
        """Return one job; None where there is none. What has ended is forgotten after a day."""
        found = await self._listed("get", {"id": number})
        return found[0] if found else None

    async def cancel(self, number: int) -> Queued:
        """Take a run that waits out of the queue, and return it.

        Raises:
            NotFound: there is no such job.
            Conflict: it waits no more.
        """
        found = await self._listed("cancel", {"id": number})
        if found:
            return found[0]
        one = await self.get(number)
        if one is None:
            raise NotFound(f"There is no job {number}. List them with: kasparro queue")
        why = "is under way: a run ends with its worker" if one.status == "running" else f"is {one.status} already"
        raise Conflict(f"Job {number} of {one.source} {why}. Only what waits can be cancelled")

    async def _listed(self, statement: str, facts: Mapping[str, Any]) -> list[Queued]:
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql[statement], {**facts, "task": TASK})
            return [_queued(row) for row in await cursor.fetchall()]

    @asynccontextmanager
    async def _connected(self, given: AsyncConnection | None) -> AsyncIterator[AsyncConnection]:
        if given is not None:
            yield given
            return
        async with self._database.connection() as lent:
            yield lent


@asynccontextmanager
async def brief(connection: AsyncConnection) -> AsyncIterator[None]:
    """Open a transaction that a process which is frozen in the middle of it does not keep open: the server ends it."""
    async with connection.transaction():
        await connection.execute(queries("queue")["bounds"])
        yield


def queue_of(source: str) -> str:
    """Return the queue of a source: its name, shortened with a digest where no channel could be named by it."""
    if len(source.encode()) <= _LONGEST:
        return source
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    start = source.encode()[: _LONGEST - len(digest) - 1].decode(errors="ignore")
    return f"{start}#{digest}"


def lock_of(source: str) -> str:
    """Return the name under which one run of a source waits, and one is under way, at most."""
    return f"{TASK}.{source}"


def queued_of(number: int, args: Mapping[str, Any], attempts: int) -> Queued:
    """Return a job that was taken, from its arguments."""
    return _queued((number, args, "doing", None, attempts, False))


def _queued(row: Sequence[Any]) -> Queued:
    number, args, status, at, attempts, new = row
    due = args.get("due")
    return Queued(
        id=number,
        source=args["source"],
        status=STATES[status],
        at=at,
        new=new,
        trigger=args["trigger"],
        by=args["by"],
        due=None if due is None else datetime.fromisoformat(due),
        accept=args.get("accept", False),
        attempts=attempts,
        tries=args.get("tries", 0),
    )
