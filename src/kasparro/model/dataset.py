"""Datasets: typed tables of unified rows."""

import re
from dataclasses import dataclass
from typing import Literal

FieldType = Literal["text", "integer", "numeric", "float", "boolean", "timestamp", "date", "json"]

SYSTEM_COLUMNS = (
    "source",
    "record_key",
    "record_hash",
    "run_id",
    "raw_page_id",
    "raw_index",
    "first_seen_at",
    "updated_at",
)

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""What a dataset or a field may be called: a PostgreSQL name that needs no quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a dataset: its type and its constraints.

    Attributes:
        name: Column name.
        type: `text`, `integer` (64 bit), `numeric` (exact, any precision), `float` (64 bit), `boolean`, `timestamp`
            (an instant), `date`, `json`.
        required: Null or absent makes the record a reject.
        min: Smallest value allowed (numbers), inclusive.
        max: Largest value allowed (numbers), inclusive.
        min_length: Fewest characters allowed (text).
        max_length: Most characters allowed (text).
        pattern: RE2 regular expression that the whole text must match.
        one_of: The texts allowed.
    """

    name: str
    type: FieldType = "text"
    required: bool = False
    min: float | int | str | None = None
    max: float | int | str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A typed table of unified rows."""

    name: str
    fields: tuple[Field, ...]

    @property
    def table(self) -> str:
        """Qualified name of its table, safe to put into SQL: names are checked at declaration."""
        return "public.normalized_data" if self.name == NORMALIZED.name else f'data."{self.name}"'


NORMALIZED = Dataset(
    name="normalized_data",
    fields=(
        Field(name="title"),
        Field(name="description"),
        Field(name="url"),
        Field(name="value", type="numeric"),
        Field(name="occurred_at", type="timestamp"),
        Field(name="attributes", type="json"),
    ),
)
