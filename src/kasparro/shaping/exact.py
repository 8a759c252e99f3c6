"""Keeps the numbers of a JSON text exact on their way through a reader that turns them into doubles.

DuckDB reads `0.12345678901234567891` as `0.12345678901234568` and `1.10` as `1.1`. So every number that is not a plain
integer is put into quotes behind a mark before it is read, as `"<mark>1.10"`, and taken out again afterwards. The mark
is a private-use character that the text does not hold. All of it is vectorised over the bytes.
"""

import numpy as np
from numpy.typing import NDArray

_MARKS = range(0xE000, 0xF900)
"""The private-use characters of the basic plane: 6,400 of them."""

_QUOTE, _BACKSLASH, _DOT = 34, 92, 46

_DIGIT = np.zeros(256, dtype=bool)
_DIGIT[list(b"0123456789")] = True
_NUMBER = _DIGIT.copy()
_NUMBER[list(b"+-.eE")] = True


def protect(text: bytes) -> tuple[bytes, str | None]:
    """Return the text with its inexact numbers quoted and marked, and the mark; None when there were none.

    Args:
        text: Valid JSON texts, separated by anything that is no part of a number or string.
    """
    data = np.frombuffer(text, dtype=np.uint8)
    points = _candidates(data)
    if points.size:
        points = points[~_inside_strings(data, points)]
    if not points.size:
        return text, None
    mark = next((chr(code) for code in _MARKS if chr(code).encode() not in text), None)
    if mark is None:
        raise ValueError("the text uses every private mark")
    starts, ends = _tokens(data, points)
    opening = np.frombuffer(b'"' + mark.encode(), dtype=np.uint8)
    where = np.concatenate([np.repeat(starts, opening.size), ends])
    what = np.concatenate([np.tile(opening, starts.size), np.full(ends.size, _QUOTE, dtype=np.uint8)])
    return np.insert(data, where, what).tobytes(), mark


def _candidates(data: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Positions of a point or an exponent that follows a digit."""
    sign = np.flatnonzero((data == _DOT) | ((data | 32) == ord("e")))
    sign = sign[(sign > 0) & (sign < data.size - 1)]
    return sign[_DIGIT[data[sign - 1]] & _NUMBER[data[sign + 1]]]


def _inside_strings(data: NDArray[np.uint8], points: NDArray[np.intp]) -> NDArray[np.bool_]:
    quotes = np.flatnonzero(data == _QUOTE)
    escaped = np.zeros(quotes.size, dtype=bool)
    open_runs = np.flatnonzero((quotes > 0) & (data[quotes - 1] == _BACKSLASH))
    depth = 1
    while open_runs.size:  # as often as the longest run of backslashes
        escaped[open_runs] = depth % 2 == 1
        depth += 1
        far = quotes[open_runs] - depth
        open_runs = open_runs[(far >= 0) & (data[far] == _BACKSLASH)]
    return np.asarray(np.searchsorted(quotes[~escaped], points) % 2 == 1)


def _tokens(data: NDArray[np.uint8], points: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Start and end of the number around each point, each number once (`1.5e3` has two points)."""
    bounds = np.concatenate([[-1], np.flatnonzero(~_NUMBER[data]), [data.size]])
    after = np.searchsorted(bounds, points)
    starts, ends = bounds[after - 1] + 1, bounds[after]
    unique, first = np.unique(starts, return_index=True)
    return unique, ends[first]
