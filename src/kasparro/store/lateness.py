"""Which sources are late: what it is told by, and what was found.

A lateness is known by the source, its last good run and its schedule, never by a moment: so each is found once, a clock
that was set back ends none, and the next good run ends it at once, before anybody looks.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from kasparro.errors import NotFound
from kasparro.judge.late import Past
from kasparro.model.finding import Finding, Severity
from kasparro.model.schedule import Schedule
from kasparro.scheduling.moments import check_known
from kasparro.store.database import Database
from kasparro.store.queries import queries

HABIT, USUAL = 121, 21
"""Good runs of a source that its habit is told from; and of one with a schedule, for its usual duration."""

_log = structlog.get_logger("kasparro.lateness")


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A lateness that was found.

    Attributes:
        after_run_id: The last good run by then.
        since: When the schedule was declared by then.
        given_up: Nobody waits any more.
    """

    severity: Severity
    after_run_id: int | None
    since: datetime | None
    given_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A source, its past and, where it was found late, that.

    Attributes:
        last_read_id: Its last good run.
        forgotten: Nobody waits for it until it runs again.
    """

    source: str
    past: Past
    last_read_id: int | None
    forgotten: bool
    open: Open | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateSource:
    """A source that is late now.

    Attributes:
        last_success_at: End of its last good run; None before the first.
        finding_id: The finding that says so.
    """

    source: str
    severity: Severity
    due_at: datetime
    found_at: datetime
    last_success_at: datetime | None
    finding_id: int
    message: str | None


class Lateness:
    """Keeps schedules, and sources that are late.

    Args:
        database: Where both are.
        now: The present; None is the database's clock.
    """

    def __init__(self, database: Database, now: datetime | None = None) -> None:
        self._database = database
        self._now = now
        self._sql = queries("lateness")

    async def declare(self, source: str, schedule: Schedule) -> None:
        """Write down when a source is to run, before it ever did."""
        async with self._database.connection() as connection:
            facts = {"source": source, "schedule": schedule.to_text()}
            await connection.execute(queries("runs")["schedule"], facts)

    @asynccontextmanager
    async def turn(self, *, wait: bool) -> AsyncIterator["Turn | None"]:
        """Look for late sources in one transaction; None where another process does so now, unless told to wait."""
        async with self._database.connection() as connection, connection.transaction():
            if wait:
                await connection.execute(self._sql["wait"])
            else:
                cursor = await connection.execute(self._sql["turn"])
                if not (await cursor.fetchall())[0][0]:
                    yield None
                    return
            cursor = await connection.execute(self._sql["clock"], {"now": self._now})
            yield Turn(connection, (await cursor.fetchall())[0][0])

    async def forget(self, source: str) -> None:
        """Wait for a source no more, until it runs again. Raises NotFound."""
        async with self.turn(wait=True) as turn:
            if turn is None:  # whoever waits gets one
                raise AssertionError
            await turn.forget(source)


class Turn:
    """What one process does while no other looks.

    Args:
        connection: In a transaction that holds the lock.
        now: The present, for all sources.
    """

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self.now = now
        self._sql = queries("lateness")

    async def sources(self) -> list[Watched]:
        """Return every source that ran or has a schedule."""
        return [_watched(row) for row in await self._rows("look", habit=HABIT, usual=USUAL)]

    async def found(self, one: Watched, finding: Finding, due: datetime) -> None:
        """Keep that a source is late."""
        facts = {"after_run_id": one.last_read_id, "since": one.past.since, "due_at": due, "now": self.now}
        await self._connection.execute(self._sql["found"], {**facts, "source": one.source, **_columns(finding)})

    async def worse(self, one: Watched, finding: Finding) -> None:
        """Keep that a late source is later than it was."""
        await self._connection.execute(self._sql["worse"], {"source": one.source, **_columns(finding)})

    async def over(self, one: Watched) -> None:
        """Keep that a source is late no more."""
        facts = {"source": one.source, "run_id": one.last_read_id, "now": self.now}
        await self._connection.execute(self._sql["over"], facts)

    async def give_up(self, one: Watched) -> None:
        """Keep that nobody waits any more."""
        await self._connection.execute(self._sql["give_up"], {"source": one.source, "now": self.now})

    async def forget(self, source: str) -> None:
        """Wait for a source no more, until it runs again. Raises NotFound."""
        if not await self._rows("forget", source=source):
            raise NotFound(f"There is no source {source!r}. List them with: kasparro late --all")
        await self._connection.execute(self._sql["over"], {"source": source, "run_id": None, "now": self.now})

    async def late(self) -> list[LateSource]:
        """Return the sources that are late."""
        return [LateSource(**row) for row in await self._rows("late")]

    async def _rows(self, name: str, **facts: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - parameters of a statement
        cursor = self._connection.cursor(row_factory=dict_row)
        await cursor.execute(self._sql[name], facts)
        return await cursor.fetchall()


def _watched(row: dict[str, Any]) -> Watched:
    found = row["severity"]
    return Watched(
        source=row["source"],
        past=Past(
            schedule=_schedule(row),
            since=row["since"],
            first_seen=row["first_seen"],
            last_success=row["last_success"],
            starts=tuple(row["starts"]),
            durations=tuple(row["durations"]),
        ),
        last_read_id=row["last_read_id"],
        forgotten=row["forgotten"],
        open=None
        if found is None
        else Open(
            severity=found,
            after_run_id=row["after_run_id"],
            since=row["late_since"],
            given_up=row["given_up_at"] is not None,
        ),
    )


def _schedule(row: dict[str, Any]) -> Schedule | None:
    if row["schedule"] is None:
        return None
    try:
        schedule = Schedule.from_json(row["schedule"])
        check_known(schedule)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        _log.warning("schedule cannot be read by this version", source=row["source"], reason=str(error))
        return None
    return schedule


def _columns(finding: Finding) -> dict[str, Any]:
    texts = {"expected": finding.expected, "observed": finding.observed, "facts": dict(finding.facts)}
    plain = {"kind": finding.kind, "severity": finding.severity, "subject": finding.subject, "message": finding.message}
    return {**plain, **{name: orjson.dumps(value).decode() for name, value in texts.items()}}
