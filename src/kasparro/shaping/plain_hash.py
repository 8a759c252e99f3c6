"""Hashes of lines and texts of numbers, for all records of a page at once."""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_ODD = 0x9E3779B97F4A7C15
_TOP = np.uint64(1 << 62)
_WIDTH = 8
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(_WIDTH)], dtype=np.uint64)
"""Of a word, the bytes that still belong to the line."""


def line_hashes(data: Bytes, starts: Places, ends: Places, seed: int) -> Words:
    """Return a number of 19 digits for each line: a polynomial in an odd base over its words, modulo 2^64, then mixed.

    A word is eight bytes; the last one of a line holds the rest, and may be empty. Words are first mixed, so that lines
    that differ in few bits are told apart as surely as others (polynomial hashing; see Carter and Wegman, "Universal
    classes of hash functions", 1979). All lines are served at once.
    """
    lengths = ends - starts
    counts = lengths // _WIDTH + 1
    lasts = np.cumsum(counts) - 1
    firsts = lasts + 1 - counts
    within = np.arange(int(lasts[-1]) + 1 if len(lasts) else 0, dtype=np.int64)
    within -= np.repeat(firsts, counts)
    places = np.repeat(starts, counts)
    places += within * _WIDTH
    words = _words_at(data, places)
    words[lasts] &= _MASKS[lengths % _WIDTH]
    _mix(words)
    words *= _powers(int(counts.max()) if len(counts) else 0)[within]
    found: Words = np.add.reduceat(words, firsts) if len(firsts) else words
    found ^= lengths.astype(np.uint64) * np.uint64(_ODD) ^ np.uint64(seed)
    _mix(found)
    return (found >> np.uint64(2)) | _TOP


def _words_at(data: Bytes, places: Places) -> Words:
    """Return the eight bytes from each place on, as little-endian numbers."""
    padded = np.append(data, np.zeros(_WIDTH, dtype=np.uint8))
    unaligned = np.ndarray(shape=(len(data) + 1,), dtype="<u8", buffer=padded, strides=(1,))
    return unaligned[places].astype(np.uint64, copy=False)


def _mix(words: Words) -> None:
    """Spread every bit over all others, in place (the finaliser of SplitMix64)."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)


def _powers(count: int) -> Words:
    return np.cumprod(np.full(count, _ODD, dtype=np.uint64), dtype=np.uint64)


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
