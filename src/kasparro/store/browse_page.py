"""The statement behind a page of rows.

The rows leave PostgreSQL as finished JSON, so that no value passes through a Python object and every number stays
exact. The order is always that of the primary key: a page starts at a key (`after`), or at the key that an offset leads
to, which the index alone can tell.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from psycopg import sql

from kasparro.model.dataset import SYSTEM_COLUMNS, Dataset
from kasparro.store.queries import queries

_BEFORE = SYSTEM_COLUMNS[:2]
_AFTER = tuple(name for name in SYSTEM_COLUMNS[2:] if name != "record_hash")
"""The hash stays inside: it is how a change is noticed, and JavaScript would read its 64 bits wrong."""

_Start = Literal["first", "after", "offset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the order of a dataset: the primary key of a row."""

    source: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What readers see of a dataset. Flat, so that it is cheap to hash for each request.

    Attributes:
        dataset: Its name.
        table: Qualified name, safe to put into SQL.
        columns: Names of what is shown of each row, in order.
    """

    dataset: str
    table: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> "Shown":
        """Return what is seen of a dataset."""
        names = (*_BEFORE, *(field.name for field in dataset.fields), *_AFTER)
        return cls(dataset=dataset.name, table=dataset.table, columns=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which rows are wanted.

    Attributes:
        shown: Where from, and what of them.
        limit: Most rows.
        offset: Rows to skip; not together with `after`.
        source: Only the rows of this source.
        after: Only the rows behind this place.
        known: Versions that the reader has: if one of them is still the version, no row is read.
    """

    shown: Shown
    limit: int
    offset: int = 0
    source: str | None = None
    after: Position | None = None
    known: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOfRows:
    """Rows as PostgreSQL wrote them.

    Attributes:
        rows: A JSON array of objects; None when the reader has this version already.
        total: How many rows there are, of the source where one was asked for.
        version: Changes whenever a row of the dataset (or of its source) does.
        more: Whether there are rows behind these.
        last: Place of the last row; None when there is no row.
    """

    rows: bytes | None
    total: int
    version: int
    more: bool
    last: Position | None


def statement(query: PageQuery) -> tuple[bytes, dict[str, Any]]:
    """Return the text of the statement and its parameters."""
    facts: dict[str, Any] = {"dataset": query.shown.dataset, "source": query.source, "known": list(query.known)}
    start: _Start = "first"
    if query.after is not None:
        start = "after"
        facts["after_key"] = query.after.key
        if query.source is None:
            facts["after_source"] = query.after.source
    elif query.offset > 0:
        start = "offset"
        facts["offset"] = query.offset
    return _text(query.shown, query.limit, start, one_source=query.source is not None), facts


@lru_cache(maxsize=1024)
def _text(shown: Shown, limit: int, start: _Start, *, one_source: bool) -> bytes:
    # The limit is part of the text: the planner sees that few rows are wanted, also in a plan for any parameters.
    named = queries("browse")
    table = sql.SQL(shown.table)  # type: ignore[arg-type,unused-ignore] # names are checked at declaration
    among = sql.SQL("source = %(source)s" if one_source else "true")
    from_offset = sql.SQL(named["start"]).format(table=table, among=among)
    composed = sql.SQL(named["page"]).format(
        start=from_offset if start == "offset" else sql.SQL(""),
        columns=sql.SQL(", ").join(sql.Identifier(name) for name in shown.columns),
        table=table,
        condition=_condition(start, one_source=one_source),
        limit=sql.Literal(limit),
        more=sql.Literal(limit + 1),
    )
    return composed.as_bytes(None)


def _condition(start: _Start, *, one_source: bool) -> sql.SQL:
    match start, one_source:
        case "first", False:
            return sql.SQL("true")
        case "first", True:
            return sql.SQL("source = %(source)s")
        case "after", False:
            return sql.SQL("(source, record_key) > (%(after_source)s, %(after_key)s)")
        case "after", True:
            return sql.SQL("source = %(source)s AND record_key > %(after_key)s")
        case "offset", False:
            return sql.SQL("(source, record_key) >= ((SELECT source FROM start), (SELECT record_key FROM start))")
        case _:
            return sql.SQL("source = %(source)s AND record_key >= (SELECT record_key FROM start)")
