"""What a worker of procrastinate asks of the database, as we ask it: fenced, and patient while the database is away.

Procrastinate's own statements end a job for whoever has its number. Ours do only for the worker that took it, and only
if it was not put back since. None of them raises for a database that is away, as its worker would end with that.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, assert_never

import structlog
from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg import errors
from psycopg.rows import dict_row

from kasparro.errors import KasparroError, StoreBusy
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.queue import Queue, brief
from kasparro.store.queue_back import InHand, forget, put_back, put_back_orphans, recover, recover_strays
from kasparro.store.workers import Identity

_FORGETS = 3600.0
"""Seconds between two times that old jobs are deleted."""

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0
"""Seconds between two attempts to say that a job has ended, while the database is away."""

_STOPPING = 10.0
"""Seconds that a worker which stops waits for a database that is away. Others find later what it had in hand."""

_GIVING_UP = 3.0
"""Seconds in which a worker that ends at once puts back what it has in hand."""

_log = structlog.get_logger("kasparro.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A job that waits again: for `wait` seconds at least, and with `tries` failures in its record."""

    wait: float = 0.0
    tries: int | None = None


Ended = Literal["done", "failed"] | Again
"""How a job has ended: it was run, well or not; it could not be run at all; or it is to wait again."""


class Hands(JobManager):
    """The jobs that one worker has in hand.

    Args:
        connector: For what procrastinate asks by itself.
        database: Where the queue is.
        identity: What the worker says of itself.
        stop: Set when it is to end.
    """

    def __init__(self, connector: BaseConnector, database: Database, identity: Identity, stop: asyncio.Event) -> None:
        super().__init__(connector)
        self.ends: dict[int, Ended | None] = {}
        self._database = database
        self._identity = identity
        self._stop = stop
        self._sql = queries("queue")
        self._fetching = asyncio.Lock()
        self._away = False
        self._forgot = 0.0
        self._number: int | None = None
        self._given_up = False

    async def register_worker(self) -> int:
        """Become known; return the number that the worker is known by. Raises KasparroError."""
        async with self._database.connection() as connection:
            (row,) = await (await connection.execute(self._sql["number"])).fetchall()
        number = int(row[0])
        await self._beat(number)
        self._number = number
        return number

    async def give_up(self) -> None:
        """Put back at once what is in hand, and be known no more. Nothing is recorded of it afterwards.

        Where the whole process ends, the pool may be gone before the jobs are: so this has a connection of its own.
        """
        self._given_up = True
        if self._number is None:
            return
        try:
            async with asyncio.timeout(_GIVING_UP), self._database.own_connection() as connection:
                await connection.execute(self._sql["leave"], {"worker": self._number})
                async with brief(connection):
                    await put_back_orphans(connection, Queue(self._database))
        except (KasparroError, TimeoutError) as error:
            _log.warning("others have to find what was in hand", reason=str(error) or "the database hangs")

    async def unregister_worker(self, worker_id: int) -> None:
        """Be known no more."""
        self._number = None
        if self._given_up:
            return
        try:
            async with self._database.connection() as connection:
                await connection.execute(self._sql["leave"], {"worker": worker_id})
        except KasparroError as error:
            self._is_away(error)

    async def keep_beating(self) -> None:
        """Say every quarter of the lease that the worker is alive, from when it is known to when it leaves."""
        while True:
            await asyncio.sleep(self._identity.lease / 4)
            if self._number is not None and not self._given_up:
                await self.update_heartbeat(self._number)

    async def update_heartbeat(self, worker_id: int) -> None:
        """Say that the worker is alive, and look after jobs that nobody has in hand."""
        try:
            await self._beat(worker_id)
            await recover(self._database)
            async with self._fetching:
                await recover_strays(self._database, worker_id, list(self.ends))
            await self._forget()
        except KasparroError as error:
            self._is_away(error)
        except Exception:  # noqa: BLE001 - a bug here must not silence a worker that works
            _log.exception("unforeseen error")
        else:
            self._is_back()

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:  # noqa: ARG002 - by their lease
        """Look after jobs of lost workers, at the start. Raises KasparroError."""
        await recover(self._database)
        return []

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:  # noqa: ARG002 - of any
        """Return none: a run is ended by ending its process."""
        return ()

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Take the next job; None where there is none, and where the database is away."""
        facts = {"queues": None if queues is None else list(queues), "worker": worker_id}
        async with self._fetching:
            try:
                async with (
                    self._database.connection() as connection,
                    connection.cursor(row_factory=dict_row) as cursor,
                ):
                    await cursor.execute(self._sql["fetch"], facts)
                    row = await cursor.fetchone()
            except KasparroError as error:
                await self._unfetched(error, worker_id)
                return None
            self._is_back()
            if row is None:
                return None
            job = Job.from_row(row)
            self.ends[row["id"]] = None
            return job

    async def _unfetched(self, error: KasparroError, worker_id: int) -> None:
        """Explain why nothing could be taken. A worker that was given up as lost makes itself known again."""
        if not isinstance(error.__cause__, errors.ForeignKeyViolation):
            self._is_away(error)
            return
        _log.warning("this worker was silent for longer than its lease; what it had in hand others may have now")
        try:
            await self._beat(worker_id)
        except KasparroError as away:
            self._is_away(away)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:  # noqa: ARG002, FBT001 - as it is called
        """Write down how a job has ended, however long that takes, unless the worker is to end."""
        number = _number(job)
        if self._given_up:
            return
        try:
            await self._recorded(InHand(id=number, worker=job.worker_id, attempts=job.attempts))
        except KasparroError as error:
            _log.error("how a job has ended is not recorded", job=number, reason=str(error))
        finally:
            self.ends.pop(number, None)

    async def _recorded(self, job: InHand) -> None:
        """Write it down, and try that again while the database is away. Raises KasparroError."""
        wait, until = _FIRST_WAIT, None
        while True:
            try:
                await self._end(job, self.ends.get(job.id))
            except StoreBusy as error:
                self._is_away(error)
                now = asyncio.get_running_loop().time()
                if self._stop.is_set():
                    until = now + _STOPPING if until is None else until
                    if now > until:
                        raise
            else:
                self._is_back()
                return
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,  # noqa: ARG002 - what waits is put back by `finish_job`
        priority: int | None = None,  # noqa: ARG002 - same
        queue: str | None = None,  # noqa: ARG002 - same
        lock: str | None = None,  # noqa: ARG002 - same
    ) -> None:
        """Do as `finish_job`; no task of ours asks for this."""
        await self.finish_job(job, Status.FAILED, delete_job=False)

    async def _end(self, job: InHand, ended: Ended | None) -> None:
        if not await self._ended(job, Again() if ended is None else ended):  # None: it was cut off in the middle
            _log.warning("job is in other hands since, and is left to them", job=job.id)

    async def _ended(self, job: InHand, ended: Ended) -> bool:
        """Write it down; False where the job is in other hands."""
        async with self._database.connection() as connection:
            match ended:
                case "done" | "failed":
                    facts = {**asdict(job), "status": "succeeded" if ended == "done" else "failed"}
                    return (await connection.execute(self._sql["finish"], facts)).rowcount > 0
                case Again():
                    queue = Queue(self._database)
                    told = None if ended.tries is None else {"tries": ended.tries}
                    return await put_back(connection, job, wait=ended.wait, told=told, queue=queue)
                case _:
                    assert_never(ended)

    async def _beat(self, number: int) -> None:
        one = self._identity
        facts: dict[str, Any] = {**asdict(one), "worker": number, "host": one.host, "pid": one.pid}
        async with self._database.connection() as connection:
            await connection.execute(self._sql["beat"], {**facts, "sources": list(one.sources)})

    async def _forget(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._forgot + _FORGETS or self._forgot == 0.0:
            self._forgot = now
            await forget(self._database)

    def _is_away(self, error: KasparroError) -> None:
        """Say once that the database is away."""
        if not self._away:
            _log.warning("the queue cannot be reached; what is in hand goes on", reason=str(error))
        self._away = True

    def _is_back(self) -> None:
        if self._away:
            _log.info("the queue is reached again")
        self._away = False


def _number(job: Job) -> int:
    if job.id is None:
        raise TypeError("a job that was taken has a number")
    return job.id
