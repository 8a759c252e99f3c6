"""The way for rows that PostgreSQL refuses: they are halved inside savepoints until each refused one stands alone.

A value may pass shaping and still be too much for PostgreSQL: a numeric with too many digits, a check or an index that
somebody added to the table. The rows are staged as texts, which nothing refuses, and merged range by range.
"""

from psycopg import AsyncConnection, errors, sql

from kasparro.model.run import Unit
from kasparro.model.shaped import ROW_COLUMNS, Shaped
from kasparro.store.copying import copy_rows
from kasparro.store.loading import Refused, Written, merge
from kasparro.store.target import Target, column_type

REFUSALS = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded)
"""What PostgreSQL raises because of a row, not because of its own state."""

_SYSTEM = {"record_hash": "bigint", "run_id": "bigint", "raw_page_id": "bigint", "raw_index": "int"}


async def load_exactly(connection: AsyncConnection, target: Target, unit: Unit, shaped: Shaped) -> Written:
    """Write what differs, leaving out the rows that are refused, inside the caller's transaction."""
    stage = target.stage(as_text=True)
    texts = sql.SQL(", ").join(
        sql.SQL("{} text").format(sql.Identifier(name)) for name in (*ROW_COLUMNS, *target.fields)
    )
    await connection.execute(
        sql.SQL(
            "CREATE TEMP TABLE IF NOT EXISTS {} ({}, n bigint GENERATED ALWAYS AS IDENTITY) ON COMMIT DELETE ROWS"
        ).format(stage, texts)
    )
    await copy_rows(connection, stage, target.sent(shaped), shaped.rows)
    cursor = await connection.execute(sql.SQL("SELECT coalesce(min(n), 1), coalesce(max(n), 0) FROM {}").format(stage))
    first, last = (await cursor.fetchall())[0]
    return await _range(connection, target, unit, first, last + 1)


async def _range(connection: AsyncConnection, target: Target, unit: Unit, first: int, stop: int) -> Written:
    """Merge the rows from `first` up to `stop`; halve them where one is refused."""
    if first == stop:
        return Written()
    try:
        async with connection.transaction():
            return await merge(connection, target, unit, _typed(target, first, stop), stop - first)
    except REFUSALS as refusal:
        if stop - first == 1:
            return Written(refused=(await _refused(connection, target, first, refusal),))
    middle = (first + stop) // 2
    before = await _range(connection, target, unit, first, middle)
    return before + await _range(connection, target, unit, middle, stop)


def _typed(target: Target, first: int, stop: int) -> sql.Composed:
    """The staged texts of a range as values, in a form that a `FROM` takes."""
    types = {**_SYSTEM, **{field.name: column_type(field) for field in target.dataset.fields}}
    columns = sql.SQL(", ").join(
        sql.SQL("{0}::{1} AS {0}").format(sql.Identifier(name), sql.SQL(types.get(name, "text")))  # type: ignore[arg-type,unused-ignore]
        for name in (*ROW_COLUMNS, *target.fields)
    )
    return sql.SQL("(SELECT ctid, {} FROM {} WHERE n >= {} AND n < {})").format(
        columns, target.stage(as_text=True), sql.Literal(first), sql.Literal(stop)
    )


async def _refused(connection: AsyncConnection, target: Target, n: int, refusal: errors.Error) -> Refused:
    row = sql.SQL("SELECT raw_page_id::bigint, raw_index::int FROM {} WHERE n = {}")
    cursor = await connection.execute(row.format(target.stage(as_text=True), sql.Literal(n)))
    page_id, index = (await cursor.fetchall())[0]
    message = refusal.diag.message_primary or str(refusal)
    column = refusal.diag.column_name or refusal.diag.constraint_name
    return Refused(page_id=page_id, index=index, message=f"{message} ({column})" if column else message)
