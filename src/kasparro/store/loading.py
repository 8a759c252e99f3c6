"""Rows into a dataset's table: COPY to a staging table, then one statement that writes only what differs.

The staging table is probed against the primary key row by row (nested loop over the index), never by hashing or
scanning the table: so a page costs the same however large the table is, and a row that is already there is neither
written nor locked.
"""

import hashlib
from dataclasses import dataclass

from psycopg import AsyncConnection, sql

from kasparro.model.dataset import Dataset, Field
from kasparro.model.run import Unit
from kasparro.model.shaped import Shaped

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

_CHUNK = 1 << 18

_PLANNER = """
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_memoize = off;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off;
SET LOCAL work_mem = '64MB'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of the rows of a page."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0


def column_type(field: Field) -> str:
    """Return the PostgreSQL type of a field."""
    return _TYPES[field.type]


async def load(connection: AsyncConnection, dataset: Dataset, unit: Unit, page_id: int, shaped: Shaped) -> Written:
    """Write the rows of a page inside the caller's transaction."""
    if shaped.count == 0:
        return Written()
    await connection.execute(_stage_sql(dataset))
    async with connection.cursor().copy(_copy_sql(dataset)) as copy:
        for start in range(0, len(shaped.rows), _CHUNK):
            await copy.write(shaped.rows[start : start + _CHUNK])
    await connection.execute(_PLANNER)
    facts = {"source": unit.source, "run_id": unit.run_id, "page_id": page_id}
    cursor = await connection.execute(_merge_sql(dataset), facts)
    inserted, updated = (await cursor.fetchall())[0]
    left = shaped.count - inserted - updated
    duplicates = 0
    if left:
        cursor = await connection.execute(_duplicates_sql(dataset), facts)
        duplicates = min(left, (await cursor.fetchall())[0][0])
    return Written(inserted=inserted, updated=updated, unchanged=left - duplicates, duplicates=duplicates)


def _table(dataset: Dataset) -> sql.SQL:
    return sql.SQL(dataset.table)  # type: ignore[arg-type,unused-ignore] # names are checked at declaration


def _stage(dataset: Dataset) -> sql.Identifier:
    # The fields are part of the name: a dataset that gained one gets another staging table on the same connection.
    shape = repr([(field.name, field.type) for field in dataset.fields])
    return sql.Identifier("pg_temp", f"stage_{hashlib.md5(f'{dataset.name} {shape}'.encode()).hexdigest()}")  # noqa: S324


def _names(dataset: Dataset) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(field.name) for field in dataset.fields)


def _stage_sql(dataset: Dataset) -> sql.Composed:
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(column_type(field)))  # type: ignore[arg-type,unused-ignore]
        for field in dataset.fields
    )
    return sql.SQL(
        'CREATE TEMP TABLE IF NOT EXISTS {} (record_key text COLLATE "C", record_hash bigint, raw_index int, {}) '
        "ON COMMIT DELETE ROWS"
    ).format(_stage(dataset), columns)


def _copy_sql(dataset: Dataset) -> sql.Composed:
    return sql.SQL("COPY {} (record_key, record_hash, raw_index, {}) FROM STDIN (FORMAT csv)").format(
        _stage(dataset), _names(dataset)
    )


def _merge_sql(dataset: Dataset) -> sql.Composed:
    changes = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(field.name)) for field in dataset.fields
    )
    staged = sql.SQL(", ").join(sql.SQL("stage.{}").format(sql.Identifier(field.name)) for field in dataset.fields)
    return sql.SQL(
        """
        WITH written AS (
            INSERT INTO {table} AS kept
                (source, record_key, record_hash, run_id, raw_page_id, raw_index, {names})
            SELECT %(source)s, stage.record_key, stage.record_hash, %(run_id)s, %(page_id)s, stage.raw_index, {staged}
            FROM {stage} AS stage
            LEFT JOIN {table} AS known ON known.source = %(source)s AND known.record_key = stage.record_key
            WHERE known.record_hash IS DISTINCT FROM stage.record_hash
            ON CONFLICT (source, record_key) DO UPDATE
            SET record_hash = excluded.record_hash, run_id = excluded.run_id, raw_page_id = excluded.raw_page_id,
                raw_index = excluded.raw_index, updated_at = now(), {changes}
            WHERE kept.record_hash <> excluded.record_hash
            RETURNING xmax = 0 AS inserted
        )
        SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM written
        """
    ).format(stage=_stage(dataset), table=_table(dataset), names=_names(dataset), staged=staged, changes=changes)


def _duplicates_sql(dataset: Dataset) -> sql.Composed:
    """Of the rows that were not written, count those that this run wrote before."""
    return sql.SQL(
        """
        SELECT count(*) FROM {stage} AS stage
        JOIN {table} AS kept ON kept.source = %(source)s AND kept.record_key = stage.record_key
        WHERE kept.run_id = %(run_id)s AND kept.raw_page_id <> %(page_id)s
        """
    ).format(stage=_stage(dataset), table=_table(dataset))
