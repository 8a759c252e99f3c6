"""Raw pages into the database: each content of a slice once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import orjson
from psycopg import AsyncConnection

from kasparro.model.page import CsvRecords, JsonRecords, Page
from kasparro.model.run import Unit
from kasparro.model.shaped import Batch
from kasparro.store.queries import queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Under which numbers the pages of a batch are stored.

    Attributes:
        known: Those that were stored before this batch.
        added: Those that this batch stored.
        renumbered: Numbers in the rows that stand for known ones.
        merged: All pages are known, and their rows are still as they left them.
        of_this_run: They were stored by this very run.
    """

    known: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    renumbered: Mapping[int, int] = field(default_factory=dict)
    merged: bool = False
    of_this_run: bool = False

    def number(self, batch: Batch, at: int) -> int | None:
        """Return the number of a page of the batch; None for one without records, which is not stored."""
        given = batch.page_ids[at]
        return self.renumbered.get(given, given) if len(batch.pages[at].records) else None

    async def confirm(self, connection: AsyncConnection, unit: Unit, *, shape: str, dataset: str) -> None:
        """Note that the rows of the known pages are as the pages say."""
        facts = {"source": unit.source, "dataset": dataset, "shape": shape, "ids": list(self.known)}
        await connection.execute(queries("ledger")["merged"], facts)

    async def doubt(self, connection: AsyncConnection) -> None:
        """Note that not every row of the pages is as they say: some gave way to others, or were refused."""
        ids = [*self.known, *self.added]
        await connection.execute(queries("ledger")["doubted"], {"ids": ids})


async def keep(  # noqa: PLR0913 - what is to be known of pages
    connection: AsyncConnection, unit: Unit, batch: Batch, *, shape: str | None, dataset: str, staged: bool = False
) -> Kept:
    """Store the pages that hold records inside the caller's transaction.

    Args:
        connection: In a transaction.
        unit: The slice that they are of.
        batch: The pages.
        shape: By which mapping their rows are made; None while the rows have not taken effect.
        dataset: Where their rows go.
        staged: They count only when the rows of their lane take effect, see `lanes`.
    """
    filled = {number: page for number, page in zip(batch.page_ids, batch.pages, strict=True) if len(page.records)}
    fresh = {number: page for number, page in filled.items() if page.stored is None}
    already = tuple(number for number in filled if number not in fresh)
    if not fresh:
        return Kept(known=already)
    facts = {
        "source": unit.source,
        "kind": unit.kind,
        "run_id": unit.run_id,
        "slice": unit.slice_name,
        "dataset": dataset,
        "shape": shape,
        "staged": staged,
        **_columns(fresh),
    }
    cursor = await connection.execute(queries("ledger")["raw_page"], facts)
    added = {number for (number,) in await cursor.fetchall()}
    if len(added) == len(fresh):
        return Kept(known=already, added=tuple(added))
    cursor = await connection.execute(queries("ledger")["raw_pages_known"], {**facts, "added": list(added)})
    found = {bytes(sha256): (number, ours, merged) for sha256, number, ours, merged in await cursor.fetchall()}
    digests = dict(zip(fresh, facts["sha256s"], strict=True))
    met = {number: found[digests[number]] for number in fresh if number not in added}
    return Kept(
        known=(*already, *(stored for stored, _, _ in met.values())),
        added=tuple(added),
        renumbered={number: stored for number, (stored, _, _) in met.items()},
        merged=not added and not already and all(merged for _, _, merged in met.values()),
        of_this_run=any(ours for _, ours, _ in met.values()),
    )


def _columns(pages: Mapping[int, Page]) -> dict[str, Any]:
    contents = [page.content for page in pages.values()]
    return {
        "ids": list(pages),
        "origins": [page.origin for page in pages.values()],
        "content_types": [page.content_type for page in pages.values()],
        "records": [len(page.records) for page in pages.values()],
        "sha256s": [identity(page) for page in pages.values()],
        "layouts": [layout_of(page.records) for page in pages.values()],
        "contents": [content.decode("utf-8") for content in contents],
    }


def identity(page: Page) -> bytes:
    """Return the SHA-256 by which a page is known: of its content, and of what tells which records are in it.

    So the same answer read at another path, or the same lines under other names, is another page.
    """
    meaning: Sequence[object]
    match page.records:
        case CsvRecords() as records:
            meaning = (records.columns, records.delimiter, records.quote)
        case JsonRecords() as records:
            meaning = records.steps
        case _:
            assert_never(page.records)
    digest = hashlib.sha256(page.content)
    digest.update(b"\0" + orjson.dumps(meaning))
    return digest.digest()


def layout_of(records: CsvRecords | JsonRecords) -> str:
    """Return how a stored page is cut into records, and where they came from, as JSON: views and replays read it."""
    match records:
        case CsvRecords():
            layout = {"columns": records.columns, "delimiter": records.delimiter, "quote": records.quote}
            return orjson.dumps({**layout, "lines": _lines(records.lines)}).decode()
        case JsonRecords():
            return orjson.dumps({"steps": records.steps, "first": records.first}).decode()
        case _:
            assert_never(records)


def _lines(lines: Sequence[int]) -> list[list[int]]:
    """Return index and line of the records that do not stand on the line after that of the one before."""
    import numpy as np  # noqa: PLC0415 - takes a twentieth of a second, and is loaded already where there are pages

    numbers = np.asarray(lines, dtype=np.int64)
    jumps = np.flatnonzero(np.diff(numbers, prepend=-1) != 1)
    found: list[list[int]] = np.column_stack((jumps, numbers[jumps])).tolist()
    return found
