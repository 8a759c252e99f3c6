"""Finds the sound records of a range of CSV bytes before any parser sees them.

The rule is RFC 4180 taken strictly. A record ends at a line end (`\\n`, `\\r\\n`, a lone `\\r`) outside quotes. A cell
is either quoted from its first byte to its last, or holds no quote at all. Every record has as many cells as the
header. Of a record that breaks the rule only the first physical line is lost; the next line is tried as a new record.
Blank lines are nothing. Only where cells and quotes are sound but the text is not (a NUL, bytes that are no UTF-8), the
record is lost as a whole.

How this is done without looking at records one by one: whether a byte stands inside quotes depends only on how many
quotes stand between the start of its record and itself. So a range has just two readings, one for records that start
after an even number of quotes and one for those that start after an odd number, and every physical line starts exactly
one candidate, in one of the two. The candidates are judged all at once (`csv_judge`). What remains is the walk: a sound
candidate of several lines swallows them, every other line stands on its own.
"""

from dataclasses import dataclass

import numpy as np

from kasparro.sources.csv_bits import Flags, Positions
from kasparro.sources.csv_judge import Bytes, Candidates, Codes, Fault, Range, Rule, judge
from kasparro.sources.csv_utf8 import invalid_utf8

_LF, _CR = 10, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """What a range holds, in order. Offsets and lines count from 0 at the start of the range.

    Attributes:
        starts: First byte of each record or lost line.
        ends: The byte after it, line end included.
        lines: Its first physical line.
        faults: A `Fault` for each; a record is sound where it is 0.
        details: A number for each: its cells, or the cell at fault, counted from 1.
        consumed: Bytes that need not be read again; what follows is an incomplete record.
        consumed_lines: Physical lines in them.
        settled: Bytes whose reading does not depend on the file ending here; less than `consumed` only at the end.
        settled_lines: Physical lines in them.
    """

    starts: Positions
    ends: Positions
    lines: Positions
    faults: Codes
    details: Positions
    consumed: int
    consumed_lines: int
    settled: int
    settled_lines: int

    def __len__(self) -> int:
        return len(self.starts)


def screen(data: bytes, rule: Rule, *, at_end: bool) -> Screened:
    """Return the records of a range that starts at the start of a record. `at_end`: the file ends with it.

    Where nothing is consumed, more bytes are needed; or the first line is longer than the rule allows.
    """
    part = _cut(data, at_end=at_end)
    found = judge(part, rule)
    visited, stop = _walk(found)
    chosen = np.flatnonzero(visited & (part.text_ends > part.starts))
    faults = found.faults[chosen]
    last = np.where(faults == Fault.SOUND, found.last[chosen], chosen)
    starts, ends = part.starts[chosen], np.minimum(part.ends[last] + 1, part.size)
    consumed = _offset(part, stop)
    _mark_bytes(part.data[:consumed], starts, ends, faults)
    settled = _settled(part, found, rule, visited) if at_end else stop
    return Screened(
        starts=starts,
        ends=ends,
        lines=chosen,
        faults=faults,
        details=found.details[chosen],
        consumed=consumed,
        consumed_lines=stop,
        settled=_offset(part, settled),
        settled_lines=settled,
    )


def _cut(data: bytes, *, at_end: bool) -> Range:
    closed = at_end and data.endswith((b"\n", b"\r"))
    size = len(data) - (not at_end and data.endswith(b"\r"))  # a \n may follow
    padded = np.zeros((size // 64 + 2) * 64, dtype=np.uint8)
    padded[:size] = np.frombuffer(data, dtype=np.uint8, count=size)
    padded[size] = 0 if closed else _LF
    seen = size + (at_end and not closed and size > 0)
    if b"\r" not in data:
        text_ends = ends = np.flatnonzero(padded[:seen] == _LF)
    else:
        lone = (padded[:seen] == _CR) & (padded[1 : seen + 1] != _LF)
        ends = np.flatnonzero((padded[:seen] == _LF) | lone)
        text_ends = ends - ((padded[ends] == _LF) & (padded[ends - 1] == _CR) & (ends > 0))
    starts = np.zeros(len(ends), dtype=np.int64)
    starts[1:] = ends[:-1] + 1
    return Range(data=padded, size=size, at_end=at_end, starts=starts, ends=ends, text_ends=text_ends)


def _walk(found: Candidates) -> tuple[Flags, int]:
    """Return which lines start a record, and the first line that cannot be told yet.

    Only a line with an odd number of quotes can start a sound record of several lines; that record ends with the next
    such line. So among these lines, one is visited unless the one before it was visited and sound: they alternate,
    beginning afresh after each that is not sound.
    """
    count = len(found.last)
    odd = np.flatnonzero(found.odd)
    if len(odd) == 0:
        return np.ones(count, dtype=np.bool_), count
    sound = found.faults[odd] == Fault.SOUND
    order = np.arange(len(odd))
    fresh = np.append(True, ~sound[:-1])
    visited = (order - np.maximum.accumulate(np.where(fresh, order, 0))) % 2 == 0
    jumps = odd[visited & sound]
    landings = found.last[jumps]
    stop = count
    if len(jumps) and landings[-1] < 0:
        stop, landings[-1] = int(jumps[-1]), count - 1
    depth = np.zeros(count + 1, dtype=np.int8)
    depth[jumps + 1] += 1
    depth[landings + 1] -= 1
    reached = np.cumsum(depth[:count]) == 0
    reached[stop:] = False
    return reached, stop


def _offset(part: Range, line: int) -> int:
    """Return where a line starts; the line after the last one starts with the first byte that is in no line."""
    if line < len(part.starts):
        return int(part.starts[line])
    return min(int(part.ends[-1]) + 1, part.size) if len(part.ends) else 0


def _settled(part: Range, found: Candidates, rule: Rule, visited: Flags) -> int:
    """Return the first line that might be read differently if the file went on, or the number of lines."""
    count = len(part.starts)
    near = part.size - part.starts <= rule.longest
    unsure = (found.faults == Fault.QUOTE_OPEN) & (found.last < 0) & near
    if count and (part.data[part.size] == _LF or part.data[part.size - 1] == _CR):
        unsure |= (found.last == count - 1) & near
        unsure[-1] = True
    lines = np.flatnonzero(unsure & visited)
    return int(lines[0]) if len(lines) else count


def _mark_bytes(data: Bytes, starts: Positions, ends: Positions, faults: Codes) -> None:
    """Mark the sound records that hold a NUL or bytes that are no UTF-8."""
    if data.size == 0:
        return
    places = [(np.flatnonzero(data == 0), Fault.NUL)] if data.min() == 0 else []
    for positions, fault in (*places, (invalid_utf8(data), Fault.ENCODING)):
        owner = np.searchsorted(starts, positions, side="right") - 1
        inside = (owner >= 0) & (positions < ends[owner]) if len(ends) else np.zeros(len(owner), dtype=np.bool_)
        owner = owner[inside]
        faults[owner[faults[owner] == Fault.SOUND]] = fault
