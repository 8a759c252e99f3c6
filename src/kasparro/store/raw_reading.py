"""Raw pages out of the database again: all of a source in the order in which they count, or those that hold rejects."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from kasparro.model.page import Bookmark, StoredPage
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.rejects import RejectFilter

_MANY = 20_000
"""Records of the pages that are fetched at once, unless one alone has more."""

_IDS = 256

Found = tuple[int, int, Bookmark, Sequence[int] | None]
"""Number of a page, its records, its place, and which of its records are wanted."""


class RawReading:
    """The stored pages of one source.

    Args:
        database: Where they are.
        source: Whose.
        rejects: Only pages with such rejects, and of these only the rejected records.
    """

    def __init__(self, database: Database, source: str, rejects: RejectFilter | None = None) -> None:
        self._database = database
        self._source = source
        self._rejects = rejects

    async def extent(self) -> tuple[int, int]:
        """Return how many pages there are to read, and how many records they hold."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(queries("refresh")["extent"], {"source": self._source})
            pages, records = (await cursor.fetchall())[0]
        return pages, records

    async def after(self, place: Bookmark) -> AsyncIterator[StoredPage]:
        """Yield the pages after a place; an empty one is the beginning.

        The order is made once, by a cursor of a connection of its own that outlives its transaction.
        """
        async with self._database.own_connection() as connection:
            cursor = connection.cursor("stored_pages", withhold=True)
            async with cursor:
                await cursor.execute(*self._question(place))
                while rows := await cursor.fetchmany(_IDS):
                    for group in _groups([self._found(row) for row in rows]):
                        for page in await _contents(connection, group):
                            yield page

    def _question(self, place: Bookmark) -> tuple[sql.Composed, dict[str, Any]]:
        facts = {"source": self._source, "pass_id": place.get("pass", -1), "slice": place.get("slice", "")}
        facts["number"] = place.get("number", -1)
        if self._rejects is None:
            return sql.Composed([sql.SQL(queries("refresh")["pages"])]), facts
        return sql.SQL(queries("rejects")["replayable"]).format(filter=self._rejects.condition), {
            **facts,
            **self._rejects.facts,
        }

    @staticmethod
    def _found(row: Sequence[Any]) -> Found:
        number, records, pass_id, part, last, *wanted = row
        return number, records, {"pass": pass_id, "slice": part, "number": last}, wanted[0] if wanted else None


def _groups(found: Sequence[Found]) -> list[list[Found]]:
    groups: list[list[Found]] = []
    held = 0
    for one in found:
        if not groups or held + one[1] > _MANY:
            groups.append([])
            held = 0
        groups[-1].append(one)
        held += one[1]
    return groups


async def _contents(connection: AsyncConnection, group: Sequence[Found]) -> list[StoredPage]:
    cursor = await connection.execute(queries("refresh")["contents"], {"ids": [number for number, *_ in group]})
    rows: Mapping[int, tuple[Any, ...]] = {row[0]: row for row in await cursor.fetchall()}
    return [_page(rows[number], place, wanted) for number, _, place, wanted in group if number in rows]


def _page(row: tuple[Any, ...], place: Bookmark, wanted: Sequence[int] | None) -> StoredPage:
    number, kind, origin, content_type, layout, content = row
    return StoredPage(
        number=number,
        kind=kind,
        origin=origin,
        content_type=content_type,
        layout=layout,
        content=content.encode("utf-8"),
        place=place,
        wanted=wanted,
    )
