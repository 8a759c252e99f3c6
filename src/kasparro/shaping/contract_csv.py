"""Which cells of a CSV page stand against a contract.

New fields are told from the header alone. Types are told cell by cell, yet not one by one: what type a cell is written
in depends on where its digits stand, not on which they are. So the digits of a page are made alike, and each way of
writing that a column then has, of which there are few, is judged once, as a profile judges a cell.
"""

import numpy as np
import numpy.typing as npt

from kasparro.model.contract import Agreement, taken
from kasparro.model.page import CsvRecords
from kasparro.shaping.contract_breaches import Breached, Rows, new_field, new_type
from kasparro.shaping.contract_cells import Bytes, cells_of
from kasparro.shaping.profiling import type_of

Texts = npt.NDArray[np.bytes_]

_ALIKE = bytes.maketrans(b"123456789", b"000000000")


def breached_csv(records: CsvRecords, terms: Agreement) -> list[Breached]:
    """Return the columns of a page that have anything against the terms."""
    holds_fields, holds_types = terms.contract.fields != "evolve", terms.contract.types != "evolve"
    new = [name for name in records.columns if holds_fields and name not in terms.accepted]
    checked = _checked(records, terms) if holds_types else {}
    if not new and not checked:
        return []
    ways = _Ways(records)
    every = np.arange(len(records), dtype=np.int64)
    found = [new_field((name,), every, {name: tuple(sorted(ways.kinds(name)))}) for name in new]
    for name, fitting in checked.items():
        wrong = {kind: rows for kind, rows in ways.kinds(name).items() if kind not in fitting}
        if wrong:
            rows = np.sort(np.concatenate(list(wrong.values())))
            found.append(new_type((name,), terms.accepted[name], rows, frozenset(wrong)))
    return found


def _checked(records: CsvRecords, terms: Agreement) -> dict[str, frozenset[str]]:
    """Return the columns that do not take every cell, each with the types that it takes."""
    known = {name: terms.accepted.get(name, frozenset()) for name in records.columns}
    return {name: taken(types, from_text=True) for name, types in known.items() if types and "text" not in types}


class _Ways:
    """The ways in which the cells of a page are written."""

    def __init__(self, records: CsvRecords) -> None:
        self._cells = cells_of(records)
        self._columns = records.columns
        self._nulls = [null.encode() for null in records.null_values]
        self._alike = np.frombuffer(self._cells.data.tobytes().translate(_ALIKE), dtype=np.uint8)

    def kinds(self, name: str) -> dict[str, Rows]:
        """Return the records by the type of their cell in a column; those in which it is null are left out."""
        starts, ends = self._cells.inner(self._columns.index(name))
        lengths = ends - starts
        found: dict[str, list[Rows]] = {}
        for size in np.unique(lengths).tolist():
            rows = self._filled(starts, np.flatnonzero(lengths == size), size)
            if len(rows):
                for kind, those in self._told_apart(starts[rows], rows, size).items():
                    found.setdefault(kind, []).append(those)
        return {kind: np.concatenate(parts) for kind, parts in found.items()}

    def _filled(self, starts: Rows, rows: Rows, size: int) -> Rows:
        """Return those of some records whose cell, of this size, is none of the texts that are null."""
        for null in self._nulls:
            if len(null) == size and len(rows):
                written = _texts(self._cells.data, starts[rows], size)
                rows = rows[written != np.array(null, dtype=f"S{max(size, 1)}")]
        return rows

    def _told_apart(self, starts: Rows, rows: Rows, size: int) -> dict[str, Rows]:
        texts = _texts(self._alike, starts, size)
        if bool((texts == texts[0]).all()):  # as most cells of one length are
            return {type_of(texts[0].decode(), from_text=True): rows}
        kinds: dict[str, list[bytes]] = {}
        for text in np.unique(texts, sorted=False).tolist():
            kinds.setdefault(type_of(text.decode(), from_text=True), []).append(text)
        if len(kinds) == 1:
            return dict.fromkeys(kinds, rows)
        return {kind: rows[np.isin(texts, np.array(written))] for kind, written in kinds.items()}


def _texts(data: Bytes, starts: Rows, size: int) -> Texts:
    """Return the texts of so many bytes that start at these places."""
    if size == 0:
        return np.zeros(len(starts), dtype="S1")
    found: Texts = np.lib.stride_tricks.sliding_window_view(data, size)[starts].view(f"S{size}").ravel()
    return found
