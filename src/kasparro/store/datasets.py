"""Tables of datasets: made when first needed, widened when a field is added, never changed otherwise.

A table stands open to others, who may drop a column, the key or the table itself. So a run looks first whether the
table still is what Kasparro left, and refuses with the remedy what it could not write to rightly.
"""

from dataclasses import asdict, dataclass

import orjson
from psycopg import AsyncConnection, sql

from kasparro.errors import SchemaBroken
from kasparro.model.dataset import NORMALIZED, Dataset, Field
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.target import column_type

_SYSTEM = {
    "source": ("text", 'NOT NULL COLLATE "C"'),
    "record_key": ("text", 'NOT NULL COLLATE "C"'),
    "record_hash": ("bigint", "NOT NULL"),
    "run_id": ("bigint", "NOT NULL"),
    "raw_page_id": ("bigint", "NOT NULL"),
    "raw_index": ("integer", "NOT NULL"),
    "first_seen_at": ("timestamp with time zone", "NOT NULL DEFAULT now()"),
    "updated_at": ("timestamp with time zone", "NOT NULL DEFAULT now()"),
}
"""Columns that every dataset has, beside its fields."""


@dataclass(frozen=True, slots=True)
class _Present:
    """A column that is there. `needed`: a row must bring a value for it."""

    type: str
    needed: bool


async def ensure(database: Database, dataset: Dataset) -> str | None:
    """Make the table of the dataset fit its declaration; return what the operator should know of it.

    Raises:
        SchemaBroken: a column or the key is not as it must be; the message says how to mend it.
    """
    text = queries("datasets")
    async with database.connection() as connection, connection.transaction():
        await connection.execute(text["lock"], {"dataset": dataset.name})
        cursor = await connection.execute(text["columns"], {"table": dataset.table})
        present = {name: _Present(kind, needed) for name, kind, needed in await cursor.fetchall()}
        cursor = await connection.execute(text["declared"], {"dataset": dataset.name})
        row = await cursor.fetchone()
        before = NORMALIZED.fields if dataset.name == NORMALIZED.name else row[0] if row is not None else ()
        note = None
        if not present:
            await _create(connection, dataset)
        else:
            _check(dataset, present, database.place)
            await _check_key(connection, dataset, database.place)
            note = await _widen(connection, dataset, present, {_name(field) for field in before})
        if dataset.name != NORMALIZED.name:
            fields = orjson.dumps([asdict(field) for field in dataset.fields]).decode()
            await connection.execute(text["declare"], {"dataset": dataset.name, "fields": fields})
    return note


async def refuse_emptied(database: Database, dataset: Dataset, source: str) -> None:
    """Refuse to go on with a table that holds none of the rows that were written to it: the rest would stay lost.

    Raises:
        SchemaBroken: so it is; the message names the ways to have the rows again.
    """
    one = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE source = %s)").format(_table(dataset))
    async with database.connection() as connection:
        cursor = await connection.execute(queries("refresh")["rows"], {"dataset": dataset.name, "source": source})
        (rows,) = (await cursor.fetchall())[0]
        if rows <= 0:
            return
        cursor = await connection.execute(one, [source])
        if (await cursor.fetchall())[0][0]:
            return
    raise SchemaBroken(
        f"{dataset.table} in {database.place} holds none of the {rows:,} rows of {source}: somebody dropped or emptied "
        f"it. To make them again from the raw pages: kasparro replay {source}. To read everything anew: kasparro run "
        f"{source} --full-refresh. If they are to be gone: kasparro checkpoint reset {source} --rows"
    )


async def _create(connection: AsyncConnection, dataset: Dataset) -> None:
    system = [
        sql.SQL("{} {} {}").format(sql.Identifier(name), sql.SQL(kind), sql.SQL(rule))
        for name, (kind, rule) in _SYSTEM.items()
    ]
    # Ours first: what is looked up in a row is found without going through all of its fields.
    columns = sql.SQL(", ").join([*system, *(_column(field) for field in dataset.fields)])
    await connection.execute(
        sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY (source, record_key))").format(_table(dataset), columns)
    )


async def _widen(
    connection: AsyncConnection, dataset: Dataset, present: dict[str, _Present], before: set[str]
) -> str | None:
    """Add the columns that are missing. One that was there before has lost its values, which is said."""
    missing = [field for field in dataset.fields if field.name not in present]
    for field in missing:
        await connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(_table(dataset), _column(field)))
    lost = [field.name for field in missing if field.name in before]
    if not lost:
        return None
    await connection.execute(queries("datasets")["hollow"], {"dataset": dataset.name})
    return (
        f"{', '.join(lost)} of {dataset.table} had been dropped and was added again, without the values that it had. "
        "To fill it: kasparro replay, for each source of the dataset"
    )


def _check(dataset: Dataset, present: dict[str, _Present], place: str) -> None:
    for field in dataset.fields:
        if field.name in present and present[field.name].type != column_type(field):
            other = "" if dataset.name == NORMALIZED.name else "declare it as it is, rename the field, or "
            raise SchemaBroken(
                f"Column {field.name} of {dataset.table} in {place} is {present[field.name].type}, but {field.type} is "
                f"declared. To go on, {other}drop the column and fill it anew from the raw pages: "
                f"ALTER TABLE {dataset.table} DROP COLUMN {field.name}, then kasparro replay for each of its sources"
            )
    for name, (kind, _) in _SYSTEM.items():
        if name not in present or present[name].type != kind:
            found = "is missing" if name not in present else f"is {present[name].type}, not {kind}"
            raise SchemaBroken(
                f"Column {name} of {dataset.table} in {place} {found}, and rows cannot be told apart without it. "
                f"Restore it from a backup, or make the table again from the raw pages: "
                f"DROP TABLE {dataset.table}, then kasparro replay for each of its sources"
            )
    ours = {field.name for field in dataset.fields} | set(_SYSTEM)
    for name, column in present.items():
        if column.needed and name not in ours:
            raise SchemaBroken(
                f"Column {name} of {dataset.table} in {place} must not be null, and nothing declared fills it, so "
                "every row would be refused. Give it a default, or: "
                f"ALTER TABLE {dataset.table} ALTER COLUMN {name} DROP NOT NULL"
            )


async def _check_key(connection: AsyncConnection, dataset: Dataset, place: str) -> None:
    cursor = await connection.execute(queries("datasets")["has_key"], {"table": dataset.table})
    if not (await cursor.fetchall())[0][0]:
        raise SchemaBroken(
            f"{dataset.table} in {place} has no primary key any more, so the same record could become two rows. "
            f"Restore it: ALTER TABLE {dataset.table} ADD PRIMARY KEY (source, record_key)"
        )


def _name(field: Field | dict[str, str]) -> str:
    return field.name if isinstance(field, Field) else field["name"]


def _table(dataset: Dataset) -> sql.SQL:
    return sql.SQL(dataset.table)  # type: ignore[arg-type,unused-ignore] # names are checked at declaration


def _column(field: Field) -> sql.Composed:
    # A required field is not NOT NULL in the table: rows of before it was required are still there.
    return sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(column_type(field)))  # type: ignore[arg-type,unused-ignore]
