"""Runs that are asked for: put into the queue, and shown while they are in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from kasparro.errors import NotFound
from kasparro.store.database import Database
from kasparro.store.lanes import undecided, waiting_run
from kasparro.store.queries import queries
from kasparro.store.queue import STATES, TASK, By, Queue, Queued, State, Trigger, brief
from kasparro.store.workers import knowing


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that was asked for, and how many workers that live take runs of its source."""

    queued: Queued
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run in the queue.

    Attributes:
        at: When it may begin; None: at once.
        trigger: What kind of run.
        requested_by: Who asked for it.
        due_at: The moment of the schedule that it is for.
        attempts: How often it was begun and put back.
        worker: Who has it in hand.
        run_id: The latest run that it came to.
    """

    id: int
    source: str
    status: State
    at: datetime | None
    trigger: Trigger
    requested_by: str
    due_at: datetime | None
    attempts: int
    worker: str | None
    run_id: int | None


class Requests:
    """Asks for runs, and looks at the queue for whoever has asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue = Queue(database)
        self._sql = queries("requests")

    async def ask(self, source: str, by: By, *, full_refresh: bool = False) -> Asked:
        """Queue a run of a source; where one waits already, it is that one.

        Raises:
            NotFound: nobody has ever run the source, and no worker declares it.
            Conflict: rows of an earlier run are held, so that no run could begin.
        """
        async with self._database.connection() as connection, brief(connection):
            workers = await self._workers(connection, source)
            held = await waiting_run(connection, source)
            if held is not None:
                raise undecided(source, held)
            trigger: Trigger = "full_refresh" if full_refresh else "run"
            queued = await self._queue.put(connection, source=source, by=by, trigger=trigger)
        return Asked(queued=queued, workers=workers)

    async def listed(self, limit: int) -> tuple[list[Entry], bool]:
        """Return what is under way and what waits, at most so many, and whether there is more."""
        found = await self._entries("listed", limit=limit)
        return found[:limit], len(found) > limit

    async def one(self, number: int) -> Entry:
        """Return one. Raises NotFound, also a day after it has ended."""
        found = await self._entries("one", id=number)
        if not found:
            raise NotFound(
                f"There is no job {number} in the queue. What has ended is forgotten after a day; see /runs."
            )
        return found[0]

    async def cancel(self, number: int) -> Entry:
        """Take a run that waits out of the queue, and return it.

        Raises:
            NotFound: as of `one`.
            Conflict: it waits no more.
        """
        await self.one(number)
        await self._queue.cancel(number)
        return await self.one(number)

    async def _workers(self, connection: AsyncConnection, source: str) -> int:
        workers = await knowing(connection, source)
        cursor = await connection.execute(self._sql["known"], {"source": source})
        if workers == 0 and not (await cursor.fetchall())[0][0]:
            raise NotFound(
                f"There is no source {source!r}: it never ran, has no schedule, and no worker declares it. Declare it "
                "in kasparro.yaml, and start a worker with that."
            )
        return workers

    async def _entries(self, name: str, **facts: Any) -> list[Entry]:  # noqa: ANN401 - parameters of a statement
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(self._sql[name], {**facts, "task": TASK})
            return [_entry(row) for row in await cursor.fetchall()]


def _entry(row: dict[str, Any]) -> Entry:
    args = row["args"]
    due = args.get("due")
    return Entry(
        id=row["id"],
        source=args["source"],
        status=STATES[row["status"]],
        at=row["scheduled_at"],
        trigger=args["trigger"],
        requested_by=args["by"],
        due_at=None if due is None else datetime.fromisoformat(due),
        attempts=row["attempts"],
        worker=row["worker"],
        run_id=row["run_id"],
    )
