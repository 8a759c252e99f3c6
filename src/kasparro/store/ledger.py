"""The ledger of a run: where each slice stands, and the one transaction that moves it together with its data."""

import hashlib
from typing import Any, assert_never

import orjson
from psycopg import AsyncConnection

from kasparro.errors import Stopped
from kasparro.model.dataset import Dataset
from kasparro.model.page import Bookmark, CsvRecords, JsonRecords, Page, Reject
from kasparro.model.profile import Profile
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Shaped
from kasparro.store.database import Database
from kasparro.store.loading import Written, load
from kasparro.store.queries import queries

_SHARDS = 8


class PostgresLedger:
    """Resumes, commits and closes slices of one dataset's source.

    Args:
        database: Where everything is kept.
        dataset: Where the rows go.
    """

    def __init__(self, database: Database, dataset: Dataset) -> None:
        self._database = database
        self._dataset = dataset
        self._sql = queries("ledger")

    async def resume(self, unit: Unit) -> Bookmark:
        """Take the lease of the slice and return where it stands.

        Raises:
            Stopped: a later run has it.
        """
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["claim"], _key(unit))
            row = await cursor.fetchone()
        if row is None:
            raise _lost(unit)
        bookmark: Bookmark = row[0]
        return bookmark

    async def commit(self, unit: Unit, page: Page, shaped: Shaped) -> Counts:
        """Write raw page, rows, rejects, profile, counts and bookmark in one transaction.

        Raises:
            Stopped: the lease was lost; nothing was written.
        """
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(self._sql["profile"], _key(unit))
            row = await cursor.fetchone()  # locks the checkpoint: a later run waits for this commit, or has won already
            if row is None:
                raise _lost(unit)
            page_id = await self._keep(connection, unit, page)
            written = await load(connection, self._dataset, unit, page_id or 0, shaped)
            rejects = (*page.rejects, *shaped.rejects)
            if rejects:
                await connection.execute(self._sql["rejects"], {**_key(unit), **_columns(rejects, page_id)})
            counts = _counts(written, shaped, len(rejects))
            profile = Profile.from_json(row[0]) | shaped.profile
            await self._count(connection, unit, page, counts, profile)
        return counts

    async def close(self, unit: Unit) -> None:
        """Record that the slice was read to its end.

        Raises:
            Stopped: the lease was lost.
        """
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["close"], _key(unit))
        if cursor.rowcount != 1:
            raise _lost(unit)

    async def _keep(self, connection: AsyncConnection, unit: Unit, page: Page) -> int | None:
        """Store the raw page and return its id; None when it holds no record."""
        if len(page.records) == 0:
            return None
        facts = {
            **_key(unit),
            "kind": unit.kind,
            "origin": page.origin,
            "content_type": page.content_type,
            "records": len(page.records),
            "sha256": hashlib.sha256(page.content).digest(),
            "layout": _layout(page.records),
            "content": page.content.decode("utf-8"),
        }
        cursor = await connection.execute(self._sql["raw_page"], facts)
        row = await cursor.fetchone()
        if row is None:
            cursor = await connection.execute(self._sql["raw_page_known"], facts)
            row = await cursor.fetchone()
        return None if row is None else int(row[0])

    async def _count(
        self, connection: AsyncConnection, unit: Unit, page: Page, counts: Counts, profile: Profile
    ) -> None:
        """Move the checkpoint, then the totals; the run's own row comes last."""
        facts = {
            **_key(unit),
            "bookmark": orjson.dumps(dict(page.bookmark)).decode(),
            "profile": orjson.dumps(profile.to_json()).decode(),
            "dataset": unit.dataset,
            "shard": int.from_bytes(hashlib.sha256(unit.slice_name.encode()).digest()[:2]) % _SHARDS,
            "bytes": page.bytes_read,
            "changes": counts.inserted + counts.updated,
            "extracted": counts.extracted,
            "inserted": counts.inserted,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "duplicates": counts.duplicates,
            "rejected": counts.rejected,
        }
        cursor = await connection.execute(self._sql["advance"], facts)
        if cursor.rowcount != 1:
            raise _lost(unit)
        if facts["changes"]:
            await connection.execute(self._sql["total"], facts)
        cursor = await connection.execute(self._sql["count"], facts)
        if cursor.rowcount != 1:
            raise _lost(unit)


def _key(unit: Unit) -> dict[str, Any]:
    return {"source": unit.source, "slice": unit.slice_name, "run_id": unit.run_id}


def _lost(unit: Unit) -> Stopped:
    return Stopped(
        f"Run {unit.run_id} of {unit.source} lost its lease on {unit.slice_name} to a later run; nothing was written.",
        lease_lost=True,
    )


def _layout(records: CsvRecords | JsonRecords) -> str:
    """How a stored page is cut into records, as the views `raw_data_*` read it."""
    match records:
        case CsvRecords():
            layout = {"columns": records.columns, "delimiter": records.delimiter, "quote": records.quote}
            return orjson.dumps(layout).decode()
        case JsonRecords():
            return orjson.dumps({"steps": [str(step) for step in records.steps]}).decode()
        case _:
            assert_never(records)


def _columns(rejects: tuple[Reject, ...], page_id: int | None) -> dict[str, Any]:
    """Rejects by column, as `unnest` takes them. PostgreSQL stores no NUL, so it is shown as `\\x00`."""

    def shown(text: str | None) -> str | None:
        return None if text is None else text.replace("\0", "\\x00")

    return {
        "raw_page_id": page_id,
        "indexes": [one.index for one in rejects],
        "places": [shown(one.place) for one in rejects],
        "paths": [shown(one.path) for one in rejects],
        "codes": [one.code for one in rejects],
        "reasons": [shown(one.reason) for one in rejects],
        "values": [shown(one.value) for one in rejects],
        "raws": [shown(one.raw) for one in rejects],
    }


def _counts(written: Written, shaped: Shaped, rejected: int) -> Counts:
    return Counts(
        extracted=shaped.count + shaped.duplicates + rejected,
        inserted=written.inserted,
        updated=written.updated,
        unchanged=written.unchanged,
        duplicates=written.duplicates + shaped.duplicates,
        rejected=rejected,
    )
