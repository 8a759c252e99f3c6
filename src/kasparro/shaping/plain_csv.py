"""Shapes CSV pages that hold nothing special with numpy alone: rows are the records with a few cells in front.

A page is plain when no cell is quoted and every value is written as PostgreSQL reads it. Then a record needs no
parsing: where its cells are is known from the delimiters, what they may be is known from the kinds of bytes in them,
and the row is the record itself, behind its key, hash and origin. Anything else gives None, and DuckDB shapes the page.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from kasparro.model.page import CsvRecords
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping.plain_cells import Bytes, Cells, Flags, Places, cells_of, inside, kinds_of
from kasparro.shaping.plain_hash import line_hashes
from kasparro.shaping.plain_plan import PlainPlan
from kasparro.shaping.plain_rows import LONGEST_KEY, Heads, Keys, Lines, all_fit, spliced

_COMMA = 44


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
    cells = _cells(data, records, plan.width)
    if cells is None or not _have_keys(cells, plan) or not all_fit(cells, plan.fields, utc=plan.utc):
        return None
    hashes = line_hashes(data, cells.starts[:, 0], cells.starts[:, -1] + cells.lengths[:, -1] + 1, _seed(plan, records))
    keys = Keys(data=data, starts=cells.starts[:, plan.key], lengths=cells.lengths[:, plan.key])
    indexes = np.arange(len(records), dtype=np.int64)
    heads = Heads(source=stamp.source, run_id=stamp.run_id, hashes=hashes, pages=page_id, indexes=indexes)
    rows, places = spliced(keys, heads, _lines(cells, plan))
    return Shaped(
        rows=rows,
        places=places,
        count=len(records),
        fields=tuple(field.name for field in plan.fields),
    )


def _cells(data: Bytes, records: CsvRecords, width: int) -> Cells | None:
    """Return the cells; None where an empty one is a text, which COPY could not tell from null."""
    kinds = kinds_of(data)
    separators = np.flatnonzero(kinds == 0)
    if len(separators) != len(records) * width:  # the screen has seen to it; without quotes every separator is one
        return None
    starts = np.zeros(len(separators), dtype=np.int64)
    starts[1:] = separators[:-1] + 1
    lengths = separators - starts
    nulls = _nulls(data, starts, lengths, records.null_values)
    if nulls is None:
        return None
    shape = (len(records), width)
    return cells_of(data, kinds, starts.reshape(shape), lengths.reshape(shape), nulls.reshape(shape))


def _seed(plan: PlainPlan, records: CsvRecords) -> int:
    """The same line is another row where other texts are null."""
    if records.null_values == ("",):
        return plan.seed
    return plan.seed ^ zlib.crc32(repr(records.null_values).encode())


def _nulls(data: Bytes, starts: Places, lengths: Places, null_values: Sequence[str]) -> Flags | None:
    found: Flags = lengths == 0
    if "" not in null_values and bool(found.any()):
        return None
    for value in null_values:
        text = value.encode()
        if not text:
            continue
        likely = np.flatnonzero(lengths == len(text))
        places = starts[likely]
        for at, byte in enumerate(text):
            same = data[places + at] == byte
            likely, places = likely[same], places[same]
        found[likely] = True
    return found


def _have_keys(cells: Cells, plan: PlainPlan) -> bool:
    return not bool(cells.nulls[:, plan.key].any()) and int(cells.lengths[:, plan.key].max()) <= LONGEST_KEY


def _lines(cells: Cells, plan: PlainPlan) -> Lines:
    """Return the records without the columns that no field takes and with null cells empty."""
    taken = {field.column for field in plan.fields}
    unused = [column for column in range(plan.width) if column not in taken]
    written = cells.nulls & (cells.lengths > 0)
    ends = cells.starts[:, -1] + cells.lengths[:, -1] + 1
    if not unused and not bool(written.any()):
        return Lines(data=cells.data, starts=np.append(cells.starts[:, 0], ends[-1]))
    kept = np.ones(len(cells.data), dtype=np.bool_)
    written[:, unused] = False
    kept[inside(cells.starts[written], cells.lengths[written])] = False
    lengths = ends - cells.starts[:, 0] - (cells.lengths * written).sum(axis=1)
    for column in unused:
        # A column goes with the delimiter behind it; those behind the last one that is taken, with the one before it.
        shift = 1 if column > max(taken) else 0
        kept[inside(cells.starts[:, column] - shift, cells.lengths[:, column] + 1)] = False
        lengths -= cells.lengths[:, column] + 1
    return Lines(data=cells.data[kept], starts=np.append(0, np.cumsum(lengths)))
