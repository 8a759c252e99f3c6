"""Entity tags of pages, made of the version of the data and of the question.

Weak, because each answer also holds its own request id. The version can be read from the tag again, so that one
statement can compare it and read no row when nothing has changed.
"""

import re
from hashlib import blake2b

_TAG = re.compile(r'W/"([0-9a-f]{16})-([0-9a-f]{16})"')


def question(*parts: object) -> str:
    """Return the digest of what was asked; `parts` also name the form of the answer."""
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def tag(version: int, asked: str) -> str:
    """Return the entity tag of an answer. The version is a signed number of 64 bits."""
    return f'W/"{version & 0xFFFF_FFFF_FFFF_FFFF:016x}-{asked}"'


def versions(if_none_match: str | None, asked: str) -> tuple[int, ...]:
    """Return the versions of this very question that the reader has."""
    if if_none_match is None:
        return ()
    found = (match.groups() for match in _TAG.finditer(if_none_match))
    return tuple(_signed(int(version, 16)) for version, of in found if of == asked)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
