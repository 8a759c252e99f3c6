"""Cuts a screened range into pages: the sound records verbatim, the lost lines with their reason."""

from dataclasses import dataclass

import numpy as np

from kasparro.model.page import CsvRecords, Reject
from kasparro.sources.csv_bits import Positions
from kasparro.sources.csv_judge import Fault
from kasparro.sources.csv_options import Dialect
from kasparro.sources.csv_reason import code, reason
from kasparro.sources.csv_screen import Screened

_LF, _CR = 10, 13
_MARK = b"\xef\xbb\xbf"
_KEPT = 64 * 1024
"""Bytes of a line that is too long that its reject keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is the same for all records of a file. `origin` is its name, without secrets."""

    columns: tuple[str, ...]
    dialect: Dialect
    null_values: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Records and lost lines of a range that make one page; `end` and `lines` are what the range has up to the next."""

    records: CsvRecords
    rejects: tuple[Reject, ...]
    end: int
    lines: int


def parts(data: bytes, found: Screened, layout: Layout, *, line: int, most: int) -> list[Part]:
    """Return the pages of a range; `line` is the number of its first line, `most` the most records of a page."""
    starts = range(0, len(found), most)
    return [_part(data, found, layout, slice(at, min(at + most, len(found))), line) for at in starts]


def nothing(layout: Layout) -> Part:
    """Return a page without records."""
    records = CsvRecords(
        columns=layout.columns,
        delimiter=layout.dialect.delimiter,
        quote=layout.dialect.quote,
        text=b"",
        content=b"",
        starts=(0,),
        lines=(),
        origin=layout.origin,
        null_values=layout.null_values,
    )
    return Part(records=records, rejects=(), end=0, lines=0)


def _part(data: bytes, found: Screened, layout: Layout, at: slice, line: int) -> Part:
    sound = np.flatnonzero(found.faults[at] == Fault.SOUND) + at.start
    starts, ends = found.starts[sound], found.ends[sound]
    content = gathered(data, starts, ends)
    bounds = np.zeros(len(sound) + 1, dtype=np.int64)
    np.cumsum(ends - starts, out=bounds[1:])
    records = CsvRecords(
        columns=layout.columns,
        delimiter=layout.dialect.delimiter,
        quote=layout.dialect.quote,
        text=parsed_text(content, bounds),
        content=content,
        starts=bounds.data,
        lines=(found.lines[sound] + line).data,
        origin=layout.origin,
        null_values=layout.null_values,
    )
    lost = np.flatnonzero(found.faults[at] != Fault.SOUND) + at.start
    last = at.stop == len(found)
    end, lines = (found.settled, found.settled_lines) if last else (found.starts[at.stop], found.lines[at.stop])
    return Part(
        records=records,
        rejects=tuple(_reject(data, found, layout, int(one), line) for one in lost),
        end=min(int(end), found.settled),
        lines=min(int(lines), found.settled_lines),
    )


def gathered(data: bytes, starts: Positions, ends: Positions) -> bytes:
    """Return the pieces one after the other."""
    if len(starts) == 0:
        return b""
    if bool((starts[1:] == ends[:-1]).all()):
        return data[int(starts[0]) : int(ends[-1])]
    depth = np.zeros(len(data) + 1, dtype=np.int8)
    depth[starts] += 1
    depth[ends] -= 1
    kept = np.cumsum(depth[:-1], dtype=np.int8).view(np.bool_)
    return np.frombuffer(data, dtype=np.uint8)[kept].tobytes()


def parsed_text(content: bytes, bounds: Positions) -> bytes:
    """Return the records with each line end as one `\\n`; the very same bytes where nothing has to change.

    A byte order mark at the start is text here, but would be skipped by the parser: it gets a second one to skip.
    """
    text = content
    if b"\r" in content:
        changed = np.frombuffer(content, dtype=np.uint8).copy()
        last = bounds[1:] - 1
        crlf = last[(changed[last] == _LF) & (changed[last - 1] == _CR)] - 1
        changed[last[changed[last] == _CR]] = _LF
        text = np.delete(changed, crlf).tobytes()
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return _MARK + text if text.startswith(_MARK) else text


def _reject(data: bytes, found: Screened, layout: Layout, at: int, line: int) -> Reject:
    fault = Fault(int(found.faults[at]))
    start, end = int(found.starts[at]), int(found.ends[at])
    raw = data[start : min(end, start + _KEPT) if fault is Fault.TOO_LONG else end]
    why = reason(fault, int(found.details[at]), width=len(layout.columns))
    return Reject(
        place=f"{layout.origin}:{int(found.lines[at]) + line}",
        code=code(fault),
        reason=f"The record {why}." + (f" Only its first {_KEPT} bytes are kept." if fault is Fault.TOO_LONG else ""),
        raw=raw.decode("utf-8", "backslashreplace").rstrip("\r\n").replace("\x00", "\\x00"),
    )
