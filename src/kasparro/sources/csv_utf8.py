"""Where bytes are not UTF-8, for all of a range at once."""
# ruff: noqa: PLR2004 - the numbers are those of table 3-7 of the Unicode Standard

import codecs

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def invalid_utf8(data: Bytes) -> npt.NDArray[np.int64]:
    """Return positions of bytes that are in no valid UTF-8 sequence: at least one for each broken one.

    Empty exactly where Python's strict decoder accepts the bytes.
    """
    if data.size == 0 or data.max() < 0x80:
        return np.empty(0, dtype=np.int64)
    try:
        codecs.utf_8_decode(data.data, "strict", True)
    except UnicodeDecodeError:
        return _broken(np.append(data, np.uint8(0)))
    return np.empty(0, dtype=np.int64)


def _broken(data: Bytes) -> npt.NDArray[np.int64]:
    """Compare each byte with the three before it. The last byte is ASCII."""
    first, second, third = (_moved(data, distance) for distance in (1, 2, 3))
    goes_on = ((data & 0xC0) == 0x80).view(np.uint8)
    once, twice = _moved(goes_on, 1) == 1, _moved(goes_on, 2) == 1
    continues = goes_on == 1
    expected = (first >= 0xC0) | ((second >= 0xE0) & once) | ((third >= 0xF0) & once & twice)
    outside = (
        ((first == 0xE0) & (data < 0xA0))
        | ((first == 0xED) & (data >= 0xA0))
        | ((first == 0xF0) & (data < 0x90))
        | ((first == 0xF4) & (data >= 0x90))
    )
    never = (data == 0xC0) | (data == 0xC1) | (data >= 0xF5)
    wrong = never | (continues & (~expected | outside))
    wrong[:-1] |= (expected & ~continues)[1:]
    return np.flatnonzero(wrong)


def _moved(values: Bytes, distance: int) -> Bytes:
    moved = np.zeros_like(values)
    moved[distance:] = values[:-distance]
    return moved
