"""The accepted schemas of sources: what contracts hold records to, and how somebody lets them move on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import AsyncConnection

from kasparro.errors import Conflict, NotFound
from kasparro.judge.contract import BREAKING, breaches_of
from kasparro.model.contract import Breach
from kasparro.model.profile import Profile
from kasparro.model.schema import Schema
from kasparro.store.database import Database
from kasparro.store.queries import queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A version of the schema of a source, and the run that it was made of."""

    version: int
    schema: Schema
    run_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What a run met.

    Attributes:
        source: Whose run it is.
        profile: Of its records, and those of the runs that it went on with; None when it did not come to its end.
        breaches: What stood against the contract, by path.
    """

    source: str
    profile: Profile | None
    breaches: Mapping[str, Breach]


class Schemas:
    """Reads accepted schemas, and accepts others."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("schemas")

    async def accepted(self, source: str) -> Accepted | None:
        """Return the accepted schema; None before the first."""
        rows = await self._rows("accepted", source=source)
        return Accepted(version=rows[0][0], schema=Schema.from_json(rows[0][1]), run_id=rows[0][2]) if rows else None

    async def met(self, run_id: int) -> Met:
        """Return what a run met that may be accepted.

        Raises:
            NotFound: there is no such run, or what it saw is not kept.
        """
        rows = await self._rows("run", run_id=run_id)
        if not rows:
            raise NotFound(f"There is no run {run_id}. List them with: kasparro runs list")
        source, judged = rows[0]
        if judged:
            profile = Profile()
            for (part,) in await self._rows("profiles", run_id=run_id):
                profile |= Profile.from_json(part)
            if profile != Profile():
                return Met(source=source, profile=profile, breaches=profile.breaches)
        breaches: dict[str, Breach] = {}
        for kind, path, facts in await self._rows("kept_out", run_id=run_id, kinds=list(BREAKING)):
            breaches |= breaches_of(kind, path, facts)
        if not breaches:
            raise NotFound(f"What run {run_id} saw is not kept. List runs with: kasparro runs list {source}")
        return Met(source=source, profile=None, breaches=breaches)

    async def accept(self, source: str, run_id: int, schema: Schema, who: str, *, instead_of: int) -> int:
        """Accept a schema by hand; return its version. `instead_of`: the version that it was made of, 0 for none.

        Raises:
            Conflict: another one was accepted meanwhile.
        """
        facts = {
            "source": source,
            "run_id": run_id,
            "fields": orjson.dumps(schema.to_json()).decode(),
            "who": who,
            "version": instead_of,
        }
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(self._sql["lock"], facts)
            rows = await self._asked(connection, "accept", facts)
        if not rows:
            raise Conflict(
                f"Another schema of {source} was accepted meanwhile. Look at it: kasparro drift show {source}"
            )
        return int(rows[0][0])

    async def owner(self, run_id: int) -> str:
        """Return whose run it is. Raises NotFound."""
        rows = await self._rows("run", run_id=run_id)
        if not rows:
            raise NotFound(f"There is no run {run_id}. List them with: kasparro runs list")
        source: str = rows[0][0]
        return source

    async def kind(self, source: str) -> str | None:
        """Return the kind of a source; None when it has never run."""
        rows = await self._rows("kind", source=source)
        return rows[0][0] if rows else None

    async def last(self, source: str) -> int | None:
        """Return the latest run that was judged, or was found to break its contract; None when there is none."""
        run_id: int | None = (await self._rows("last", source=source))[0][0]
        return run_id

    async def renames(self, run_id: int) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Return old name, new name and facts of each field that was renamed, as a run found."""
        return [(old, new, facts) for old, new, facts in await self._rows("renames", run_id=run_id)]

    async def _rows(self, name: str, **facts: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - parameters of a statement
        async with self._database.connection() as connection:
            return await self._asked(connection, name, facts)

    async def _asked(self, connection: AsyncConnection, name: str, facts: dict[str, Any]) -> list[tuple[Any, ...]]:
        cursor = await connection.execute(self._sql[name], facts)
        return await cursor.fetchall()
