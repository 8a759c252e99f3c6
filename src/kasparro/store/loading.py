"""Rows into a dataset's table, the cheapest way that is right.

First they are copied straight into the table, as if all their keys were new: so a first load costs no more than `COPY`.
Where a key is there already, PostgreSQL says so at once; then the rows are copied to a staging table, and one statement
writes what differs. The staging table is probed against the primary key row by row (nested loop over the index), never
by hashing or scanning the table: so a batch costs the same however large the table is, and a row that is already there
is neither written nor locked. A value that PostgreSQL refuses takes the third way, in `bisecting`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from psycopg import AsyncConnection, errors, sql

from kasparro.model.dataset import Dataset, Field
from kasparro.model.run import Unit
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

_CHUNK = 1 << 18

_PLANNER = """
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_memoize = off;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_material = off;
SET LOCAL jit = off; SET LOCAL work_mem = '64MB'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that PostgreSQL would not take: which record of which page, and what it said."""

    page_id: int
    index: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of the rows of a batch. `staged`: they still stand in the staging table."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    refused: tuple[Refused, ...] = ()
    staged: bool = False

    def __add__(self, other: "Written") -> "Written":
        return Written(
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
            duplicates=self.duplicates + other.duplicates,
            refused=(*self.refused, *other.refused),
        )


NOTHING = Written()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the rows of a slice go.

    Attributes:
        dataset: Its fields.
        table: Qualified name, safe to put into SQL: that of the dataset, or one beside it with the same columns.
        append: Each record is a row of its own, whatever its key.
        pass_runs: Runs whose rows count as seen in this pass.
        yields: A row of a later page stays, whatever ours says.
        renumbered: Page numbers in the rows that stand for others: those pages were stored before.
    """

    dataset: Dataset
    table: str
    append: bool = False
    pass_runs: Sequence[int] = ()
    yields: bool = False
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


async def copy_rows(connection: AsyncConnection, table: sql.Composable, columns: sql.Composable, rows: bytes) -> None:
    """Send rows with COPY; as text where nothing is quoted or escaped, which means the same and is faster."""
    plain = b'"' not in rows and b"\\" not in rows
    form = sql.SQL("FORMAT text, DELIMITER ',', NULL ''" if plain else "FORMAT csv")
    statement = sql.SQL("COPY {} ({}) FROM STDIN ({})").format(table, columns, form)
    async with connection.cursor().copy(statement) as copy:
        for start in range(0, len(rows), _CHUNK):
            await copy.write(rows[start : start + _CHUNK])


async def load_new(connection: AsyncConnection, target: Target, shaped: Shaped) -> Written | None:
    """Copy rows straight into the table; None, and nothing is written, where one of their keys is there already."""
    try:
        async with connection.transaction():
            await copy_rows(connection, target.into, target.sent(shaped), shaped.rows)
    except errors.UniqueViolation:
        return None
    return Written(inserted=shaped.count)


async def load(connection: AsyncConnection, target: Target, unit: Unit, shaped: Shaped) -> Written:
    """Write what differs inside the caller's transaction. Raises psycopg's error where a value is refused."""
    async with connection.transaction():
        await connection.execute(_stage_sql(target))
        await copy_rows(connection, target.stage(), target.sent(shaped), shaped.rows)
        return replace(await merge(connection, target, unit, target.stage(), shaped.count), staged=True)


async def merge(  # noqa: PLR0913, PLR0917 - where, what, and what was done of it
    connection: AsyncConnection,
    target: Target,
    unit: Unit,
    stage: sql.Composable,
    count: int,
    before: Written = NOTHING,
) -> Written:
    """Write what differs between so many staged rows and the table. `before`: what this transaction did of it."""
    await connection.execute(_PLANNER)
    facts = {"source": unit.source, "slice": unit.slice_name, "pass_runs": list(target.pass_runs)}
    statement = _append_sql(target, stage) if target.append else _merge_sql(target, stage)
    inserted, updated = before.inserted, before.updated
    while True:
        cursor = await connection.execute(statement, facts)
        keys, same, older, more, changed = (await cursor.fetchall())[0]
        unchanged = same - inserted - updated
        inserted, updated = inserted + more, updated + changed
        if unchanged + older + inserted + updated == keys:
            return Written(inserted=inserted, updated=updated, unchanged=unchanged, duplicates=count - keys + older)
        # Another slice wrote one of the keys meanwhile: now that its row can be seen, it is judged again.


def _stage_sql(target: Target) -> sql.Composed:
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(column_type(field)))  # type: ignore[arg-type,unused-ignore]
        for field in target.dataset.fields
    )
    return sql.SQL(
        'CREATE TEMP TABLE IF NOT EXISTS {} (source text COLLATE "C", record_key text COLLATE "C", record_hash bigint, '
        "run_id bigint, raw_page_id bigint, raw_index int, {}) ON COMMIT DELETE ROWS"
    ).format(target.stage(), columns)


def _page_id(target: Target, table: str) -> sql.Composable:
    """The number of the stored page of a row."""
    known = sql.SQL("{}.raw_page_id").format(sql.SQL(table))  # type: ignore[arg-type,unused-ignore]
    if not target.renumbered:
        return known
    cases = sql.SQL(" ").join(
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(given), sql.Literal(stored))
        for given, stored in target.renumbered.items()
    )
    return sql.SQL("CASE {} {} ELSE {} END").format(known, cases, known)


def _merge_sql(target: Target, stage: sql.Composable) -> sql.Composed:
    """Return the statement that merges: of several rows with one key the last staged one counts.

    Of rows that two slices of one pass give for one key, that of the later slice stays, whoever commits first.
    A hash that differs is not enough to rewrite a row, as hashes may change with the version of DuckDB; its values are.
    """
    fields = [sql.Identifier(name) for name in target.fields]
    return sql.SQL(
        """
        WITH last AS MATERIALIZED (
            SELECT DISTINCT ON (record_key) record_key, record_hash, {page_id} AS raw_page_id, raw_index, ctid AS place
            FROM {stage} AS stage ORDER BY record_key, ctid DESC
        ), judged AS MATERIALIZED (
            SELECT last.place, CASE
                WHEN known.record_key IS NULL THEN 'new'
                WHEN known.record_hash = last.record_hash OR (
                    SELECT ROW({new_values}) IS NOT DISTINCT FROM ROW({old_values})
                    FROM {stage} AS stage WHERE stage.ctid = last.place
                ) THEN
                    CASE WHEN known.run_id = ANY (%(pass_runs)s) AND known.raw_page_id <> last.raw_page_id
                         THEN 'older' ELSE 'same' END
                WHEN known.run_id = ANY (%(pass_runs)s) AND (
                    SELECT page.slice FROM raw_page AS page WHERE page.id = known.raw_page_id
                ) > %(slice)s THEN 'older'
                WHEN {later} THEN 'older'
                ELSE 'other' END AS verdict
            FROM last
            LEFT JOIN {table} AS known ON known.source = %(source)s AND known.record_key = last.record_key
        ), written AS (
            INSERT INTO {table} AS kept (source, record_key, record_hash, run_id, raw_page_id, raw_index, {fields})
            SELECT stage.source, stage.record_key, stage.record_hash, stage.run_id, {page_id}, stage.raw_index,
                   {new_values_typed}
            FROM judged JOIN {stage} AS stage ON stage.ctid = judged.place
            WHERE judged.verdict IN ('new', 'other')
            ON CONFLICT (source, record_key) DO UPDATE
            SET record_hash = excluded.record_hash, run_id = excluded.run_id, raw_page_id = excluded.raw_page_id,
                raw_index = excluded.raw_index, updated_at = now(), {changes}
            WHERE kept.record_hash <> excluded.record_hash AND (kept.run_id <> ALL (%(pass_runs)s)
               OR (SELECT page.slice FROM raw_page AS page WHERE page.id = kept.raw_page_id) <= %(slice)s)
            RETURNING xmax = 0 AS inserted
        )
        SELECT (SELECT count(*) FROM judged),
               (SELECT count(*) FROM judged WHERE verdict = 'same'),
               (SELECT count(*) FROM judged WHERE verdict = 'older'),
               count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM written
        """
    ).format(
        stage=stage,
        table=target.into,
        page_id=_page_id(target, "stage"),
        later=_LATER if target.yields else sql.SQL("false"),
        fields=sql.SQL(", ").join(fields),
        new_values=comparable(target.dataset, "stage"),
        new_values_typed=sql.SQL(", ").join(sql.SQL("stage.{}").format(name) for name in fields),
        old_values=comparable(target.dataset, "known"),
        changes=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in fields),
    )


_LATER = sql.SQL(
    """EXISTS (SELECT FROM raw_page AS theirs, raw_page AS ours
               WHERE theirs.id = known.raw_page_id AND ours.id = last.raw_page_id
                 AND (theirs.last_pass_id, theirs.last_number, known.raw_index)
                   > (ours.last_pass_id, ours.last_number, last.raw_index))"""
)


def comparable(dataset: Dataset, table: str) -> sql.Composed:
    """Return the values of a row in a form that can be compared: json has no equality."""
    columns = [
        sql.SQL("{}.{}::text" if field.type == "json" else "{}.{}").format(sql.SQL(table), sql.Identifier(field.name))  # type: ignore[arg-type,unused-ignore]
        for field in dataset.fields
    ]
    return sql.SQL(", ").join(columns)


def _append_sql(target: Target, stage: sql.Composable) -> sql.Composed:
    """Each record is added, under a key that says which record of which page of which run it was."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in target.fields)
    return sql.SQL(
        """
        WITH written AS (
            INSERT INTO {table} (source, record_key, record_hash, run_id, raw_page_id, raw_index, {names})
            SELECT source, concat_ws('.', run_id, raw_page_id, raw_index), record_hash, run_id, {page_id}, raw_index,
                   {names}
            FROM {stage} AS stage
            RETURNING 1
        )
        SELECT count(*), 0, 0, count(*), 0 FROM written
        """
    ).format(table=target.into, names=names, page_id=_page_id(target, "stage"), stage=stage)
