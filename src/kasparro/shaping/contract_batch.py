"""A batch of pages as one list of records: what stands against a contract in them, and what is left of them."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, compress
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from kasparro.model.contract import Agreement
from kasparro.model.page import CsvRecords, JsonRecords, Page, Reject
from kasparro.shaping.contract_breaches import Breached, Rows
from kasparro.shaping.contract_cells import some_records, without_cells
from kasparro.shaping.contract_csv import breached_csv
from kasparro.shaping.contract_json import breached_json, without_values
from kasparro.shaping.profiling import leaves_of, type_of

Flags = npt.NDArray[np.bool_]
Records = CsvRecords | JsonRecords

_LONGEST = 200
"""Characters of a value that a reject keeps beside the record itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A field whose value is left out, and the records that lose it."""

    of: Breached
    rows: Rows


class Batch:
    """The pages of a batch; records are numbered through all of them.

    Attributes:
        pages: All pages.
        filled: Positions of those that hold records.
        count: Number of records.
    """

    def __init__(self, pages: Sequence[Page]) -> None:
        self.pages = pages
        self.filled = [at for at, page in enumerate(pages) if len(page.records)]
        self._starts = [0, *accumulate(len(pages[at].records) for at in self.filled)]
        self.count = self._starts[-1]

    def breached(self, terms: Agreement) -> list[Breached]:
        """Return the fields that have anything against the terms: new ones first, each kind by name."""
        records = [self.pages[at].records for at in self.filled]
        first = records[0]
        if isinstance(first, CsvRecords):
            found = breached_csv(first, terms)
        else:
            texts = [text for one in records if isinstance(one, JsonRecords) for text in one.texts]
            found = breached_json(texts, terms)
        return sorted(found, key=lambda one: (one.rule, one.path))

    def place(self, row: int) -> str:
        """Return where a record stands."""
        records, index = self._record(row)
        return records.place(index)

    def kind(self, row: int, path: str) -> str:
        """Return the type of a value of a record, which is not null."""
        records, index = self._record(row)
        ((_, leaves),) = leaves_of(records, [index])
        return type_of(dict(leaves)[path], from_text=isinstance(records, CsvRecords))

    def _record(self, row: int) -> tuple[Records, int]:
        at = bisect_right(self._starts, row) - 1
        return self.pages[self.filled[at]].records, row - self._starts[at]

    def without(self, lost: Flags, cuts: Sequence[Cut]) -> list[Page]:
        """Return the pages without the records that are lost, and without the values that are cut out."""
        pages = list(self.pages)
        for at, start, stop in self._spans():
            here = [(cut.of, _within(cut.rows, start, stop)) for cut in cuts]
            left = _left(pages[at].records, ~lost[start:stop], [(of, rows) for of, rows in here if len(rows)])
            pages[at] = replace(pages[at], records=left)
        return pages

    def rejects(self, lost: Flags, found: Sequence[Breached], version: int) -> Iterator[Reject]:
        """Yield the records that are lost, each with the first field at fault."""
        at_fault = np.zeros(self.count, dtype=np.int64)
        for number in reversed(range(len(found))):
            at_fault[found[number].rows] = number
        for at, start, stop in self._spans():
            records = self.pages[at].records
            wanted = np.flatnonzero(lost[start:stop]).tolist()
            for index, (_, leaves) in zip(wanted, leaves_of(records, wanted), strict=True):
                one = found[int(at_fault[start + index])]
                yield _reject(records, at, index, one, dict(leaves).get(one.path), version)

    def _spans(self) -> Iterator[tuple[int, int, int]]:
        """Yield the position of each page that holds records, the number of its first one, and that behind its last."""
        yield from zip(self.filled, self._starts, self._starts[1:], strict=False)


def _within(rows: Rows, start: int, stop: int) -> Rows:
    low, high = np.searchsorted(rows, (start, stop))
    return rows[low:high] - start


def _left(records: Records, kept: Flags, cuts: Sequence[tuple[Breached, Rows]]) -> Records:
    if not bool(kept.all()):
        numbers = np.cumsum(kept) - 1
        records, cuts = _some(records, kept), [(of, numbers[rows]) for of, rows in cuts]
    if not cuts or not len(records):
        return records
    if isinstance(records, CsvRecords):
        columns = [of.path for of, _ in cuts if of.rule == "fields"]
        return without_cells(records, columns, {of.path: rows for of, rows in cuts if of.rule == "types"})
    affected = np.unique(np.concatenate([rows for _, rows in cuts]))
    texts = _objects(records.texts)
    changed = without_values(
        texts[affected].tolist(), [(of.steps, np.searchsorted(affected, rows)) for of, rows in cuts]
    )
    texts[affected] = _objects(changed)
    return replace(records, texts=texts.tolist())


def _objects(texts: Sequence[bytes]) -> npt.NDArray[np.object_]:
    made = np.empty(len(texts), dtype=np.object_)
    made[:] = list(texts)
    return made


def _some(records: Records, kept: Flags) -> Records:
    if isinstance(records, CsvRecords):
        return some_records(records, kept)
    rows = np.flatnonzero(kept)
    indexes = rows if records.indexes is None else np.asarray(records.indexes)[rows]
    return replace(records, texts=list(compress(records.texts, kept)), indexes=indexes.tolist())


def _reject(records: Records, page: int, index: int, one: Breached, value: Any, version: int) -> Reject:  # noqa: ANN401, PLR0913, PLR0917 - any JSON value
    schema = f"the accepted schema (version {version})"
    if one.rule == "fields":
        code, reason = "field_not_accepted", f"{one.path} is not in {schema}"
    else:
        seen = type_of(value, from_text=isinstance(records, CsvRecords))
        code, reason = "type_not_accepted", f"{one.path} is {seen}, and {schema} has {' or '.join(one.expected)}"
    return Reject(
        place=records.place(index),
        path=one.path,
        code=code,
        reason=reason,
        value=_text(value),
        raw=records.raw(index),
        index=index if records.indexes is None else records.indexes[index],
        page=page,
    )


def _text(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    if value is None:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:_LONGEST]
