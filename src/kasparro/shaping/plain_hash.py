"""Hashes of lines and texts of numbers, for all records of a page at once."""

from functools import cache

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_ODD = 0x9E3779B97F4A7C15
_BITS = 64
_BLOCK = 1 << 20
_TOP = np.uint64(1 << 62)


def line_hashes(data: Bytes, starts: Places, ends: Places, seed: int) -> Words:
    """Return a number of 19 digits for each line: a polynomial in an odd base over its bytes, modulo 2^64, then mixed.

    Byte values are first replaced by random words, so that lines that differ in few bytes are told apart as surely as
    others (polynomial hashing; see Carter and Wegman, "Universal classes of hash functions", 1979). The lines follow
    each other: one pass over the page serves all of them.
    """
    words, powers, inverses = _words(), _powers(), _inverses()
    found = np.zeros(len(starts), dtype=np.uint64)
    for first in range(0, len(starts), _lines_per_block(starts, ends)):
        last = min(first + _lines_per_block(starts, ends), len(starts))
        begin, end = int(starts[first]), int(ends[last - 1])
        if end - begin > _BLOCK:
            return _slowly(data, starts, ends, seed)
        terms = words.take(data[begin:end])
        terms *= powers[: end - begin]
        sums = np.add.reduceat(terms, starts[first:last] - begin)
        found[first:last] = sums * inverses[starts[first:last] - begin]
    found ^= (ends - starts).astype(np.uint64) * np.uint64(_ODD) ^ np.uint64(seed)
    return _mixed(found)


def _lines_per_block(starts: Places, ends: Places) -> int:
    longest = int((ends - starts).max())
    return max(_BLOCK // max(longest, 1), 1)


def _slowly(data: Bytes, starts: Places, ends: Places, seed: int) -> Words:
    """The same where a line is longer than the tables: each such page is rare, and each such line is long."""
    base, found = _ODD, np.zeros(len(starts), dtype=np.uint64)
    words = _words()
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        powers = np.cumprod(np.full(end - start, base, dtype=np.uint64), dtype=np.uint64) * np.uint64(
            pow(base, -1, 1 << _BITS)
        )
        found[number] = (words[data[start:end]] * powers).sum(dtype=np.uint64)
    found ^= (ends - starts).astype(np.uint64) * np.uint64(_ODD) ^ np.uint64(seed)
    return _mixed(found)


def _mixed(values: Words) -> Words:
    """Spread every bit over all others (the finaliser of SplitMix64), and make it a number of 19 digits."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return (values >> np.uint64(2)) | _TOP


def texts_of_numbers(numbers: Words) -> Bytes:
    """Return each number as decimal digits, all as wide as the widest, with leading zeros."""
    width = len(str(int(numbers.max()))) if len(numbers) else 1
    digits = np.empty((len(numbers), width), dtype=np.uint8)
    left = numbers
    for place in range(width - 1, -1, -1):
        rest = left // np.uint64(10)
        digits[:, place] = left - rest * np.uint64(10)
        left = rest
    digits += 48
    return digits


@cache
def _words() -> Words:
    return _mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_ODD)) | np.uint64(1)


@cache
def _powers() -> Words:
    found = np.full(_BLOCK, _ODD, dtype=np.uint64)
    found[0] = 1
    return np.cumprod(found, dtype=np.uint64)


@cache
def _inverses() -> Words:
    found = np.full(_BLOCK, pow(_ODD, -1, 1 << _BITS), dtype=np.uint64)
    found[0] = 1
    return np.cumprod(found, dtype=np.uint64)
