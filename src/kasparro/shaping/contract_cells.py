"""Cells of CSV pages without parsing: where they are, and the same records without some of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kasparro.errors import Broken
from kasparro.model.page import CsvRecords
from kasparro.shaping.contract_breaches import Rows

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_LF, _CR = 10, 13
_MARK = b"\xef\xbb\xbf"
"""A text that begins with a byte order mark has a second one before it, which the parser skips."""

_NULLS = tuple(f"\ue000{number}" for number in range(100))
"""Stand for null where an empty cell does not: the first one that the page does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of a page, by record and column.

    Attributes:
        data: The text of the page, without a mark for the parser.
        starts: First byte of each cell.
        ends: The separator behind it.
        quote: What may stand around a cell.
    """

    data: Bytes
    starts: Rows
    ends: Rows
    quote: int | None

    def inner(self, column: int) -> tuple[Rows, Rows]:
        """Return start and end of the cells of a column, without the quotes around them."""
        starts, ends = self.starts[:, column], self.ends[:, column]
        if self.quote is None:
            return starts, ends
        quoted = self.data[starts] == self.quote
        return starts + quoted, ends - quoted


def cells_of(records: CsvRecords) -> Cells:
    """Return where the cells are. Raises Broken when there are not as many as the records must have."""
    data = np.frombuffer(records.text.removeprefix(_MARK), dtype=np.uint8)
    separators = (data == ord(records.delimiter)) | (data == _LF)
    quote = None if records.quote is None or records.quote.encode() not in records.text else ord(records.quote)
    if quote is not None:
        separators &= np.bitwise_xor.accumulate(data == quote) == 0
    ends = np.flatnonzero(separators)
    count, width = len(records), len(records.columns)
    if len(ends) != count * width:  # the screen has seen to it
        raise Broken(f"{records.origin}: {len(ends)} cells were found where {count} records have {count * width}.")
    starts = np.zeros(len(ends), dtype=np.int64)
    starts[1:] = ends[:-1] + 1
    return Cells(data=data, starts=starts.reshape(count, width), ends=ends.reshape(count, width), quote=quote)


def without_cells(records: CsvRecords, columns: Sequence[str], cells: Mapping[str, Rows]) -> CsvRecords:
    """Return the same records without some columns, not all of them, and with some cells null. `raw` is as before.

    Args:
        records: Of a page.
        columns: Those that go.
        cells: By column, the records in which its cell becomes null.
    """
    found = cells_of(records)
    left = tuple(name for name in records.columns if name not in columns)
    kept = np.ones(len(found.data), dtype=np.bool_)
    _drop(kept, found, [records.columns.index(name) for name in columns])
    places = [np.zeros(0, dtype=np.int64)]
    for name, rows in cells.items():
        column = records.columns.index(name)
        starts, ends = found.starts[rows, column], found.ends[rows, column]
        kept[_inside(starts, ends - starts)] = False
        places.append(starts)
    made = replace(records, columns=left)
    if len(left) > 1 and "" in records.null_values:
        return replace(made, text=_marked(found.data[kept].tobytes()))
    null = next(one for one in _NULLS if one.encode() not in records.text)
    nulled = np.concatenate(places)
    empty = _blank(found, records.columns.index(left[0]), nulled) if len(left) == 1 else places[0]
    blank = null if "" in records.null_values or records.quote is None else records.quote * 2
    text = _filled_in(found.data, kept, ((nulled, null.encode()), (empty, blank.encode())))
    named = len(nulled) > 0 or (len(empty) > 0 and blank == null)
    return replace(made, text=_marked(text), null_values=(*records.null_values, null) if named else records.null_values)


def some_records(records: CsvRecords, kept: Flags) -> CsvRecords:
    """Return some records of a page."""
    found = cells_of(records)
    rows = np.flatnonzero(kept)
    text = found.data[np.repeat(kept, np.diff(found.ends[:, -1] + 1, prepend=0))].tobytes()
    starts = np.asarray(records.starts)
    sizes = np.diff(starts)
    content = np.frombuffer(records.content, dtype=np.uint8)[int(starts[0]) : int(starts[-1])]
    bounds = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(sizes[rows], out=bounds[1:])
    indexes = rows if records.indexes is None else np.asarray(records.indexes)[rows]
    return replace(
        records,
        text=_marked(text),
        content=content[np.repeat(kept, sizes)].tobytes(),
        starts=bounds.data,
        lines=np.asarray(records.lines)[rows].data,
        indexes=indexes.tolist(),
    )


def _marked(text: bytes) -> bytes:
    return _MARK + text if text.startswith(_MARK) else text


def _drop(kept: Flags, cells: Cells, columns: Sequence[int]) -> None:
    """Take columns out: each cell goes with the separator behind it."""
    for column in columns:
        starts, ends = cells.starts[:, column], cells.ends[:, column]
        kept[_inside(starts, ends - starts + 1)] = False
    width = cells.starts.shape[1]
    if width - 1 in columns:  # what stands behind the last one that is left is to be the end of the line
        last = max(column for column in range(width) if column not in columns)
        kept[cells.ends[:, last]] = False
        kept[cells.ends[:, -1]] = True


def _blank(cells: Cells, column: int, nulled: Rows) -> Rows:
    """Return where the empty cells of a column are: as the only ones of their lines, they would make these blank."""
    starts = cells.starts[:, column]
    empty: Rows = starts[(starts == cells.ends[:, column]) & ~np.isin(starts, nulled)]
    return empty


def _filled_in(data: Bytes, kept: Flags, pieces: Sequence[tuple[Rows, bytes]]) -> bytes:
    """Return the bytes that are kept, with texts written in at some places."""
    before = np.cumsum(kept)
    at: list[Rows] = [np.repeat(before[places] - kept[places], len(text)) for places, text in pieces]
    written = [np.tile(np.frombuffer(text, dtype=np.uint8), len(places)) for places, text in pieces]
    return np.insert(data[kept], np.concatenate(at), np.concatenate(written)).tobytes()


def _inside(starts: Rows, lengths: Rows) -> Rows:
    """Return the positions of all bytes of the pieces."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    positions: Rows = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return positions
