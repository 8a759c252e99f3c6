"""Reads a file range by range, each cut into pages. Memory depends on the size of a range, not of the file."""

from dataclasses import dataclass

import numpy as np

from kasparro.errors import Broken
from kasparro.sources.csv_judge import LONGEST, Fault, Rule, rule_of
from kasparro.sources.csv_options import Spot
from kasparro.sources.csv_page import Layout, Part, parts
from kasparro.sources.csv_screen import Screened, screen
from kasparro.sources.files import CHUNK, checksum, read_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An open file. `size` is what it had when it was opened: what is added later is left for the next run."""

    file: int
    size: int
    layout: Layout
    page_bytes: int
    page_records: int
    longest: int = LONGEST

    @property
    def rule(self) -> Rule:
        """What a sound record is."""
        return rule_of(self.layout.dialect, len(self.layout.columns), self.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Pages of one range, each with the spot to resume from, and where the next range starts."""

    pages: tuple[tuple[Part, Spot], ...]
    next: Spot


def step(reading: Reading, spot: Spot) -> Step:
    """Return the next range after the spot. Blocks.

    Raises:
        Broken: the file has become shorter.
    """
    data, found = _range(reading, spot.offset)
    pages = list[tuple[Part, Spot]]()
    here = spot
    for part in parts(data, found, reading.layout, line=spot.lines + 1, most=reading.page_records):
        here = _moved(reading, here, spot.offset + part.end, spot.lines + part.lines)
        pages.append((part, here))
    beyond = _moved(reading, here, spot.offset + found.consumed, spot.lines + found.consumed_lines)
    return Step(pages=tuple(pages), next=beyond)


def _moved(reading: Reading, spot: Spot, offset: int, lines: int) -> Spot:
    return Spot(offset=offset, lines=lines, crc=checksum(reading.file, spot.offset, offset, spot.crc))


def _range(reading: Reading, offset: int) -> tuple[bytes, Screened]:
    """Return the bytes of the next range, as many as it takes to tell at least one record."""
    count = reading.page_bytes
    while True:
        wanted = min(count, reading.size - offset)
        data = read_at(reading.file, offset, wanted)
        if len(data) < wanted:
            raise Broken(f"{reading.layout.origin} became shorter while it was read; run again when it is written")
        found = screen(data, reading.rule, at_end=offset + wanted == reading.size)
        if found.consumed > 0 or offset + wanted == reading.size:
            return data, found
        if len(data) > reading.longest and not _has_line_end(data[: reading.longest + 1]):
            return data, _skipped(reading, offset)
        count *= 2


def _has_line_end(data: bytes) -> bool:
    return b"\n" in data or b"\r" in data


def _skipped(reading: Reading, offset: int) -> Screened:
    """Return the one lost line that starts here and is longer than any record may be."""
    length = _line_end(reading, offset) - offset
    ended = offset + length < reading.size or read_at(reading.file, reading.size - 1, 1) == b"\n"
    return Screened(
        starts=np.zeros(1, dtype=np.int64),
        ends=np.array([length]),
        lines=np.zeros(1, dtype=np.int64),
        faults=np.array([Fault.TOO_LONG], dtype=np.uint8),
        details=np.zeros(1, dtype=np.int64),
        consumed=length,
        consumed_lines=1,
        settled=length if ended else 0,
        settled_lines=1 if ended else 0,
    )


def _line_end(reading: Reading, offset: int) -> int:
    """Return where the next line starts, or the size of the file."""
    for at in range(offset, reading.size, CHUNK):
        piece = read_at(reading.file, at, min(CHUNK, reading.size - at))
        places = [place for place in (piece.find(b"\n"), piece.find(b"\r")) if place >= 0]
        if places:
            end = at + min(places) + 1
            crlf = piece[min(places) : min(places) + 1] == b"\r" and read_at(reading.file, end, 1) == b"\n"
            return min(end + crlf, reading.size)
    return reading.size
