"""The ledger of a run: where each slice stands, and the one transaction that moves it together with its data."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from psycopg import AsyncConnection, errors

from kasparro.errors import BookmarkLost, KasparroError, Stopped
from kasparro.model.dataset import Dataset
from kasparro.model.page import Bookmark, Page
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Batch
from kasparro.store.bisecting import REFUSALS, load_exactly
from kasparro.store.database import Database
from kasparro.store.lanes import stage_pages
from kasparro.store.loading import Written, load, load_new
from kasparro.store.queries import queries
from kasparro.store.raw_pages import Kept, keep
from kasparro.store.rejecting import records_of, refused_record, reject_columns
from kasparro.store.target import Target
from kasparro.store.turns import GiveWay, Turn, Turns

_SHARDS = 8
_WATCHED = ("", "refresh", "hold")
"""Lanes whose runs are judged by what was seen of their records."""

_NUMBERS = 64
_STUBBORN = 16
"""Batches after one on which the straight way, or probing, was tried in vain, before it is tried again."""

_CLASHES = (errors.DeadlockDetected, errors.SerializationFailure, GiveWay)
"""Two transactions met; the one that lost does its work again."""


@dataclass(slots=True)
class _Way:
    """How the next batches of a slice are written.

    Attributes:
        merges: So many are merged, as the straight way was tried in vain just now.
        whole: So many are sent whole, as most rows of the last one that was probed differed.
    """

    merges: int = 0
    whole: int = 0


class PostgresLedger:
    """Resumes, commits and closes slices of one dataset's source.

    Args:
        database: Where everything is kept.
        dataset: Where the rows go.
        shape: Tells this mapping from others: a page that was merged under another one is merged again.
        table: Qualified name of a table beside the dataset's own, with the same columns, where rows wait until all are
            there (`refresh`): until then they count as nothing but read.
        append: Each record becomes a row of its own.
        waits: The table beside takes the rows as they come, to be merged when they take effect (`hold`).
        again: The pages are stored ones, and come in the order in which they count.
        rejects_of: Only rejects are tried again, by whom: they give way to rows of later pages.
    """

    def __init__(  # noqa: PLR0913 - what a run may be
        self,
        database: Database,
        dataset: Dataset,
        *,
        shape: str = "",
        table: str | None = None,
        append: bool = False,
        waits: bool = False,
        again: bool = False,
        rejects_of: str | None = None,
    ) -> None:
        self._database = database
        self._counted = table is None
        self._again = again
        self._staged = table is not None and not again
        self._rejects_of = rejects_of
        self._target = Target(
            dataset=dataset, table=table or dataset.table, append=append, yields=rejects_of is not None, waits=waits
        )
        self._shape = shape
        self._sql = queries("ledger")
        self._numbers: list[int] = []
        self._numbering = asyncio.Lock()
        self._turns = Turns()
        self._ways: dict[tuple[str, str], _Way] = {}

    async def resume(self, unit: Unit) -> Bookmark | None:
        """Take the lease of the slice and return where it stands; None when a refresh has read it to its end.

        Raises:
            Stopped: a later run has it.
        """
        async with self._database.connection() as connection:
            cursor = await connection.execute(self._sql["claim"], _key(unit))
            row = await cursor.fetchone()
            if row is None:
                raise _lost(unit)
            cursor = await connection.execute(self._sql["pass"], _key(unit))
            runs = (await cursor.fetchall())[0][0] or [unit.run_id]
        self._target = replace(self._target, pass_runs=() if self._again else runs)
        bookmark, finished = row
        if not isinstance(bookmark, dict):
            raise BookmarkLost(
                f"The checkpoint of {unit.slice_name} of {unit.source} is no JSON object. Read it from its start: "
                f"kasparro checkpoint reset {unit.source}"
            )
        return None if finished else bookmark

    async def number(self, pages: Sequence[Page]) -> tuple[int, ...]:
        """Return the number of each page: an unused one, unless it is stored already."""
        async with self._numbering:
            missing = sum(page.stored is None for page in pages) - len(self._numbers)
            if missing > 0:
                async with self._database.connection() as connection:
                    cursor = await connection.execute(self._sql["numbers"], {"count": max(missing, _NUMBERS)})
                    self._numbers += [number for (number,) in await cursor.fetchall()]
            return tuple(self._numbers.pop(0) if page.stored is None else page.stored for page in pages)

    async def commit(self, unit: Unit, batch: Batch) -> Counts:
        """Write raw pages, rows, rejects, profile, counts and bookmark in one transaction.

        The next batch may be handed over meanwhile: it is written beside this one, and takes effect after it.

        Raises:
            Stopped: the lease was lost, or the batch before was not written; nothing was written.
        """
        with self._turns.enter((unit.lane, unit.slice_name)) as turn:
            while True:
                try:
                    async with self._database.connection() as connection, connection.transaction():
                        counts, changed = await self._write(connection, unit, batch, turn)
                except KasparroError as error:
                    # `connection()` has translated what psycopg raised.
                    if not isinstance(error.__cause__, _CLASHES):
                        raise
                except GiveWay:
                    await turn.before()
                else:
                    turn.done(changed)
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

    async def _write(
        self, connection: AsyncConnection, unit: Unit, batch: Batch, turn: Turn
    ) -> tuple[Counts, Sequence[str]]:
        """Write a batch; return its counts, and the keys of the rows that it changed."""
        from kasparro.store.probing import met  # noqa: PLC0415 - loads numpy: not before there are rows

        turn.at_work(connection.info.backend_pid)
        shape = self._shape if self._counted else None
        name = self._target.dataset.name
        kept = await keep(connection, unit, batch, shape=shape, dataset=name, staged=self._staged)
        if self._staged:
            await stage_pages(connection, unit, batch, kept)
        written = await self._load(connection, unit, batch, kept)
        await turn.mine(connection)
        unmoved = written.unchanged + written.duplicates > 0
        if turn.stale and unmoved and (not written.probed or await met(connection, turn.stale)):
            raise GiveWay  # what was found unchanged was changed meanwhile by the batch before: all is done again
        cursor = await connection.execute(self._sql["lease"], _key(unit))
        if await cursor.fetchone() is None:
            raise _lost(unit)
        rejects = [
            *(replace(one, page=at) for at, page in enumerate(batch.pages) for one in page.rejects),
            *batch.shaped.rejects,
            *(refused_record(one, batch) for one in written.refused),
        ]
        if rejects:
            await connection.execute(self._sql["rejects"], {**_key(unit), **reject_columns(rejects, batch, kept)})
        if self._rejects_of is not None:
            facts = {**_key(unit), **records_of(batch), "who": self._rejects_of}
            await connection.execute(self._sql["replayed"], facts)
        counts = _counts(written, batch, len(rejects))
        await self._advance(connection, unit, batch, counts)
        if kept.known and self._counted and not (written.updated or written.duplicates or written.refused):
            await kept.confirm(connection, unit, shape=self._shape, dataset=self._target.dataset.name)
        return counts, written.changed

    async def _load(self, connection: AsyncConnection, unit: Unit, batch: Batch, kept: Kept) -> Written:
        """Write the rows, in the way that fits."""
        shaped, way = batch.shaped, self._ways.setdefault((unit.lane, unit.slice_name), _Way())
        if shaped.count == 0:
            return Written()
        if kept.merged and self._counted and not self._target.append:
            return Written(unchanged=shaped.count) if not kept.of_this_run else Written(duplicates=shaped.count)
        target = replace(self._target, renumbered=kept.renumbered)
        try:
            if target.waits or (way.merges == 0 and not kept.renumbered and not target.append):
                written = await load_new(connection, target, shaped)
                if written is not None:
                    return written
                way.merges = _STUBBORN
            way.merges = max(way.merges - 1, 0)
            written = await load(connection, target, unit, shaped, probe=way.whole == 0)
            way.whole = max(way.whole - 1, 0)
            if written.probed and written.unchanged < shaped.count // 2:
                way.whole = _STUBBORN
        except REFUSALS:
            written = await load_exactly(connection, target, unit, shaped)
        if written.inserted == shaped.count:
            way.merges = 0
        if written.duplicates or written.refused:
            await kept.doubt(connection)
        return written

    async def _advance(self, connection: AsyncConnection, unit: Unit, batch: Batch, counts: Counts) -> None:
        """Move the checkpoint, the totals and the run's own row, which comes last: slices of one run meet there."""
        told = counts if self._counted else _waiting(counts)
        facts = {
            **_key(unit),
            "bookmark": orjson.dumps(dict(batch.pages[-1].bookmark)).decode(),
            "profile": orjson.dumps(batch.shaped.profile.to_json()).decode(),
            "profiled": batch.shaped.profile.rows > 0 and unit.lane in _WATCHED,
            "dataset": unit.dataset,
            "shard": int.from_bytes(hashlib.sha256(unit.slice_name.encode()).digest()[:2]) % _SHARDS,
            "pages": len(batch.pages),
            "bytes": sum(page.bytes_read for page in batch.pages),
            "changes": told.inserted + told.updated,
            "counted": self._counted,
            "read": counts.extracted,
            **asdict(told),
        }
        cursor = await connection.execute(self._sql["advance"], facts)
        if cursor.rowcount != 1:
            raise _lost(unit)


def _key(unit: Unit) -> dict[str, Any]:
    return {"source": unit.source, "lane": unit.lane, "slice": unit.slice_name, "run_id": unit.run_id}


def _lost(unit: Unit) -> Stopped:
    return Stopped(
        f"Run {unit.run_id} of {unit.source} lost its lease on {unit.slice_name} to a later run; nothing was written.",
        lease_lost=True,
    )


def _counts(written: Written, batch: Batch, rejected: int) -> Counts:
    return Counts(
        extracted=batch.shaped.count - len(written.refused) + rejected,
        inserted=written.inserted,
        updated=written.updated,
        unchanged=written.unchanged,
        duplicates=written.duplicates,
        rejected=rejected,
    )


def _waiting(counts: Counts) -> Counts:
    """What can be told of a batch whose rows wait beside the table: each that is there counts when all take effect."""
    twice = counts.updated + counts.unchanged + counts.duplicates
    return Counts(extracted=twice + counts.rejected, duplicates=twice, rejected=counts.rejected)
