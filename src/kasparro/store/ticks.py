"""Sees to due moments in the database: each exactly once, however many processes look at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg.rows import dict_row

from kasparro.model.run import RunStatus
from kasparro.scheduling.ticks import Tick
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.queue import Queue, brief, lock_of

AGAIN = timedelta(minutes=10)
"""A parked run that was queued, and did not begin, is queued again after so long."""

Was = Literal["queued", "joined", "passed", "healed", "resumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How it stands with the schedule of a source.

    Attributes:
        schedule: As JSON, as it was declared last; None where it was not, or was forgotten by hand.
        since: When that was.
        declared: Somebody has declared or forgotten it.
        last_due: Every due moment up to it was seen to.
        run_id: The latest run; with its status and, where it is parked, when it goes on.
        now: The present.
    """

    source: str
    schedule: str | None
    since: datetime | None
    declared: bool
    last_due: datetime | None
    run_id: int | None
    status: RunStatus | None
    resume_at: datetime | None
    now: datetime

    @property
    def is_parked(self) -> bool:
        """Tell whether the source waits for a moment at which it goes on."""
        return self.resume_at is not None and self.resume_at > self.now

    @property
    def is_to_resume(self) -> bool:
        """Tell whether that moment has come."""
        return self.resume_at is not None and self.resume_at <= self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a source that was due.

    Attributes:
        was: `queued`: a run was. `joined`: the run that waits already, or is parked, stands for this moment, too.
            `passed`: nothing ran sources then, and nothing makes up for it. `healed`: the clock had been wrong.
            `resumed`: a parked run goes on.
        due: The moment; None where it was none of a schedule.
        job_id: What was queued, or waited.
        missed: Moments that passed while nobody looked.
    """

    source: str
    was: Was
    due: datetime | None = None
    job_id: int | None = None
    missed: int = 0


class Ticks:
    """Looks at schedules, and queues what is due.

    Args:
        database: Where schedules and the queue are.
        now: The present; None is the database's clock.
    """

    def __init__(self, database: Database, now: datetime | None = None) -> None:
        self._database = database
        self._queue = Queue(database)
        self._now = now
        self._sql = queries("ticks")

    async def undeclare(self, sources: Sequence[str]) -> None:
        """Forget the schedules of sources that are declared without one now."""
        async with self._database.connection() as connection:
            await connection.execute(self._sql["undeclare"], {"sources": list(sources)})

    async def look(self, sources: Sequence[str]) -> list[Standing]:
        """Return how it stands with some sources, all at the same moment."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(self._sql["look"], {"sources": list(sources), "now": self._now})
            return [Standing(**row) for row in await cursor.fetchall()]

    async def never_read(self, sources: Sequence[str]) -> frozenset[str]:
        """Return those of some sources that have never been read to their end."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["never_read"], {"sources": list(sources)})
            return frozenset(row[0] for row in await cursor.fetchall())

    async def see_to(self, one: Standing, tick: Tick) -> Seen | None:
        """Do what is due, in one transaction; None where another process has done so already."""
        was: Was = "healed" if tick.healed else "passed"
        facts = {"source": one.source, "last_due": one.last_due, "seen_to": tick.seen_to, "missed": tick.missed}
        async with self._database.connection() as connection, brief(connection):
            cursor = await connection.execute(self._sql["move"], {**facts, "was": was})
            if await cursor.fetchone() is None:
                return None
            if tick.due is None:
                return Seen(source=one.source, was=was, missed=tick.missed)
            job_id: int | None = None
            if one.is_parked:
                was = "joined"
            else:
                queued = await self._queue.put(
                    connection, source=one.source, by="schedule", at=_later(tick.at, one.now), due=tick.due
                )
                was, job_id = "queued" if queued.new else "joined", queued.id
            await connection.execute(self._sql["note"], {"source": one.source, "was": was, "job_id": job_id})
        return Seen(source=one.source, was=was, due=tick.due, job_id=job_id, missed=tick.missed)

    async def resume(self, one: Standing) -> Seen | None:
        """Queue a parked run whose moment has come; None where another process has done so already."""
        facts = {
            "source": one.source,
            "run_id": one.run_id,
            "now": one.now,
            "again": AGAIN,
            "lock": lock_of(one.source),
        }
        async with self._database.connection() as connection, brief(connection):
            cursor = await connection.execute(self._sql["resume"], facts)
            if await cursor.fetchone() is None:
                return None
            queued = await self._queue.put(connection, source=one.source, by="resume")
        return Seen(source=one.source, was="resumed", job_id=queued.id)

    async def schedules(self) -> list[dict[str, Any]]:
        """Return what was seen to of every schedule."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(self._sql["schedules"])
            return await cursor.fetchall()


def _later(at: datetime | None, now: datetime) -> datetime | None:
    """Return when a run begins, where that is later than now."""
    return None if at is None or at <= now else at
