"""One bit per byte: masks of a byte range, 64 positions to a word, so that a question about every byte costs little."""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_WORD = np.dtype("<u8")
_ONE = np.uint64(1)
_TOP = np.uint64(63)


def pack(mask: Flags) -> Words:
    """Return the mask as bits; its length is a multiple of 64."""
    return np.packbits(mask, bitorder="little").view(_WORD)


def parity(words: Words) -> Words:
    """Return at each position whether the number of bits set up to and including it is odd.

    Prefix XOR by doubling inside a word, then a carry from word to word: what Langdale and Lemire do with one
    carry-less multiplication ("Parsing Gigabytes of JSON per Second", 2019).
    """
    inside = words.copy()
    for distance in (1, 2, 4, 8, 16, 32):
        inside ^= inside << np.uint64(distance)
    carried = np.bitwise_xor.accumulate(inside >> _TOP)
    inside[1:] ^= np.uint64(0) - carried[:-1]
    return inside


def after(words: Words) -> Words:
    """Return at each position the bit of the position before it; the start counts as set."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _TOP
    moved[0] |= _ONE
    return moved


def before(words: Words) -> Words:
    """Return at each position the bit of the position after it; nothing stands after the last."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _TOP
    return moved


def where(words: Words) -> Positions:
    """Return the positions of the bits that are set, in order."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))


def at(words: Words, positions: Positions) -> Flags:
    """Return the bits at the positions."""
    bits: Words = words[positions >> 6] >> (positions & 63).astype(np.uint64)
    found: Flags = (bits & _ONE).astype(np.bool_)
    return found


def count_before(words: Words, positions: Positions) -> Positions:
    """Return how many bits are set before each of the positions."""
    totals = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum(np.bitwise_count(words), out=totals[1:])
    word = positions >> 6
    below = (_ONE << (positions & 63).astype(np.uint64)) - _ONE
    counts: Positions = totals[word] + np.bitwise_count(words[word] & below)
    return counts
