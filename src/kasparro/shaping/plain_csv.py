"""Shapes CSV pages that hold nothing special with numpy alone: rows are the records with a few cells in front.

A page is plain when no cell is quoted and every value is written as PostgreSQL reads it. Then a record needs no
parsing: where its cells are is known from the delimiters, what they may be is known from the kinds of bytes in them,
and the row is the record itself, behind its key, hash and origin. Anything else gives None, and DuckDB shapes the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kasparro.model.dataset import FieldType
from kasparro.model.page import CsvRecords
from kasparro.model.profile import Profile
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping.plain_cells import Bytes, Cells, Flags, Places, fits, kinds_of_cells
from kasparro.shaping.plain_hash import line_hashes, texts_of_numbers

_COMMA, _LF = 44, 10
_BLOCK = 4096
_LONGEST_KEY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainField:
    """A field that takes one column as it is."""

    name: str
    column: int
    type: FieldType
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPlan:
    """What may be shaped the plain way.

    Attributes:
        fields: In the order of their columns; each column has one at most.
        key: Column of the primary key.
        width: Number of columns.
        absent: Names of the fields that have no column.
        utc: Times that name no zone are in UTC.
        seed: Tells this plan from others; part of every hash.
    """

    fields: tuple[PlainField, ...]
    key: int
    width: int
    absent: tuple[str, ...]
    utc: bool
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """What the rows end with: all lines one after the other, and where each starts; one number more than there are."""

    data: Bytes
    starts: Places


def shape_plain(records: CsvRecords, plan: PlainPlan, stamp: Stamp, page_id: int) -> Shaped | None:
    """Return the rows of a page; None where something in it is not plain."""
    text = records.text
    if b'"' in text or b"\r" in text or (records.quote is not None and records.quote.encode() in text):
        return None
    data = np.frombuffer(text, dtype=np.uint8)
    if records.delimiter != ",":
        if b"," in text:
            return None
        data = np.where(data == ord(records.delimiter), np.uint8(_COMMA), data)
    cells = _cells(data, len(records), plan.width)
    if cells is None:
        return None
    nulls = _nulls(cells, records.null_values)
    if nulls is None or not _fits(cells, nulls, plan):
        return None
    hashes = line_hashes(data, cells.starts[:, 0], cells.starts[:, -1] + cells.lengths[:, -1] + 1, plan.seed)
    lines = _lines(cells, nulls, plan)
    rows = _spliced(cells, plan.key, hashes, lines, (stamp.source, stamp.run_id, page_id))
    present = {field.name: len(records) - int(np.count_nonzero(nulls[:, field.column])) for field in plan.fields}
    return Shaped(
        rows=rows,
        count=len(records),
        fields=tuple(field.name for field in plan.fields),
        profile=Profile(rows=len(records), present={**present, **dict.fromkeys(plan.absent, 0)}),
    )


def _cells(data: Bytes, count: int, width: int) -> Cells | None:
    separators = np.flatnonzero((data == _COMMA) | (data == _LF))
    if len(separators) != count * width:  # the screen has seen to it; without quotes every separator is one
        return None
    starts = np.zeros(len(separators), dtype=np.int64)
    starts[1:] = separators[:-1] + 1
    shape = (count, width)
    by_record = starts.reshape(shape)
    lengths = (separators - starts).reshape(shape)
    return Cells(data=data, starts=by_record, lengths=lengths, kinds=kinds_of_cells(data, by_record))


def _nulls(cells: Cells, null_values: Sequence[str]) -> Flags | None:
    """Return which cells are null; None where an empty one is a text, which COPY could not tell from null."""
    found: Flags = cells.lengths == 0
    if "" not in null_values and bool(found.any()):
        return None
    for value in null_values:
        text = value.encode()
        if not text:
            continue
        likely = cells.lengths == len(text)
        places = cells.starts[likely]
        same = np.ones(len(places), dtype=np.bool_)
        for at, byte in enumerate(text):
            same &= cells.data[places + at] == byte
        found[likely] |= same
    return found


def _fits(cells: Cells, nulls: Flags, plan: PlainPlan) -> bool:
    if bool(nulls[:, plan.key].any()) or int(cells.lengths[:, plan.key].max()) > _LONGEST_KEY:
        return False
    present = ~nulls
    return all(
        (not field.required or bool(present[:, field.column].all()))
        and fits(cells, field.column, field.type, present[:, field.column], utc=plan.utc)
        for field in plan.fields
    )


def _lines(cells: Cells, nulls: Flags, plan: PlainPlan) -> _Lines:
    """Return the records without the columns that no field takes and with null cells empty."""
    taken = {field.column for field in plan.fields}
    unused = [column for column in range(plan.width) if column not in taken]
    written = nulls & (cells.lengths > 0)
    ends = cells.starts[:, -1] + cells.lengths[:, -1] + 1
    if not unused and not bool(written.any()):
        return _Lines(data=cells.data, starts=np.append(cells.starts[:, 0], ends[-1]))
    kept = np.ones(len(cells.data), dtype=np.bool_)
    written[:, unused] = False
    kept[_inside(cells.starts[written], cells.lengths[written])] = False
    lengths = ends - cells.starts[:, 0] - np.where(written, cells.lengths, 0).sum(axis=1)
    for column in unused:
        # A column goes with the delimiter behind it; those behind the last one that is taken, with the one before it.
        shift = 1 if column > max(taken) else 0
        kept[_inside(cells.starts[:, column] - shift, cells.lengths[:, column] + 1)] = False
        lengths -= cells.lengths[:, column] + 1
    return _Lines(data=cells.data[kept], starts=np.append(0, np.cumsum(lengths)))


def _inside(starts: Places, lengths: Places) -> Places:
    """Return the positions of all bytes of the pieces."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    positions: Places = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return positions


def _spliced(
    cells: Cells, key: int, hashes: npt.NDArray[np.uint64], lines: _Lines, stamp: tuple[str, int, int]
) -> bytes:
    """Return `source,key,hash,run,page,index,` before each line; a block at a time, so that it stays in the cache."""
    source, run_id, page_id = stamp
    head = np.frombuffer(f"{source},".encode(), dtype=np.uint8)
    middle = np.frombuffer(f",{run_id},{page_id},".encode(), dtype=np.uint8)
    count = len(hashes)
    digits, numbers = texts_of_numbers(hashes), texts_of_numbers(np.arange(count, dtype=np.uint64))
    key_starts, key_lengths = cells.starts[:, key], cells.lengths[:, key]
    pieces = []
    for first in range(0, count, _BLOCK):
        part = slice(first, min(first + _BLOCK, count))
        lengths = np.diff(lines.starts[part.start : part.stop + 1])
        fixed = len(head) + 1 + digits.shape[1] + len(middle) + numbers.shape[1] + 1
        sizes = fixed + key_lengths[part] + lengths
        ends = np.cumsum(sizes)
        out = np.empty(int(ends[-1]), dtype=np.uint8)
        at = ends - sizes
        _put(out, at, head)
        at = at + len(head)
        out[_inside(at, key_lengths[part])] = cells.data[_inside(key_starts[part], key_lengths[part])]
        at = at + key_lengths[part]
        out[at] = _COMMA
        _put(out, at + 1, digits[part])
        at = at + 1 + digits.shape[1]
        _put(out, at, middle)
        at = at + len(middle)
        _put(out, at, numbers[part])
        at = at + numbers.shape[1]
        out[at] = _COMMA
        out[_inside(at + 1, lengths)] = lines.data[int(lines.starts[part.start]) : int(lines.starts[part.stop])]
        pieces.append(out)
    return b"".join(piece.data for piece in pieces)


def _put(out: Bytes, places: Places, block: Bytes) -> None:
    """Write a block of the same width at each place: the same one, or one row of it each."""
    width = block.shape[-1]
    view = np.lib.stride_tricks.sliding_window_view(out, width, writeable=True)
    view[places] = block
