"""Recognises how a CSV file is written, from its first records.

Every delimiter and quote is tried under the same strict screen that reads the file later; the one under which most
records agree on their number of cells is taken. What the declaration states is never guessed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kasparro.sources.csv_judge import Fault, rule_of
from kasparro.sources.csv_options import Dialect, Options
from kasparro.sources.csv_screen import Screened, screen

USUAL = ("\t", "\x1f", "\x01", "|", ";", ",")
"""Delimiters that are tried, the rarest in plain text first: it wins where two fit equally well."""

UNUSUAL = (":", "^", "~")
"""Tried only when none of the usual ones fits; they are common in plain text."""

AGREE = 0.5
"""Share of the records that must agree on their width for a delimiter to fit."""

_AGREE_UNUSUAL = 0.9
"""The same for an unusual one; besides, the first record must agree."""

_FEW = 3
_MOST = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A sample read in one dialect.

    Attributes:
        width: The number of cells that most sound records have; 0 without any.
        share: Share of all records that have it.
        quoted: Sound records with a quoted cell.
        stray: Records with a quote where none may be.
    """

    dialect: Dialect
    found: Screened
    width: int
    share: float
    quoted: int
    stray: int


def recognise(sample: bytes, options: Options, *, whole: bool) -> Trial:
    """Return the sample read in the dialect that fits best.

    Args:
        sample: The first bytes of the file, UTF-8, from the header on.
        options: What is stated.
        whole: The sample is the whole file.
    """
    delimiter, quote = options.delimiter, options.quote
    if delimiter is not None:
        return _read(sample, delimiter, quote, whole=whole)
    for group, agreeing in ((USUAL, AGREE), (UNUSUAL, _AGREE_UNUSUAL)):
        trials = [_read(sample, one, quote, whole=whole) for one in group if one != quote and one.encode() in sample]
        fitting = [trial for trial in trials if trial.width > 1 and trial.share >= agreeing]
        if group is UNUSUAL:
            fitting = [trial for trial in fitting if trial.found.details[0] == trial.width]
        if fitting:
            return max(fitting, key=lambda trial: trial.share)
    return _read(sample, ",", quote, whole=whole)


def _read(sample: bytes, delimiter: str, quote: str | None, *, whole: bool) -> Trial:
    """Try one delimiter with the quote that fits it.

    `"` unless the sample says otherwise: `'` where `"` quotes no cell and `'` quotes those of at least two records and
    hardly ever stands elsewhere; none where `"` occurs in several records and never quotes a cell.
    """
    if quote is not None:
        return _trial(sample, Dialect(delimiter=delimiter, quote=quote or None), whole=whole)
    double = _trial(sample, Dialect(delimiter=delimiter, quote='"'), whole=whole)
    if double.quoted > 0:
        return double
    if b"'" in sample:
        single = _trial(sample, Dialect(delimiter=delimiter, quote="'"), whole=whole)
        if single.quoted > 1 and single.quoted >= _MOST * single.stray:
            return single
    if double.stray >= _FEW:
        return _trial(sample, Dialect(delimiter=delimiter, quote=None), whole=whole)
    return double


def _trial(sample: bytes, dialect: Dialect, *, whole: bool) -> Trial:
    found = screen(sample, rule_of(dialect, None), at_end=whole)
    sound = found.faults == Fault.SOUND
    widths, counts = np.unique(found.details[sound], return_counts=True)
    best = _first_of(widths[counts == counts.max()], found) if len(widths) else 0
    agreeing = int(np.count_nonzero(found.details[sound] == best))
    stray = np.isin(found.faults, (Fault.QUOTE_INSIDE, Fault.QUOTE_FOLLOWED, Fault.QUOTE_OPEN))
    return Trial(
        dialect=dialect,
        found=found,
        width=best,
        share=agreeing / max(len(found), 1),
        quoted=_quoted(sample, found, dialect),
        stray=int(np.count_nonzero(stray)),
    )


def _first_of(widths: Iterable[int], found: Screened) -> int:
    """Return the width of the first record where it is among the commonest, else the largest of them."""
    commonest = [int(width) for width in widths]
    first = int(found.details[0]) if found.faults[0] == Fault.SOUND else 0
    return first if first in commonest else max(commonest)


def _quoted(sample: bytes, found: Screened, dialect: Dialect) -> int:
    """Count the sound records that hold a quote: under the rule it can only be one around a cell, or inside such."""
    if dialect.quote is None:
        return 0
    places = np.flatnonzero(np.frombuffer(sample, dtype=np.uint8) == ord(dialect.quote))
    owners = np.searchsorted(found.starts, places, side="right") - 1
    owners = np.unique(owners[(owners >= 0) & (places < found.ends[owners])]) if len(found) else owners[:0]
    return int(np.count_nonzero(found.faults[owners] == Fault.SOUND))
