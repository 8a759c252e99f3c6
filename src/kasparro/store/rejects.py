"""Rejected records: found by filter, shown, and discarded; what tries them again reads them by `raw_reading`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import dict_row

from kasparro.errors import NotFound
from kasparro.store.database import Database
from kasparro.store.queries import queries

RejectStatus = Literal["open", "replayed", "discarded", "gone"]

Rows = list[dict[str, Any]]

_CONDITION = sql.SQL(
    """(%(source)s::text IS NULL OR one.source = %(source)s)
  AND (%(status)s::text IS NULL OR one.status = %(status)s)
  AND (%(run_id)s::bigint IS NULL OR %(run_id)s IN (one.run_id, one.last_run_id))
  AND (%(ids)s::bigint[] IS NULL OR one.id = ANY (%(ids)s))
  AND (%(code)s::text IS NULL OR one.code = %(code)s)
  AND (%(path)s::text IS NULL OR one.path = %(path)s)
  AND (%(place)s::text IS NULL OR starts_with(one.place, %(place)s))
  AND (%(since)s::timestamptz IS NULL OR one.created_at >= %(since)s)"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectFilter:
    """Which rejects are meant; None is any.

    Attributes:
        run_id: Met by this run, first or last.
        place: How the place begins: a file, a URL.
        since: Met first at or after this moment.
    """

    source: str | None = None
    status: RejectStatus | None = "open"
    run_id: int | None = None
    ids: tuple[int, ...] | None = None
    code: str | None = None
    path: str | None = None
    place: str | None = None
    since: datetime | None = None

    @property
    def condition(self) -> sql.SQL:
        """SQL over `rejected_record AS one`."""
        return _CONDITION

    @property
    def facts(self) -> dict[str, Any]:
        """What the condition's parameters are."""
        return {**asdict(self), "ids": None if self.ids is None else list(self.ids)}


class Rejects:
    """Reads rejects, and lets go of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("rejects")

    async def list(self, wanted: RejectFilter, limit: int = 20) -> Rows:
        """Return the latest, newest first."""
        return await self._rows("list", wanted, limit=limit)

    async def one(self, reject_id: int) -> dict[str, Any]:
        """Return one. Raises NotFound."""
        rows = await self._rows("list", RejectFilter(status=None, ids=(reject_id,)), limit=1)
        if not rows:
            raise NotFound(f"There is no reject {reject_id}. List them with: kasparro rejects list")
        return rows[0]

    async def counted(self, wanted: RejectFilter) -> Rows:
        """Return how many there are, by source and code."""
        return await self._rows("count", wanted)

    async def discard(self, wanted: RejectFilter, who: str) -> int:
        """Note that they are not wanted, by whom, and when; return how many. Runs that meet them again leave it so."""
        statement = sql.SQL(self._sql["discard"]).format(filter=wanted.condition)
        async with self._database.connection() as connection:
            cursor = await connection.execute(statement, {**wanted.facts, "who": who})
            return cursor.rowcount

    async def _rows(self, name: str, wanted: RejectFilter, **facts: Any) -> Rows:  # noqa: ANN401 - parameters
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(sql.SQL(self._sql[name]).format(filter=wanted.condition), {**wanted.facts, **facts})
            return await cursor.fetchall()
