"""The statements behind lists of runs and findings, for any length of history.

Only the filters that are given are in a statement, so that each has the plan of its own index; the order is that of the
ids, and a list goes on below the last one.
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
        "severity": "severity = %(severity)s",
        "kind": "kind = %(kind)s",
        "run_id": "run_id = %(run_id)s",
        "before": "id < %(before)s",
    }
)


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
        conditions = sql.SQL(" AND ").join([sql.SQL("true"), *(sql.SQL(_FILTERS[name]) for name in self.given)])
        text = sql.SQL(queries("browse_runs")[self.what]).format(conditions=conditions)
        return text, {**self.given, "limit": self.limit}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A part of a list: JSON of its entries, whether more follow, and the id below which they do."""

    rows: bytes
    more: bool
    before: int | None
