"""Rows of plain pages: each record's line as it is, with its key, hash and origin in front."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kasparro.model.shaped import RowPlaces
from kasparro.shaping.plain_cells import Bytes, Cells, Places, are_integers, fits, inside
from kasparro.shaping.plain_hash import Words, texts_of_numbers
from kasparro.shaping.plain_plan import PlainField

_BLOCK = 16_384
_HASH = 19
"""Digits of a hash."""

_IN_TURN = np.array([False, True])
LONGEST_KEY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What the rows end with: all lines one after the other, and where each starts; one number more than there are."""

    data: Bytes
    starts: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The record keys as they are written into the rows: pieces of `data`."""

    data: Bytes
    starts: Places
    lengths: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What stands in the rows around the key. `pages` and `indexes` are those of each record; `pages` may be one."""

    source: str
    run_id: int
    hashes: Words
    pages: int | Places
    indexes: Places


def all_fit(cells: Cells, fields: Sequence[PlainField], *, utc: bool) -> bool:
    """Tell whether every cell that a field takes is a plain value of its type; whole numbers are looked at together."""
    if any(field.required and bool(cells.nulls[:, field.column].any()) for field in fields):
        return False
    whole = [field.column for field in fields if field.type == "integer"]
    return all(are_integers(cells, first, last) for first, last in _runs(whole)) and all(
        fits(cells, field.column, field.type, utc=utc) for field in fields if field.type != "integer"
    )


def _runs(columns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of columns that stand side by side. They are given in ascending order."""
    first = 0
    for at, column in enumerate(columns):
        if at + 1 == len(columns) or columns[at + 1] != column + 1:
            yield columns[first], column
            first = at + 1


def spliced(keys: Keys, heads: Heads, lines: Lines) -> tuple[bytes, RowPlaces]:
    """Return `source,key,hash,run,page,index,` before each line; a block at a time, so that it stays in the cache."""
    head = np.frombuffer(f"{heads.source},".encode(), dtype=np.uint8)
    middle = _middle(heads)
    sizes = len(head) + keys.lengths + middle.shape[1] + np.diff(lines.starts)
    starts = np.append(0, np.cumsum(sizes))
    pieces = []
    for first in range(0, len(heads.hashes), _BLOCK):
        part = slice(first, min(first + _BLOCK, len(heads.hashes)))
        key_starts, key_lengths = keys.starts[part], keys.lengths[part]
        runs = np.empty((len(key_lengths), 2), dtype=np.int64)
        runs[:, 1] = np.diff(lines.starts[part.start : part.stop + 1])
        runs[:, 0] = sizes[part] - runs[:, 1]
        at = starts[part] - starts[part.start]
        out = np.empty(int(starts[part.stop] - starts[part.start]), dtype=np.uint8)
        # By flags: numpy copies each run of them as a whole.
        in_line = np.repeat(np.tile(_IN_TURN, len(runs)), runs.ravel())
        out[in_line] = lines.data[int(lines.starts[part.start]) : int(lines.starts[part.stop])]
        _put(out, at, head)
        at += len(head)
        out[inside(at, key_lengths)] = keys.data[inside(key_starts, key_lengths)]
        _put(out, at + key_lengths, middle[part])
        pieces.append(out)
    cuts = starts[:-1] + len(head) + keys.lengths + 1 + _HASH
    return b"".join(piece.data for piece in pieces), RowPlaces(starts=starts.data, cuts=cuts.data)


def _middle(heads: Heads) -> Bytes:
    """Return `,hash,run,page,index,` of each record, all of the same width."""
    parts: list[bytes | Places | Words] = [b",", heads.hashes]
    if isinstance(heads.pages, int):
        parts += [f",{heads.run_id},{heads.pages},".encode()]
    else:
        parts += [f",{heads.run_id},".encode(), heads.pages, b","]
    parts += [heads.indexes, b","]
    return np.hstack([_column(part, len(heads.hashes)) for part in parts])


def _column(part: bytes | Places | Words, count: int) -> Bytes:
    """Return the texts of numbers, or one text for all."""
    if isinstance(part, bytes):
        text = np.frombuffer(part, dtype=np.uint8)
        return np.broadcast_to(text, (count, len(text)))
    return texts_of_numbers(part.astype(np.uint64))


def _put(out: Bytes, places: Places, block: Bytes) -> None:
    """Write a block of the same width at each place: the same one, or one row of it each."""
    width = block.shape[-1]
    view = np.lib.stride_tricks.sliding_window_view(out, width, writeable=True)
    view[places] = block
