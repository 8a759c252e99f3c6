"""What was seen of runs, what is odd about them, and the schemas that were accepted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from kasparro.errors import NotFound
from kasparro.model.facts import RunFacts
from kasparro.model.finding import Finding, verdict_of
from kasparro.model.profile import Profile
from kasparro.model.schema import Schema
from kasparro.store.browse_runs import listed
from kasparro.store.database import Database
from kasparro.store.lanes import hold
from kasparro.store.queries import queries

HISTORY = 120
"""Earlier runs that a run is compared with at most, and runs whose profiles are kept."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a run is judged by.

    Attributes:
        profile: Of its records, and those of the runs that it went on with.
        schema: The accepted one, and its version; None before the first.
        history: Of earlier runs, oldest first.
        started_at: When the pass began.
        due_at: When it was due by the schedule of the source; None where it was not asked for by that.
        seconds: So long ago.
    """

    source: str
    profile: Profile
    schema: Schema | None
    version: int | None
    history: tuple[RunFacts, ...]
    started_at: Any
    seconds: float
    rejected: int
    bytes_read: int
    pages: int
    due_at: datetime | None = None


class Watch:
    """Keeps profiles, schemas and findings."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("watch")

    async def seen(self, run_id: int) -> Seen:
        """Return what there is to judge a run by."""
        async with self._database.connection() as connection:
            profile = await self._whole(connection, run_id)
            cursor = await connection.execute(self._sql["pass"], {"run_id": run_id})
            source, started_at, seconds, rejected, read, pages, due_at = (await cursor.fetchall())[0]
            cursor = await connection.execute(self._sql["schema"], {"source": source})
            version, fields = await cursor.fetchone() or (None, None)
            facts = {"source": source, "run_id": run_id, "limit": HISTORY}
            cursor = await connection.execute(self._sql["history"], facts)
            history = tuple(RunFacts.from_json(row[0]) for row in reversed(await cursor.fetchall()))
        return Seen(
            source=source,
            profile=profile,
            schema=None if fields is None else Schema.from_json(fields),
            version=version,
            history=history,
            started_at=started_at,
            seconds=seconds,
            rejected=rejected,
            bytes_read=read,
            pages=pages,
            due_at=due_at,
        )

    async def judged(  # noqa: PLR0913 - all that came of it
        self,
        run_id: int,
        seen: Seen,
        facts: RunFacts,
        findings: Sequence[Finding],
        accepted: Schema | None,
        *,
        held: bool = False,
    ) -> None:
        """Keep what came of it, all at once.

        Args:
            run_id: The run.
            seen: What it was judged by.
            facts: What later runs are compared with.
            findings: What is odd.
            accepted: Another version of the schema.
            held: Its rows wait for a decision, and so does that version.

        Raises:
            Stopped: its rows were to wait, and a later run has the source.
        """
        async with self._database.connection() as connection, connection.transaction():
            version = seen.version
            if held:
                await hold(connection, seen.source, run_id, None if accepted is None else accepted.to_json())
            elif accepted is not None:
                version = await self._accept(connection, seen.source, run_id, accepted, "evolve")
            await connection.execute(
                self._sql["found"], {"source": seen.source, "run_id": run_id, **_columns(findings)}
            )
            judged = {
                "run_id": run_id,
                "verdict": verdict_of(list(findings)),
                "version": version,
                "run_facts": orjson.dumps(facts.to_json()).decode(),
            }
            await connection.execute(self._sql["judged"], judged)
            profile = orjson.dumps(seen.profile.to_json()).decode()
            await connection.execute(self._sql["whole"], {"run_id": run_id, "profile": profile})
            await connection.execute(self._sql["forget"], {"source": seen.source, "run_id": run_id, "keep": HISTORY})

    async def found(self, source: str, run_id: int, findings: Sequence[Finding]) -> None:
        """Keep findings about a run that is not judged."""
        async with self._database.connection() as connection:
            await connection.execute(self._sql["found"], {"source": source, "run_id": run_id, **_columns(findings)})

    async def profile(self, run_id: int) -> Profile | None:
        """Return the profile of a run; None when it is not kept."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["profile"], {"run_id": run_id})
            rows = await cursor.fetchall()
        return Profile.from_json(rows[0][0]) if rows else None

    async def schema(self, source: str, version: int | None = None) -> dict[str, Any]:
        """Return a version of the schema of a source, the accepted one by default. Raises NotFound."""
        rows = await self._rows("version", source=source, version=version)
        if not rows:
            which = "" if version is None else f" version {version} of"
            raise NotFound(f"There is no{which} accepted schema of {source}. It is made by its first run.")
        return {**rows[0], "fields": Schema.from_json(rows[0]["fields"])}

    async def versions(self, source: str) -> Rows:
        """Return all versions, newest first."""
        return await self._rows("versions", source=source)

    async def findings(  # noqa: PLR0913 - as many as there are filters
        self,
        *,
        source: str | None = None,
        run_id: int | None = None,
        severity: str | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 20,
    ) -> Rows:
        """Return findings, newest first. `before`: only those with a smaller id."""
        wanted = {"source": source, "run_id": run_id, "severity": severity, "kind": kind, "before": before}
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            statement = sql.SQL(self._sql["findings"]).format(**listed(wanted))
            await cursor.execute(statement, {**wanted, "limit": limit})
            return await cursor.fetchall()

    async def _whole(self, connection: AsyncConnection, run_id: int) -> Profile:
        profile = Profile()
        cursor = await connection.execute(self._sql["parts"], {"run_id": run_id})
        async for (part,) in cursor:
            profile |= Profile.from_json(part)
        return profile

    async def _accept(self, connection: AsyncConnection, source: str, run_id: int, schema: Schema, who: str) -> int:
        fields = orjson.dumps(schema.to_json()).decode()
        facts = {"source": source, "run_id": run_id, "fields": fields, "who": who}
        cursor = await connection.execute(self._sql["accept"], facts)
        return int((await cursor.fetchall())[0][0])

    async def _rows(self, name: str, **facts: Any) -> Rows:  # noqa: ANN401 - parameters of a statement
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(self._sql[name], facts)
            return await cursor.fetchall()


def _columns(findings: Sequence[Finding]) -> dict[str, list[Any]]:
    rows = [asdict(one) for one in findings]

    def texts(name: str) -> list[str | None]:
        return [None if row[name] is None else orjson.dumps(row[name]).decode() for row in rows]

    plain = {
        "kinds": [row["kind"] for row in rows],
        "severities": [row["severity"] for row in rows],
        "subjects": [row["subject"] for row in rows],
        "messages": [row["message"] for row in rows],
    }
    return {**plain, "expected": texts("expected"), "observed": texts("observed"), "facts": texts("facts")}
