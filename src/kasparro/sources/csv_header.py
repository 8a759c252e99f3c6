"""What the columns of a CSV file are called, and where its first record is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kasparro.errors import Misconfigured, SchemaBroken
from kasparro.sources.csv_dialect import Trial
from kasparro.sources.csv_judge import Fault
from kasparro.sources.csv_options import Dialect, Options, unique
from kasparro.sources.csv_reason import cell_count, reason

_ROWS = 200
"""Records that are looked at to tell a header from data."""

_TENTH = 10

_VALUE = re.compile(
    r"""
      [-+]?[$€£¥]?\s?(\d{1,3}([,.'\ ]\d{3})+|\d+)?([.,]\d+)?([eE][-+]?\d+)?\s?[%$€£¥]?   # a number
    | (\d{1,4}(?P<part>[-/.])\d{1,2}(?P=part)\d{1,4}[T\ ]?)?          # a date, a time or both
      (\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(\ ?[AaPp][Mm])?)?\s?(Z|[-+]\d{2}:?\d{2})?
    """,
    re.VERBOSE,
)
_YEAR = re.compile(r"[12]\d{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Column names, and the offset and the physical lines before the first record."""

    columns: tuple[str, ...]
    start: int
    lines: int


def read_header(sample: bytes, trial: Trial, options: Options, origin: str) -> Header:
    """Return the columns.

    Without `header`, there is one unless names are stated or the first record is plainly data. With both a header and
    `columns`, these names replace it.

    Args:
        sample: As it was recognised, from the first line that counts.
        trial: What was recognised; it holds at least one record.
        options: What is stated.
        origin: Name of the file, for errors.

    Raises:
        SchemaBroken: the header is no sound record, or nearly no record has as many cells as it.
        Misconfigured: the stated names do not fit.
    """
    header, columns, lines = options.header, options.columns, options.skip_lines
    place = f"line {int(trial.found.lines[0]) + lines + 1} of {origin}"
    rows = _rows(sample, trial)
    if header is None:
        header = not columns and not (_is_sound(trial) and looks_like_data(rows))
    if not header:
        names = columns or tuple(f"column_{number}" for number in range(1, trial.width + 1))
        if not names:
            raise SchemaBroken(f"no record at the start of {origin} can be read; state its `delimiter` and `quote`")
        usual = _other_width(trial, len(names), first=0)
        if usual is not None:
            raise Misconfigured(
                f"`columns` names {len(names)} columns, but the records of {origin} have {cell_count(usual)}"
            )
        return Header(columns=unique(names), start=0, lines=lines)
    if not _is_sound(trial):
        _refuse_header(trial, place)
    names = tuple(rows[0])
    names = (names[0].removeprefix("\ufeff"), *names[1:])
    if columns and len(columns) != len(names):
        raise Misconfigured(
            f"`columns` names {len(columns)} columns, but {place} has {cell_count(len(names))}; correct one"
        )
    usual = _other_width(trial, len(names), first=1)
    if usual is not None:
        raise SchemaBroken(
            f"the header in {place} has {cell_count(len(names))}, but the records after it have {usual}; "
            "correct it, or state `skip_lines`, `delimiter` or `columns`",
            width=len(names),
            usual=usual,
        )
    after = int(trial.found.ends[0])
    return Header(columns=unique(columns or names), start=after, lines=lines + _line_count(sample[:after]))


def _is_sound(trial: Trial) -> bool:
    return int(trial.found.faults[0]) == Fault.SOUND


def _refuse_header(trial: Trial, place: str) -> None:
    why = reason(Fault(int(trial.found.faults[0])), int(trial.found.details[0]), width=0)
    raise SchemaBroken(f"the header in {place} cannot be read: it {why}; correct it, or state `skip_lines` or `quote`")


def _other_width(trial: Trial, width: int, *, first: int) -> int | None:
    """Return the usual number of cells, when more than nine of ten records have another one than the width."""
    found = trial.found.details[first:][trial.found.faults[first:] == Fault.SOUND]
    if int(np.count_nonzero(found == width)) * _TENTH >= len(found):
        return None
    widths, counts = np.unique(found, return_counts=True)
    return int(widths[counts.argmax()])


def _rows(sample: bytes, trial: Trial) -> list[list[str]]:
    """Return the cells of the first records; of the first one in any case, of others only sound ones."""
    found = trial.found
    chosen = [0, *(np.flatnonzero(found.faults[1:] == Fault.SOUND)[:_ROWS] + 1)]
    pieces = (sample[int(found.starts[at]) : int(found.ends[at])] for at in chosen)
    texts = (piece.decode("utf-8", "replace").rstrip("\r\n") for piece in pieces)
    first = next(texts)
    return [
        cells(first, trial.dialect) if _is_sound(trial) else [first],
        *(cells(text, trial.dialect) for text in texts),
    ]


def cells(record: str, dialect: Dialect) -> list[str]:
    """Return the cells of one sound record without its line end."""
    quote, found, at = dialect.quote, list[str](), 0
    while True:
        if quote is not None and record.startswith(quote, at):
            end = record.index(quote, at + 1)
            while record.startswith(quote, end + 1):
                end = record.index(quote, end + 2)
            found.append(record[at + 1 : end].replace(quote * 2, quote))
            at = end + 1
        else:
            end = record.find(dialect.delimiter, at)
            end = len(record) if end < 0 else end
            found.append(record[at:end])
            at = end
        if at == len(record):
            return found
        at += 1


def looks_like_data(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first record is plainly data and no header.

    It is, when at least one of its cells is a number, a date or a time (a whole number that could be a year does not
    count), every such cell stands in a column of such, and no text in it stands above a column of such.
    """
    first, others = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    values = [_is_value(cell) and _YEAR.fullmatch(cell) is None for cell in first]
    if not any(values):
        return False
    for at, (cell, is_value) in enumerate(zip(first, values, strict=True)):
        below = [row[at] for row in others if row[at] != ""]
        mostly = sum(map(_is_value, below)) * _TENTH >= len(below) * (_TENTH - 1)
        if cell != "" and below and is_value != mostly and not (_YEAR.fullmatch(cell) and mostly):
            return False
    return True


def _is_value(cell: str) -> bool:
    text = cell.strip()
    return any(map(str.isdigit, text)) and _VALUE.fullmatch(text) is not None


def _line_count(record: bytes) -> int:
    return len(re.findall(rb"\r\n|\n|\r", record))
