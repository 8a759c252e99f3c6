"""Whether all cells of a column are written as PostgreSQL reads a type: told from the bytes in them, all at once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kasparro.model.dataset import FieldType

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_DIGIT, _SIGN, _POINT, _OTHER = 1, 2, 4, 8
_KIND = np.full(256, _OTHER, dtype=np.uint8)
_KIND[48:58] = _DIGIT
_KIND[ord("-")] = _SIGN
_KIND[ord(".")] = _POINT
_KIND[[ord(","), ord("\n"), ord('"')]] = 0

_MOST_DIGITS = 18
"""Digits of a whole number that certainly fits 64 bits."""

_DAY = 10
"""Length of YYYY-MM-DD."""

_LEAST = np.frombuffer(b"0000-00-00 00:00:00Z", dtype=np.uint8)
_MOST = np.frombuffer(b"9999-19-39T29:59:59Z", dtype=np.uint8)
"""Between these two, byte by byte, is every time; what else is between them is looked at by number."""

_BETWEEN = 10
"""Where the T or the space stands."""

_MONTHS, _HOURS = 12, 24
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of a page, by record and column: start, length, whether it is null; and the kind of each byte."""

    data: Bytes
    starts: Places
    lengths: Places
    nulls: Flags
    kinds: Bytes

    def between(self, first: int, last: int) -> Bytes:
        """Return the kinds of bytes of each record from one column to another, or-ed."""
        bounds = np.empty((len(self.starts), 2), dtype=np.int64)
        bounds[:, 0], bounds[:, 1] = self.starts[:, first], self.starts[:, last] + self.lengths[:, last]
        found: Bytes = np.bitwise_or.reduceat(self.kinds, bounds.ravel())[::2]
        return found


def kinds_of(data: Bytes) -> Bytes:
    """Return the kind of each byte; separators and quotes have none."""
    return np.frombuffer(bytearray(data).translate(_KIND.tobytes()), dtype=np.uint8)  # faster than numpy's own lookup


def cells_of(data: Bytes, kinds: Bytes, starts: Places, lengths: Places, nulls: Flags) -> Cells:
    """Return cells, each of which has something behind it; the last byte belongs to none.

    Bytes of nulls lose their kind, and a sign counts as such only at the start of its cell, before more.
    """
    signs = np.flatnonzero(kinds == _SIGN)
    inner = ((signs > 0) & (kinds[signs - 1] != 0)) | (kinds[signs + 1] & (_DIGIT | _POINT) == 0)
    kinds[signs[inner]] = _OTHER
    written = nulls & (lengths > 0)
    kinds[inside(starts[written], lengths[written])] = 0
    return Cells(data=data, starts=starts, lengths=lengths, nulls=nulls, kinds=kinds)


def inside(starts: Places, lengths: Places) -> Places:
    """Return the positions of all bytes of the pieces."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    positions: Places = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return positions


def are_integers(cells: Cells, first: int, last: int) -> bool:
    """Tell whether all cells of the columns from one to another that are present are whole numbers of 64 bits."""
    columns = slice(first, last + 1)
    lengths, nulls = cells.lengths[:, columns], cells.nulls[:, columns]
    filled = bool(((lengths > 0) | nulls).all()) and int((lengths * ~nulls).max()) <= _MOST_DIGITS
    return filled and not bool((cells.between(first, last) & ~np.uint8(_DIGIT | _SIGN)).any())


def fits(cells: Cells, column: int, kind: FieldType, *, utc: bool) -> bool:
    """Tell whether those cells of a column that are present are plain values of a type.

    Args:
        cells: Of a page.
        column: Its number.
        kind: The type.
        utc: Times that name no zone are in UTC, as PostgreSQL takes them.
    """
    if kind in {"text", "integer"}:
        return kind == "text" or are_integers(cells, column, column)
    present = ~cells.nulls[:, column]
    starts, lengths = cells.starts[:, column], cells.lengths[:, column]
    if not bool(present.all()):
        starts, lengths = starts[present], lengths[present]
    if len(starts) == 0:
        return True
    match kind:
        case "numeric" | "float":
            kinds = cells.between(column, column)[present]
            return _are_numbers(kinds, lengths) and _have_one_point(cells, starts, lengths, kinds)
        case "timestamp":
            return _are_instants(cells.data, starts, lengths, utc=utc)
        case "date":
            return bool((lengths == _DAY).all()) and _are_days(_window(cells.data, starts, _DAY))
        case _:
            return False


def _are_numbers(kinds: Bytes, lengths: Places) -> bool:
    return not bool((kinds & _OTHER).any()) and bool((kinds & _DIGIT).all()) and int(lengths.max()) <= _MOST_DIGITS


def _have_one_point(cells: Cells, starts: Places, lengths: Places, kinds: Bytes) -> bool:
    pointed = (kinds & _POINT) != 0
    begins, sizes = starts[pointed], lengths[pointed]
    counts = np.zeros(len(begins), dtype=np.int64)
    for at in range(int(sizes.max()) if len(sizes) else 0):  # by position, at most _MOST_DIGITS of them
        inside = at < sizes
        counts[inside] += cells.data[begins[inside] + at] == ord(".")
    return bool((counts <= 1).all())


def _are_instants(data: Bytes, starts: Places, lengths: Places, *, utc: bool) -> bool:
    """Tell whether all cells are YYYY-MM-DD, T or a space, HH:MM:SS, and Z unless times without zone are in UTC."""
    size = int(lengths[0])
    if size not in {len(_MOST) - utc, len(_MOST)} or not bool((lengths == size).all()):
        return False
    texts = _window(data, starts, size)
    between = texts[:, _BETWEEN]
    plain = bool(((between == ord("T")) | (between == ord(" "))).all()) and _are_days(texts)
    return plain and bool((_number(texts, 11, 13) < _HOURS).all())


def _window(data: Bytes, starts: Places, size: int) -> Bytes:
    found: Bytes = np.lib.stride_tricks.sliding_window_view(data, size)[starts]
    return found


def _are_days(texts: Bytes) -> bool:
    """Tell whether all texts lie between the least and the most, and begin with a day that exists."""
    size = texts.shape[1]
    if not bool(((texts >= _LEAST[:size]) & (texts <= _MOST[:size])).all()):
        return False
    years, months, days = _number(texts, 0, 4), _number(texts, 5, 7), _number(texts, 8, 10)
    if bool(((years < 1) | (months < 1) | (months > _MONTHS) | (days < 1)).any()):
        return False
    leap = (months == 2) & (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))  # noqa: PLR2004 - February
    return bool((days <= _DAYS[months] + leap).all())


def _number(texts: Bytes, start: int, stop: int) -> Places:
    found = np.zeros(len(texts), dtype=np.int64)
    for at in range(start, stop):
        found = found * 10 + (texts[:, at] - ord("0"))
    return found


def are_plain_numbers(data: Bytes, starts: Places, lengths: Places) -> bool:
    """Tell whether all these numbers are written without exponent, in few digits, and none is `-0`."""
    longest = int(lengths.max()) if len(lengths) else 0
    if longest > _MOST_DIGITS:
        return False
    for at in range(longest):
        reaching = starts[lengths > at] + at
        if bool((_KIND[data[reaching]] == _OTHER).any()):
            return False
    two = starts[lengths == len("-0")]
    return not bool(((data[two] == ord("-")) & (data[two + 1] == ord("0"))).any())
