"""Judges the record that each physical line of a range starts, all lines at once."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from kasparro.sources.csv_bits import Flags, Positions, Words, after, at, before, count_before, pack, parity, where
from kasparro.sources.csv_options import Dialect

LONGEST = 1024 * 1024
"""Most bytes of one record. It bounds how far an opening quote may look for its end, and so the memory of a read."""

_LF, _CR = 10, 13

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint8]


class Fault(IntEnum):
    """Why a record is not sound."""

    SOUND = 0
    WIDTH = 1
    QUOTE_INSIDE = 2
    QUOTE_FOLLOWED = 3
    QUOTE_OPEN = 4
    TOO_LONG = 5
    NUL = 6
    ENCODING = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a sound record is.

    Attributes:
        delimiter: One ASCII byte.
        quote: One ASCII byte; None where nothing is quoted.
        width: Cells of every record; None takes any number.
        longest: Most bytes of a record without its line end.
    """

    delimiter: bytes
    quote: bytes | None
    width: int | None
    longest: int = LONGEST


def rule_of(dialect: Dialect, width: int | None, longest: int = LONGEST) -> Rule:
    """Return what a sound record of a dialect is."""
    quote = None if dialect.quote is None else dialect.quote.encode()
    return Rule(delimiter=dialect.delimiter.encode(), quote=quote, width=width, longest=longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The bytes, padded to whole words, and the physical lines in them.

    `size` counts the bytes that are really there. Unless the last of them ends the last line of the file, a line end
    stands at `size`, so that a quote there counts as closed; it ends a line only where the file ends.
    """

    data: Bytes
    size: int
    at_end: bool
    starts: Positions
    ends: Positions
    text_ends: Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The record that each physical line starts.

    Attributes:
        odd: The line holds an odd number of quotes, so that its candidate goes on to another line.
        last: Last line of the candidate; -1 where it is not in the range. Sound and -1: it cannot be told yet.
        faults: A `Fault` for each.
        details: Cells of the candidate, or the cell at fault, counted from 1.
    """

    odd: Flags
    last: Positions
    faults: Codes
    details: Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One of the two readings of a range: what the bytes are for the records that start at the given lines.

    `bounds` are the start of the first of them and the end of each; from an end to the next start is but a line end.
    """

    lines: Positions
    last: Positions
    starts: Positions
    bounds: Positions
    delimiters: Words
    stray: Words
    trailed: Words

    def cell_at(self, chosen: Positions | Flags, places: Positions) -> Positions:
        """Return in which cell of the chosen records each place stands, counted from 1."""
        return count_before(self.delimiters, places) - count_before(self.delimiters, self.starts[chosen]) + 1


def judge(part: Range, rule: Rule) -> Candidates:
    """Return a candidate for each line. Lines that cannot be visited may be left unjudged."""
    delimiters = pack(part.data == rule.delimiter[0])
    quotes = None if rule.quote is None else pack(part.data == rule.quote[0])
    if quotes is not None and quotes.any():
        return _judge_quoted(part, rule, delimiters, quotes)
    cells = np.diff(count_before(delimiters, part.ends), prepend=0) + 1
    faults = _width_faults(cells, rule)
    faults[part.text_ends - part.starts > rule.longest] = Fault.TOO_LONG
    return Candidates(odd=np.zeros(len(cells), np.bool_), last=np.arange(len(cells)), faults=faults, details=cells)


def _width_faults(cells: Positions, rule: Rule) -> Codes:
    wrong = np.zeros(len(cells), np.bool_) if rule.width is None else cells != rule.width
    return wrong * np.uint8(Fault.WIDTH)


def _judge_quoted(part: Range, rule: Rule, delimiters: Words, quotes: Words) -> Candidates:
    inside = parity(quotes)
    edges = delimiters | quotes | pack((part.data == _LF) | (part.data == _CR))
    stray, trailed = quotes & ~after(edges), quotes & ~before(edges)
    ends_odd = at(inside, part.ends)
    count = len(part.ends)
    starts_odd = np.append(False, ends_odd[:-1])[:count]
    found = Candidates(
        odd=ends_odd != starts_odd,
        last=np.arange(count),
        faults=np.zeros(count, np.uint8),
        details=np.zeros(count, np.int64),
    )
    for odd_reading in (False, True):
        within = ~inside if odd_reading else inside
        stops = np.flatnonzero(ends_odd == odd_reading)
        befores = stops if odd_reading else np.append(-1, stops)
        lines = (befores + 1)[befores + 1 < count]
        if len(lines) == 0:
            continue
        last = np.append(befores[1:], -1)[: len(lines)]
        reading = _Reading(
            lines=lines,
            last=last,
            starts=part.starts[lines],
            bounds=np.append(part.starts[lines[0]], np.where(last < 0, part.size, part.ends[last])),
            delimiters=delimiters & ~within,
            stray=stray & within,
            trailed=trailed & ~within,
        )
        _judge_reading(part, rule, reading, found)
        if not (found.odd & (found.faults != Fault.SOUND)).any():
            break  # no record of several lines was lost, so no line inside one is ever visited
    return found


def _judge_reading(part: Range, rule: Rule, reading: _Reading, found: Candidates) -> None:
    """Write the candidates of one reading into `found`."""
    lines, last, starts = reading.lines, reading.last, reading.starts
    open_ended = last < 0
    cells = np.diff(count_before(reading.delimiters, reading.bounds)) + 1
    faults = _width_faults(cells, rule)
    faults[open_ended] = Fault.SOUND
    length = np.where(open_ended, part.size, part.text_ends[last]) - starts
    unclosed = (length > rule.longest) | (open_ended & part.at_end)
    faults[unclosed] = Fault.QUOTE_OPEN
    cells[unclosed] = reading.cell_at(unclosed, part.ends[lines[unclosed]])
    _judge_quotes(reading, rule, faults, cells)
    faults[part.text_ends[lines] - starts > rule.longest] = Fault.TOO_LONG
    found.last[lines], found.faults[lines], found.details[lines] = last, faults, cells


def _judge_quotes(reading: _Reading, rule: Rule, faults: Codes, details: Positions) -> None:
    """Mark the candidates that hold a quote where none may be; the first of them is named."""
    wrong = reading.stray | reading.trailed
    if not wrong.any():
        return
    suspects = np.flatnonzero(np.diff(count_before(wrong, reading.bounds)))
    places = where(wrong)
    first = places[np.searchsorted(places, reading.starts[suspects])]
    near = first - reading.starts[suspects] < rule.longest
    suspects, first = suspects[near], first[near]
    faults[suspects] = np.where(at(reading.stray, first), Fault.QUOTE_INSIDE, Fault.QUOTE_FOLLOWED)
    details[suspects] = reading.cell_at(suspects, first)
