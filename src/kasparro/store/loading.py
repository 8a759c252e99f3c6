"""Rows into a dataset's table, the cheapest way that is right.

First they are copied straight into the table, as if all their keys were new: so a first load costs no more than `COPY`.
Where a key is there already, PostgreSQL says so at once; then the rows that differ are found (`probing`), copied to a
staging table, and merged by one statement. The table is probed by its primary key row by row (nested loop over the
index), never by hashing or scanning it: so a batch costs the same however large the table is, and a row that is already
there is neither written nor locked. A value that PostgreSQL refuses takes the third way, in `bisecting`.
"""

from dataclasses import dataclass, replace

from psycopg import AsyncConnection, errors, sql

from kasparro.model.run import Unit
from kasparro.model.shaped import Shaped
from kasparro.store.copying import copy_rows
from kasparro.store.target import PLANNER, Target, column_type, comparable


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that PostgreSQL would not take: which record of which page, and what it said."""

    page_id: int
    index: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of the rows of a batch.

    Attributes:
        changed: Keys of the rows that were updated.
        probed: All keys of the batch stand in the table of `probing`.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    refused: tuple[Refused, ...] = ()
    changed: tuple[str, ...] = ()
    probed: bool = False

    def __add__(self, other: "Written") -> "Written":
        return Written(
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
            duplicates=self.duplicates + other.duplicates,
            refused=(*self.refused, *other.refused),
            changed=(*self.changed, *other.changed),
        )


async def load_new(connection: AsyncConnection, target: Target, shaped: Shaped) -> Written | None:
    """Copy rows straight into the table; None, and nothing is written, where one of their keys is there already."""
    try:
        async with connection.transaction():
            await copy_rows(connection, target.into, target.sent(shaped), shaped.rows)
    except errors.UniqueViolation:
        return None
    return Written(inserted=shaped.count)


async def load(
    connection: AsyncConnection, target: Target, unit: Unit, shaped: Shaped, *, probe: bool = True
) -> Written:
    """Write what differs inside the caller's transaction. Raises psycopg's error where a value is refused.

    `probe`: most rows may be equal, so these are found first.
    """
    from kasparro.store.probing import differing  # noqa: PLC0415 - loads numpy: not before there are rows

    async with connection.transaction():
        probe = probe and not target.append
        found = await differing(connection, target, unit, shaped) if probe else None
        rows, count = (shaped.rows, shaped.count) if found is None else (found.rows, found.count)
        equal = 0 if found is None else found.equal
        if count == 0:
            return Written(unchanged=equal, probed=True)
        await connection.execute(_stage_sql(target))
        await copy_rows(connection, target.stage(), target.sent(shaped), rows)
        written = await merge(connection, target, unit, target.stage(), count)
        return replace(written, unchanged=written.unchanged + equal, probed=probe)


async def merge(connection: AsyncConnection, target: Target, unit: Unit, stage: sql.Composable, count: int) -> Written:
    """Write what differs between so many staged rows and the table."""
    await connection.execute(PLANNER)
    facts = {"source": unit.source, "slice": unit.slice_name, "pass_runs": list(target.pass_runs)}
    statement = _statement(target, stage)
    inserted, changed = 0, list[str]()
    while True:
        cursor = await connection.execute(statement, facts)
        keys, same, older, more, updated = (await cursor.fetchall())[0]
        unchanged = same - inserted - len(changed)
        inserted += more
        changed += updated or ()
        if unchanged + older + inserted + len(changed) == keys:
            return Written(
                inserted=inserted,
                updated=len(changed),
                unchanged=unchanged,
                duplicates=count - keys + older,
                changed=tuple(changed),
            )
        # Another slice wrote one of the keys meanwhile: now that its row can be seen, it is judged again.


def _statement(target: Target, stage: sql.Composable) -> sql.Composed:
    if target.waits:
        return _waiting_sql(target, stage)
    return _append_sql(target, stage) if target.append else _merge_sql(target, stage)


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
            RETURNING record_key, xmax = 0 AS inserted
        )
        SELECT (SELECT count(*) FROM judged),
               (SELECT count(*) FROM judged WHERE verdict = 'same'),
               (SELECT count(*) FROM judged WHERE verdict = 'older'),
               count(*) FILTER (WHERE inserted), array_agg(record_key) FILTER (WHERE NOT inserted) FROM written
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


def _waiting_sql(target: Target, stage: sql.Composable) -> sql.Composed:
    """Each row is added as it came."""
    return sql.SQL(
        "WITH written AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage} AS stage RETURNING 1) "
        "SELECT count(*), 0, 0, count(*), NULL::text[] FROM written"
    ).format(table=target.into, columns=target.columns, stage=stage)


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
        SELECT count(*), 0, 0, count(*), NULL::text[] FROM written
        """
    ).format(table=target.into, names=names, page_id=_page_id(target, "stage"), stage=stage)
