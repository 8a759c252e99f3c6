"""Weighs what happened against what a channel wishes and was told already."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from kasparro.model.finding import Severity
from kasparro.model.notification import MOST_ITEMS, Item, What, Wishes
from kasparro.store.queries import queries

_USUAL = frozenset({"run", "full_refresh"})
"""Triggers of runs that read the source; the others say nothing of how it is."""

_OF_FINDING = ("kind", "severity", "subject", "message", "expected", "observed", "again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the outbox."""

    what: str
    source: str
    run_id: int | None
    first_id: int | None
    last_id: int | None
    code: str | None
    error: str | None
    happened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What an event comes to on a channel: things to tell in words, and how many there are by `COUNTED`."""

    items: Sequence[Item] = ()
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Telling:
    """One transaction in which a channel is told what happened."""

    connection: AsyncConnection
    channel: str
    wishes: Wishes
    now: datetime

    async def news(self, event: Event) -> News:
        """Return what is to be told of an event, and note it as told."""
        match event.what:
            case "findings":
                return await self._findings(event)
            case "failure" if self.wishes.failures:
                return await self._failure(event)
            case "recovery" if self.wishes.recoveries:
                return await self._recovery(event)
            case _:
                return News(counts={})

    async def _findings(self, event: Event) -> News:
        wanted = {
            "severities": list(self.wishes.severities),
            "kinds": list(self.wishes.kinds) or None,
            "first_id": event.first_id,
            "last_id": event.last_id,
            "most": MOST_ITEMS,
        }
        rows = await self._rows("found", event, **wanted)
        if not rows:
            return News(counts={})
        items = [
            Item(
                what="finding",
                source=event.source,
                run_id=event.run_id,
                happened_at=row.pop("created_at").isoformat(),
                look=_look(event),
                **{name: row[name] for name in _OF_FINDING},
            )
            for row in rows
        ]
        return News(items=items, counts={name: rows[0][name] for name in ("critical", "warning", "info")})

    async def _failure(self, event: Event) -> News:
        run = await self._run(event)
        code = str(run["error_code"] or run["status"])
        subject = code if run["trigger"] in _USUAL else f"{run['trigger']}: {code}"
        severity: Severity = "critical" if run["status"] in {"failed", "refused"} else "warning"
        kind = f"run_{run['status']}"
        thing = hashlib.md5(f"{kind}\x1f{subject}".encode(), usedforsecurity=False).digest()
        (row,) = await self._rows("failed", event, severity=severity, thing=thing)
        if not row["is_news"]:
            return News(counts={})
        item = _of_run(event, "failure", run["error"] or f"The run ended as {run['status']}.")
        item = replace(item, kind=kind, severity=severity, subject=subject, again=row["again"])
        return News(items=[item], counts={"failures": 1})

    async def _recovery(self, event: Event) -> News:
        (row,) = await self._rows("over", event)
        since: datetime | None = row["min"]
        if since is None:
            return News(counts={})  # the channel was not told that it failed
        said = f"Run {event.run_id} ended well. Runs had failed since {since:%Y-%m-%d %H:%M:%S} UTC."
        return News(items=[_of_run(event, "recovery", said)], counts={"recoveries": 1})

    async def _run(self, event: Event) -> dict[str, Any]:
        """Return how the run ended that an event is about."""
        if event.run_id is None:
            return {"status": "refused", "trigger": "run", "error_code": event.code, "error": event.error}
        (row,) = await self._rows("ended", event)
        return row

    async def _rows(self, name: str, event: Event, **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - parameters
        facts = {
            "channel": self.channel,
            "now": self.now,
            "every": self.wishes.repeat_every,
            "source": event.source,
            "run_id": event.run_id,
            "happened_at": event.happened_at,
        }
        cursor = self.connection.cursor(row_factory=dict_row)
        await cursor.execute(queries("outbox")[name], {**facts, **more})
        return await cursor.fetchall()


def _of_run(event: Event, what: What, message: str) -> Item:
    """Return what is said of a run."""
    return Item(
        what=what,
        source=event.source,
        run_id=event.run_id,
        kind="recovered",
        severity="info",
        subject="run",
        message=message,
        happened_at=event.happened_at.isoformat(),
        look=f"kasparro runs list {event.source}" if event.run_id is None else f"kasparro runs show {event.run_id}",
    )


def _look(event: Event) -> str:
    return f"kasparro findings {event.source}" if event.run_id is None else f"kasparro findings --run {event.run_id}"


async def moment(connection: AsyncConnection, now: datetime | None) -> datetime:
    """Return the moment that a transaction goes by: the one that is given, or that of the database's clock."""
    cursor = await connection.execute(queries("outbox")["clock"], {"now": now})
    found: datetime = (await cursor.fetchall())[0][0]
    return found
