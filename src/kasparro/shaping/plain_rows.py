"""Rows of plain pages: each record's line as it is, with its key, hash and origin in front."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kasparro.shaping.plain_cells import Bytes, Cells, Flags, Places, fits
from kasparro.shaping.plain_hash import Words, texts_of_numbers
from kasparro.shaping.plain_plan import PlainField

_BLOCK = 4096
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


def all_fit(cells: Cells, nulls: Flags, fields: Sequence[PlainField], *, utc: bool) -> bool:
    """Tell whether every cell that a field takes is a plain value of its type."""
    present = ~nulls
    return all(
        (not field.required or bool(present[:, field.column].all()))
        and fits(cells, field.column, field.type, present[:, field.column], utc=utc)
        for field in fields
    )


def inside(starts: Places, lengths: Places) -> Places:
    """Return the positions of all bytes of the pieces."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    positions: Places = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return positions


def spliced(keys: Keys, heads: Heads, lines: Lines) -> bytes:
    """Return `source,key,hash,run,page,index,` before each line; a block at a time, so that it stays in the cache."""
    head = np.frombuffer(f"{heads.source},".encode(), dtype=np.uint8)
    middle = _middle(heads)
    pieces = []
    for first in range(0, len(heads.hashes), _BLOCK):
        part = slice(first, min(first + _BLOCK, len(heads.hashes)))
        lengths = np.diff(lines.starts[part.start : part.stop + 1])
        key_starts, key_lengths = keys.starts[part], keys.lengths[part]
        ends = np.cumsum(len(head) + key_lengths + middle.shape[1] + lengths)
        out = np.empty(int(ends[-1]), dtype=np.uint8)
        at = np.append(0, ends[:-1])
        _put(out, at, head)
        at = at + len(head)
        out[inside(at, key_lengths)] = keys.data[inside(key_starts, key_lengths)]
        at = at + key_lengths
        _put(out, at, middle[part])
        at = at + middle.shape[1]
        out[inside(at, lengths)] = lines.data[int(lines.starts[part.start]) : int(lines.starts[part.stop])]
        pieces.append(out)
    return b"".join(piece.data for piece in pieces)


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
