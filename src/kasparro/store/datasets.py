"""Tables of declared datasets: made when first needed, widened when a field is added, never changed otherwise."""

from dataclasses import asdict

import orjson
from psycopg import AsyncConnection, sql

from kasparro.errors import SchemaBroken
from kasparro.model.dataset import NORMALIZED, Dataset, Field
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.target import column_type

_SYSTEM = """source text NOT NULL COLLATE "C", record_key text NOT NULL COLLATE "C", record_hash bigint NOT NULL,
run_id bigint NOT NULL, raw_page_id bigint NOT NULL, raw_index integer NOT NULL,
first_seen_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()"""


async def ensure(database: Database, dataset: Dataset) -> None:
    """Make the table of the dataset fit its declaration.

    Raises:
        SchemaBroken: a column has another type than declared, or is missing from the built-in table.
    """
    text = queries("datasets")
    async with database.connection() as connection, connection.transaction():
        await connection.execute(text["lock"], {"dataset": dataset.name})
        cursor = await connection.execute(text["columns"], {"table": dataset.table})
        present = dict(await cursor.fetchall())
        if dataset.name == NORMALIZED.name:
            _compare(dataset, present, database.place, may_add=False)
            return
        await _build(connection, dataset, present, database.place)
        fields = orjson.dumps([asdict(field) for field in dataset.fields]).decode()
        await connection.execute(text["declare"], {"dataset": dataset.name, "fields": fields})


async def _build(connection: AsyncConnection, dataset: Dataset, present: dict[str, str], place: str) -> None:
    table = sql.SQL(dataset.table)  # type: ignore[arg-type,unused-ignore] # names are checked at declaration
    if not present:
        columns = sql.SQL(", ").join(_column(field) for field in dataset.fields)
        system = sql.SQL(_SYSTEM)
        await connection.execute(
            sql.SQL("CREATE TABLE {} ({}, {}, PRIMARY KEY (source, record_key))").format(table, columns, system)
        )
        return
    for field in _compare(dataset, present, place, may_add=True):
        await connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(table, _column(field)))


def _column(field: Field) -> sql.Composed:
    # A required field is not NOT NULL in the table: rows of before it was required are still there.
    return sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(column_type(field)))  # type: ignore[arg-type,unused-ignore]


def _compare(dataset: Dataset, present: dict[str, str], place: str, *, may_add: bool) -> list[Field]:
    missing = [field for field in dataset.fields if field.name not in present]
    other = [field for field in dataset.fields if field.name in present and present[field.name] != column_type(field)]
    if other:
        field = other[0]
        raise SchemaBroken(
            f"Column {field.name} of {dataset.table} in {place} is {present[field.name]}, "
            f"but {field.type} is declared. Declare it as it is, or rename the field, or drop the column "
            "to have it filled anew."
        )
    if missing and not may_add:
        raise SchemaBroken(f"Column {missing[0].name} of {dataset.table} in {place} is missing. Restore the table.")
    return missing
