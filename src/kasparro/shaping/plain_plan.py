"""Which records may be shaped the plain way: those whose fields each take one column as it is."""

import hashlib
import re
from dataclasses import dataclass

from kasparro.model.dataset import Field, FieldType
from kasparro.model.mapping import FieldRule
from kasparro.shaping.fields import CsvCells
from kasparro.shaping.plan import Shape, rest_field, rule_of

_PLAIN_KEY = re.compile(r'[^.\[\]"]+')
"""A key that is its own path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainField:
    """A field that takes one column as it is."""

    name: str
    column: int
    type: FieldType
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPlan:
    """What may be shaped the plain way.

    Attributes:
        fields: In the order of their columns; each column has one at most.
        key: Column of the primary key.
        width: Number of columns.
        utc: Times that name no zone are in UTC.
        seed: Tells this plan from others; part of every hash.
    """

    fields: tuple[PlainField, ...]
    key: int
    width: int
    utc: bool
    seed: int


def plain_plan(shape: Shape, columns: tuple[str, ...], *, from_json: bool = False) -> PlainPlan | None:
    """Return how pages may be shaped without parsing; None where the mapping asks for more.

    Args:
        shape: What the records are to become.
        columns: Of the CSV file, or the keys of the JSON records.
        from_json: Which of both.
    """
    named = tuple(map(_addressed, columns)) if from_json else columns
    places = CsvCells(columns=named, origin="")
    if len(shape.primary_key) != 1 or not places.has(shape.primary_key[0]) or rest_field(shape) is not None:
        return None
    by_column: dict[int, PlainField] = {}
    for field in shape.dataset.fields:
        rule, lenient = rule_of(shape, places, field)
        if rule is None and not field.required:
            continue
        column = None if lenient else _plain_column(rule, named)
        if column is None or column in by_column or not _is_simple(field, from_json=from_json):
            return None
        by_column[column] = PlainField(name=field.name, column=column, type=field.type, required=field.required)
    if not by_column:
        return None
    fields = tuple(by_column[number] for number in sorted(by_column))
    # Keys that no field takes are not part of a JSON row, nor of its hash.
    hashed = ("json", *(field.name for field in fields)) if from_json else columns
    told = repr((shape.dataset, shape.mapping, shape.primary_key, hashed, shape.timezone))
    return PlainPlan(
        fields=fields,
        key=named.index(shape.primary_key[0]),
        width=len(columns),
        utc=shape.timezone == "UTC",
        seed=int.from_bytes(hashlib.sha256(told.encode()).digest()[:8]),
    )


def _addressed(key: str) -> str:
    """Return the path of a key of a record, or what is no path where it would need quotes."""
    return key if _PLAIN_KEY.fullmatch(key) else "\x00"


def _plain_column(rule: FieldRule | None, columns: tuple[str, ...]) -> int | None:
    """Return the column that a rule takes as it is; None where it does anything else."""
    if rule is None or rule.const is not None or rule.sql is not None or rule.format is not None:
        return None
    return columns.index(rule.paths[0]) if len(rule.paths) == 1 and rule.paths[0] in columns else None


def _is_simple(field: Field, *, from_json: bool) -> bool:
    return not _is_constrained(field) and field.type != "json" and (from_json or field.type != "boolean")


def _is_constrained(field: Field) -> bool:
    bounds = (field.min, field.max, field.min_length, field.max_length, field.pattern)
    return bool(field.one_of) or any(bound is not None for bound in bounds)
