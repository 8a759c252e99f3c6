"""The statements behind lists of runs and findings, for any length of history.

Only the filters that are given are in a statement, and a list goes on below the last id. PostgreSQL is left one way to
read it: along the index of just these filters. It would often take another, such as down the primary key, or along the
index of some of the filters, and hope to meet soon what may be millions of rows away or not there at all. So the order
is written otherwise for each number of filters, and only the indexes of so many columns have it: `0010_history.sql`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, LiteralString

from psycopg import sql

from kasparro.store.queries import queries

_FILTERS: Mapping[str, LiteralString] = MappingProxyType(
    {
        "source": "source = %(source)s",
        "status": "status = %(status)s",
        "verdict": "verdict = %(verdict)s",
        "held": "held = %(held)s",
        "severity": "severity = %(severity)s",
        "kind": "kind = %(kind)s",
        "run_id": "run_id = %(run_id)s",
    }
)


_ORDERS: tuple[LiteralString, ...] = ("id DESC", "-id", "0 - id", "id * -1")
"""Newest first, by the number of filters."""

_NARROW = frozenset({"run_id", "held"})
"""Filters that few rows fit, or that have indexes of their own with each of the others: all of these are by `-id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """Which runs or findings are wanted.

    Attributes:
        what: Which of both.
        limit: Most of them.
        filters: By name, see `_FILTERS`; what is None is left out. `before` is the id below which the list goes on.
    """

    what: Literal["runs", "findings"]
    limit: int
    filters: Mapping[str, Any]

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are given."""
        return {name: value for name, value in self.filters.items() if value is not None}

    def statement(self) -> tuple[sql.Composed, dict[str, Any]]:
        """Return the statement and its parameters."""
        text = sql.SQL(queries("browse_runs")[self.what]).format(**listed(self.given))
        return text, {**self.given, "limit": self.limit}


def listed(filters: Mapping[str, Any]) -> dict[str, sql.Composable]:
    """Return what a list is told by: `conditions` and `order`.

    Args:
        filters: As of `ListQuery`.
    """
    names = [name for name, value in filters.items() if value is not None and name != "before"]
    order = _ORDERS[1 if _NARROW.intersection(names) else len(names)]
    conditions = [sql.SQL(_FILTERS[name]) for name in names]
    if filters.get("before") is not None:
        ascending = order.replace("id", "%(before)s::bigint")
        conditions.append(sql.SQL(f"{order} > {ascending}" if names else "id < %(before)s"))
    return {"conditions": sql.SQL(" AND ").join(conditions or [sql.SQL("true")]), "order": sql.SQL(order)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A part of a list: JSON of its entries, whether more follow, and the id below which they do."""

    rows: bytes
    more: bool
    before: int | None
