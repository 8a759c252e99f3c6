"""Lets go of raw pages that are older than their source wants to keep them: a few at a time, so that nobody waits.

A page goes only when it is old by the database's clock and by ours: one that is ahead must not delete what is young.
"""

from datetime import UTC, datetime, timedelta

from kasparro.store.database import Database
from kasparro.store.queries import queries

_STEP = 20
"""Pages of one transaction: it takes milliseconds, and skips what a commit has locked."""

_EVER = datetime(1, 1, 1, tzinfo=UTC)


async def old_pages(database: Database, source: str, age: timedelta) -> tuple[int, int]:
    """Return how many pages, and records in them, were last read longer ago than `age`."""
    async with database.connection() as connection:
        cursor = await connection.execute(queries("retention")["extent"], _facts(source, age))
        pages, records = (await cursor.fetchall())[0]
    return pages, records


async def apply_retention(database: Database, source: str, age: timedelta) -> tuple[int, int]:
    """Delete these pages, and return how many pages and records. Pages with open rejects stay, for their replay."""
    pages = records = 0
    after = _EVER
    while True:
        async with database.connection() as connection:
            facts = {**_facts(source, age), "after": after, "count": _STEP}
            cursor = await connection.execute(queries("retention")["step"], facts)
            count, held, last = (await cursor.fetchall())[0]
        pages, records = pages + count, records + held
        if count < _STEP:
            return pages, records
        after = last


def _facts(source: str, age: timedelta) -> dict[str, object]:
    return {"source": source, "seconds": age.total_seconds(), "here": datetime.now(UTC)}
