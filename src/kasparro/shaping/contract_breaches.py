"""What stands against a contract in the records of a batch: which field, by which rule, in which records."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kasparro.model.contract import BELOW, Rule

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breached:
    """One field that has something against the contract.

    Attributes:
        path: Of the field, as profiles have it.
        steps: The keys that lead to it; the column of a CSV file.
        rule: Whether the field is new, or a type in it.
        expected: The accepted types; empty for a new field.
        seen: Types that were met, by path: of the field, and of what stands below a new one.
        rows: The records, ascending: their positions among those that were looked at.
    """

    path: str
    steps: tuple[str, ...]
    rule: Rule
    expected: tuple[str, ...] = ()
    seen: Mapping[str, tuple[str, ...]]
    rows: Rows


def new_field(steps: tuple[str, ...], rows: Rows, seen: Mapping[str, tuple[str, ...]]) -> Breached:
    """Return the breach of a field that the accepted schema does not have."""
    few = dict(sorted(seen.items())[:BELOW])
    return Breached(path=".".join(steps), steps=steps, rule="fields", seen=few, rows=rows)


def new_type(steps: tuple[str, ...], expected: frozenset[str], rows: Rows, seen: frozenset[str]) -> Breached:
    """Return the breach of values of types that are new in their field."""
    path = ".".join(steps)
    return Breached(
        path=path,
        steps=steps,
        rule="types",
        expected=tuple(sorted(expected)),
        seen={path: tuple(sorted(seen))},
        rows=rows,
    )
