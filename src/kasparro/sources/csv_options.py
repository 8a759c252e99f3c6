"""How a CSV file is declared to be written, and how it is: plain values that cost nothing to load."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kasparro.sources.files import Compression


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a declaration says about how the file is written. None means: recognise it."""

    delimiter: str | None = None
    quote: str | None = None
    header: bool | None = None
    columns: tuple[str, ...] = ()
    skip_lines: int = 0
    encoding: str | None = None
    null_values: tuple[str, ...] = ("",)
    compression: Compression = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How cells are separated and quoted; `quote` None means that nothing is quoted."""

    delimiter: str
    quote: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place between two records: bytes and physical lines before it, and the CRC-32 of those bytes."""

    offset: int
    lines: int
    crc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A file to open: where it is, what it is called, what is stated about it, and how it is to be read."""

    path: Path
    origin: str
    options: Options
    scratch: Path
    page_bytes: int
    page_records: int


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with blank ones numbered (`column_3`) and repeated ones counted (`name_2`)."""
    found: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for number, name in enumerate(names, start=1):
        free = stem = name or f"column_{number}"
        while free in found or (free != name and free in names):
            counts[stem] += 1
            free = f"{stem}_{counts[stem] + 1}"
        found[free] = None
    return tuple(found)
