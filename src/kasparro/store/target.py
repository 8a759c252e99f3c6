"""Where rows go: a dataset's table or one beside it, its columns, and their types in PostgreSQL."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from kasparro.model.dataset import Dataset, Field
from kasparro.model.shaped import ROW_COLUMNS, Shaped

_TYPES = {
    "text": "text",
    "integer": "bigint",
    "numeric": "numeric",
    "float": "double precision",
    "boolean": "boolean",
    "timestamp": "timestamp with time zone",
    "date": "date",
    "json": "json",
}

PLANNER = """
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_memoize = off;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_material = off;
SET LOCAL jit = off; SET LOCAL work_mem = '64MB'
"""
"""Each key of a batch is looked up in the index, so that a batch costs the same however large the table is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the rows of a slice go.

    Attributes:
        dataset: Its fields.
        table: Qualified name, safe to put into SQL: that of the dataset, or one beside it with the same columns.
        append: Each record is a row of its own, whatever its key.
        pass_runs: Runs whose rows count as seen in this pass.
        yields: A row of a later page stays, whatever ours says.
        waits: The rows stand there as they came, to be merged later.
        renumbered: Page numbers in the rows that stand for others: those pages were stored before.
    """

    dataset: Dataset
    table: str
    append: bool = False
    pass_runs: Sequence[int] = ()
    yields: bool = False
    waits: bool = False
    renumbered: Mapping[int, int] = field(default_factory=dict)

    @property
    def columns(self) -> sql.Composed:
        """What stands in front of the fields, and the fields."""
        return sql.SQL(", ").join(sql.Identifier(name) for name in (*ROW_COLUMNS, *self.fields))

    def sent(self, shaped: Shaped) -> sql.Composed:
        """The columns in the order in which the rows have them."""
        names = self.fields if shaped.fields is None else shaped.fields
        return sql.SQL(", ").join(sql.Identifier(name) for name in (*ROW_COLUMNS, *names))

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the dataset's fields."""
        return tuple(field.name for field in self.dataset.fields)

    @property
    def into(self) -> sql.SQL:
        """The table, as SQL."""
        return sql.SQL(self.table)  # type: ignore[arg-type,unused-ignore] # names are checked at declaration

    def stage(self, *, as_text: bool = False) -> sql.Identifier:
        """Return the name of the staging table, which tells its shape: a dataset that gained a field gets another."""
        shape = repr([(field.name, field.type) for field in self.dataset.fields])
        digest = hashlib.md5(f"{self.dataset.name} {shape}".encode()).hexdigest()  # noqa: S324 - a name
        return sql.Identifier("pg_temp", f"{'text' if as_text else 'stage'}_{digest}")


def column_type(field: Field) -> str:
    """Return the PostgreSQL type of a field."""
    return _TYPES[field.type]


def comparable(dataset: Dataset, table: str) -> sql.Composed:
    """Return the values of a row in a form that can be compared: json has no equality."""
    columns = [
        sql.SQL("{}.{}::text" if field.type == "json" else "{}.{}").format(sql.SQL(table), sql.Identifier(field.name))  # type: ignore[arg-type,unused-ignore]
        for field in dataset.fields
    ]
    return sql.SQL(", ").join(columns)
