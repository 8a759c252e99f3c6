"""Rejects on their way into the database."""

from collections.abc import Sequence
from typing import Any

from kasparro.model.page import Reject
from kasparro.model.shaped import Batch
from kasparro.store.loading import Refused
from kasparro.store.raw_pages import Kept


def refused_record(refused: Refused, batch: Batch) -> Reject:
    """Return the record that PostgreSQL would not take, with what it said."""
    at = batch.page_ids.index(refused.page_id)
    records = batch.pages[at].records
    position = refused.index if records.indexes is None else records.indexes.index(refused.index)
    return Reject(
        place=records.place(position),
        code="refused",
        reason=f"PostgreSQL refuses the row: {refused.message}",
        raw=records.raw(position),
        index=refused.index,
        page=at,
    )


def records_of(batch: Batch) -> dict[str, list[int]]:
    """Return which records of which stored pages a batch of rejects holds, by column."""
    pairs = [
        (number, index)
        for number, page in zip(batch.page_ids, batch.pages, strict=True)
        for index in page.records.indexes or ()
    ]
    return {"page_ids": [number for number, _ in pairs], "indexes": [index for _, index in pairs]}


def reject_columns(rejects: Sequence[Reject], batch: Batch, kept: Kept) -> dict[str, Any]:
    """Return rejects by column, as `unnest` takes them. PostgreSQL stores no NUL, so it is shown as `\\x00`."""

    def shown(text: str | None) -> str | None:
        return None if text is None else text.replace("\0", "\\x00")

    return {
        "page_ids": [kept.number(batch, one.page) for one in rejects],
        "indexes": [one.index for one in rejects],
        "places": [shown(one.place) for one in rejects],
        "paths": [shown(one.path) for one in rejects],
        "codes": [one.code for one in rejects],
        "reasons": [shown(one.reason) for one in rejects],
        "values": [shown(one.value) for one in rejects],
        "raws": [shown(one.raw) for one in rejects],
    }
