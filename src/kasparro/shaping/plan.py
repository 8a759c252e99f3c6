"""Compiles a dataset and a mapping into the SQL that shapes a page: texts, then values, then what is wrong."""

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass

from kasparro.model.dataset import NORMALIZED, Dataset, Field
from kasparro.model.mapping import FieldRule, Mapping
from kasparro.shaping.fields import CsvCells, JsonPlaces, Places, Taken, text_of
from kasparro.shaping.types import Check, Quick, checks, quick_sql, value_sql

_LONGEST_KEY = 1000
"""Bytes of a record key; a longer one becomes its SHA-256, as an index entry holds no more than 2,700."""

_PER_FIELD = 16
"""Checks of one field at most: what is wrong is one number, field times this plus check."""

NO_KEY = -1
"""What is wrong when a part of the primary key is missing."""

REDO = -2
"""What is wrong, in the quick statement alone, with a value that only the general statement can judge."""

RAW = "\x00raw\x00"
"""Stands in the statements for the relation of the raw records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a source's records are to become.

    Attributes:
        well_known: Raw names that fill the unified fields when there is no mapping.
        timezone: Zone of timestamps that name none.
    """

    dataset: Dataset
    mapping: Mapping | None = None
    primary_key: tuple[str, ...] = ()
    well_known: MappingOf[str, tuple[str, ...]]
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One field, compiled: SQL of its text and of its value, and the quick way to the value where there is one.

    A lenient one is only guessed: it is never at fault, and a value that does not fit stays in `attributes`. The field
    that takes the rest has no text of its own.
    """

    field: Field
    text: str
    value: str
    checks: tuple[Check, ...]
    lenient: bool
    quick: Quick | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A compiled shape.

    Attributes:
        select: SQL over `RAW` giving `i, k` (key), one `v<n>` per field, `h` (hash), `bad` and `said`.
        quick: The same for pages whose values are all written plainly; a row that is not has `bad` = `REDO`.
        pointers: JSON pointers that `raw` must provide as the list `x`; likewise `json_pointers` as `y`.
        columns: The fields, in order.
    """

    select: str
    quick: str
    columns: tuple[Column, ...]
    pointers: tuple[str, ...] = ()
    json_pointers: tuple[str, ...] = ()

    def reject(self, bad: int) -> tuple[str | None, str, str]:
        """Return path, code and reason of what is wrong."""
        if bad == NO_KEY:
            return None, "key_missing", "has no value for its primary key"
        column = self.columns[bad // _PER_FIELD]
        check = column.checks[bad % _PER_FIELD]
        return column.field.name, check.code, f"{column.field.name} {check.reason}"


def compile_plan(shape: Shape, places: Places) -> Plan:
    """Compile for the columns of one file, or for JSON records.

    Raises:
        SchemaBroken: the configuration names a column that the file does not have.
    """
    taken = Taken()
    for_rest = rest_field(shape)
    fields = shape.dataset.fields
    columns = {n: _column(shape, places, field, taken, n) for n, field in enumerate(fields) if field != for_rest}
    if for_rest is not None:  # last, as it takes what the others left
        only = shape.mapping.attributes if shape.mapping is not None else None
        rest = places.rest(taken, only)
        columns[fields.index(for_rest)] = Column(field=for_rest, text="", value=rest, checks=(), lenient=True)
    ordered = [columns[n] for n in range(len(fields))]
    key, from_json = _key(shape, places), isinstance(places, JsonPlaces)
    return Plan(
        select=_select(ordered, key, from_json=from_json, quick=False),
        quick=_select(ordered, key, from_json=from_json, quick=True),
        columns=tuple(ordered),
        pointers=tuple(places.pointers) if isinstance(places, JsonPlaces) else (),
        json_pointers=tuple(places.json_pointers) if isinstance(places, JsonPlaces) else (),
    )


def rest_field(shape: Shape) -> Field | None:
    """The field that takes what no other took: `attributes`, unless a rule fills it."""
    ruled = shape.mapping.rules if shape.mapping is not None else {}
    for field in shape.dataset.fields:
        if field.name == "attributes" and field.type == "json" and field.name not in ruled:
            return field
    return None


def _column(shape: Shape, places: Places, field: Field, taken: Taken, number: int) -> Column:
    rule, lenient = rule_of(shape, places, field)
    text, value = f"t{number}", f"v{number}"
    if rule is None:
        absent = tuple(one for one in checks(field, text, value) if one.code == "required")
        return Column(field=field, text="NULL::VARCHAR", value="NULL::VARCHAR", checks=absent, lenient=False)
    source = text_of(rule, places, as_json=field.type == "json")
    parse = isinstance(places, CsvCells)
    converted = value_sql(field, text, timezone=shape.timezone, pattern=rule.format, parse_json=parse)
    found = () if lenient else checks(field, text, value)
    _take(taken, rule, places, value if lenient and field.type != "text" else None)
    quick = None if rule.format is not None else quick_sql(field, text)
    return Column(field=field, text=source, value=converted, checks=found, lenient=lenient, quick=quick)


def rule_of(shape: Shape, places: Places, field: Field) -> tuple[FieldRule | None, bool]:
    """The rule of a field, and whether it is only a guess: then a value that does not fit stays in `attributes`."""
    if shape.mapping is not None and field.name in shape.mapping.rules:
        return shape.mapping.rules[field.name], False
    if shape.mapping is None and shape.dataset.name == NORMALIZED.name:
        guesses = tuple(path for path in shape.well_known.get(field.name, ()) if places.has(path))
        return (FieldRule(paths=guesses), True) if guesses else (None, True)
    # A field is named like one column or one key, whatever dots it has.
    return (FieldRule(paths=(field.name,)), False) if places.has(field.name) else (None, False)


def _take(taken: Taken, rule: FieldRule, places: Places, fits: str | None) -> None:
    """Note which raw fields the rule uses up: of several candidates only the first that holds a value."""
    paths = [path for path in rule.paths if places.has(path)]
    for n, path in enumerate(paths):
        conditions = [f"{places.text(earlier)} IS NULL" for earlier in paths[:n]]
        if len(paths) > 1:
            conditions.append(f"{places.text(path)} IS NOT NULL")
        if fits is not None:
            conditions.append(f"({fits} IS NOT NULL OR {places.text(path)} IS NULL)")
        taken.conditions.setdefault(path, " AND ".join(conditions) or "true")


def _key(shape: Shape, places: Places) -> str:
    if not shape.primary_key:
        return f"md5({places.everything()})"
    parts = [places.text(path) for path in shape.primary_key]
    if len(parts) == 1:
        return f"nullif({parts[0]}, '')"
    missing = " OR ".join(f"{part} IS NULL" for part in parts)
    return f"CASE WHEN {missing} THEN NULL ELSE to_json([{', '.join(parts)}])::VARCHAR END"


def _select(columns: Sequence[Column], key: str, *, from_json: bool, quick: bool) -> str:
    def value(column: Column) -> str:
        return column.value if column.quick is None or not quick else column.quick.value

    texts = ", ".join(f"{column.text} AS t{n}" for n, column in enumerate(columns) if not _is_rest(column))
    values = ", ".join(f"{value(column)} AS v{n}" for n, column in enumerate(columns) if not _is_rest(column))
    rest = "".join(f", {column.value} AS v{n}" for n, column in enumerate(columns) if _is_rest(column))
    hashed = ", ".join(_hashed(column, n, from_json=from_json) for n, column in enumerate(columns))
    said = [f"WHEN {n} THEN t{n}" for n, column in enumerate(columns) if column.checks]
    out = ", ".join(_shown(column, n, from_json=from_json) for n, column in enumerate(columns))
    return f"""
        WITH texts AS (SELECT *, {key} AS k{", " if texts else ""}{texts} FROM {RAW} AS raw),
        valued AS (SELECT *{", " if values else ""}{values} FROM texts),
        whole AS (SELECT *{rest} FROM valued),
        judged AS (SELECT *, {_judged(columns, quick=quick)} AS bad FROM whole)
        SELECT i,
               CASE WHEN strlen(k) > {_LONGEST_KEY} THEN 'sha256:' || sha256(k) ELSE k END AS k,
               CAST(hash({hashed}) >> 1 AS BIGINT) AS h,
               {out}, bad, {f"CASE bad // {_PER_FIELD} {' '.join(said)} END" if said else "NULL"} AS said
        FROM judged"""


def _judged(columns: Sequence[Column], *, quick: bool) -> str:
    """What is wrong with a record, as one number; NULL when nothing is."""
    unfit = [f"NOT {column.quick.fits}" for column in columns if quick and column.quick is not None]
    redo = [f"WHEN {' OR '.join(unfit)} THEN {REDO}"] if unfit else []
    bad = [
        f"WHEN {check.condition} THEN {n * _PER_FIELD + m}"
        for n, column in enumerate(columns)
        for m, check in enumerate(column.checks)
        if not (quick and column.quick is not None and check.code == f"not_{column.field.type}")
    ]
    return f"CASE {' '.join(redo)} WHEN k IS NULL THEN {NO_KEY} {' '.join(bad)} END"


def _is_rest(column: Column) -> bool:
    return column.text == ""


def _shown(column: Column, number: int, *, from_json: bool) -> str:
    # JSON keeps its marked numbers until here, so that the hash can normalise it without rounding them.
    return f"plain(v{number}) AS v{number}" if from_json and column.field.type == "json" else f"v{number}"


def _hashed(column: Column, number: int, *, from_json: bool) -> str:
    if from_json and column.field.type == "json":
        # The same object with its keys in another order is the same value.
        return f"unmarked(json_normalize(v{number})::VARCHAR)"
    # The quick value of a number is its text: so texts are hashed, or the two ways would differ.
    return f"v{number}" if column.field.type == "timestamp" else f"v{number}::VARCHAR"
