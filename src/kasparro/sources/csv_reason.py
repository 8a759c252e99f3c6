"""What is said about records that are not sound."""

from collections.abc import Mapping
from types import MappingProxyType

from kasparro.sources.csv_judge import LONGEST, Fault

_SAID: Mapping[Fault, tuple[str, str]] = MappingProxyType(
    {
        Fault.WIDTH: ("width", "has {cells}, there are {width} columns"),
        Fault.QUOTE_INSIDE: ("quote", "has a quote inside the unquoted cell {detail}"),
        Fault.QUOTE_FOLLOWED: ("quote", "goes on after the closing quote of cell {detail}"),
        Fault.QUOTE_OPEN: (
            "quote",
            "opens a quote in cell {detail} that is not closed in the file, or not within {longest} bytes",
        ),
        Fault.TOO_LONG: ("too_long", "is longer than {longest} bytes"),
        Fault.NUL: ("nul", "holds a NUL byte"),
        Fault.ENCODING: ("encoding", "holds bytes that are not UTF-8"),
    }
)


def code(fault: Fault) -> str:
    """Return the stable slug of a fault."""
    return _SAID[fault][0]


def reason(fault: Fault, detail: int, *, width: int) -> str:
    """Return why a record is not sound, as the rest of a sentence about it. `width`: the number of columns."""
    return _SAID[fault][1].format(detail=detail, cells=cell_count(detail), width=width, longest=LONGEST)


def cell_count(number: int) -> str:
    """Return a number of cells in words."""
    return "1 cell" if number == 1 else f"{number} cells"
