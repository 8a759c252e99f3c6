"""Profiles what a source gave: a fixed number of records of each batch is looked at, whatever its size.

So the cost is that of some hundred values per field and batch, and the counts of a run are told from a sample that is
spread evenly over it. The records are taken apart by the parsers of Python's library, which is exact and, for so few,
fast enough.
"""

import csv
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import orjson

from kasparro.model.page import CsvRecords, JsonRecords, Page
from kasparro.model.profile import FIELDS, SAMPLED, FieldProfile, Profile, ValueType

LOOKED = 64
"""Records of a batch that are looked at."""

DEEPEST = 4
_LONGEST = 60
"""Characters of a value that are kept in the sample."""

_NUMBER = re.compile(r"[+-]?(?:\d{1,18}|(?:\d+\.\d*|\.\d+|\d{19,})(?:[eE][+-]?\d{1,3})?|\d+[eE][+-]?\d{1,3})")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?")
_BOOLEANS = frozenset({"true", "false", "True", "False", "TRUE", "FALSE"})

Seen = list[tuple[int, Any]]
"""Rank of the record, and the value that it has."""


def profile_of(pages: Sequence[Page]) -> Profile:
    """Return the profile of the records of a batch."""
    rows = sum(len(page.records) for page in pages)
    chosen = _chosen(pages, rows)
    columns: dict[str, Seen] = {}
    looked = 0
    for page, wanted in chosen:
        for rank, record in leaves_of(page.records, wanted):
            looked += 1
            for path, value in record:
                columns.setdefault(path, []).append((rank, value))
    text = any(isinstance(page.records, CsvRecords) for page in pages)
    fields = {path: _field(columns[path], from_text=text) for path in sorted(columns)[:FIELDS]}
    return Profile(rows=rows, looked=looked, fields=fields)


def _chosen(pages: Sequence[Page], rows: int) -> Iterator[tuple[Page, list[int]]]:
    """Yield each page with the positions of those of its records that are looked at: evenly spread over all."""
    every = np.unique(np.linspace(0, max(rows - 1, 0), num=min(LOOKED, rows), dtype=np.int64))
    start = 0
    for page in pages:
        stop = start + len(page.records)
        wanted = every[np.searchsorted(every, start) : np.searchsorted(every, stop)] - start
        if len(wanted):
            yield page, wanted.tolist()
        start = stop


def leaves_of(
    records: CsvRecords | JsonRecords, wanted: Sequence[int]
) -> Iterator[tuple[int, Iterable[tuple[str, Any]]]]:
    """Yield of each wanted record its rank, and path and value of everything in it."""
    return _csv(records, wanted) if isinstance(records, CsvRecords) else _json(records, wanted)


def _csv(records: CsvRecords, wanted: Sequence[int]) -> Iterator[tuple[int, Iterable[tuple[str, Any]]]]:
    pieces = [bytes(records.content[int(records.starts[n]) : int(records.starts[n + 1])]) for n in wanted]
    nulls = frozenset(records.null_values)
    for piece in pieces:
        text = piece.decode("utf-8").rstrip("\r\n")
        if records.quote is not None and records.quote in text:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=records.delimiter, quotechar=records.quote)
            cells = next(reader)
        else:
            cells = text.split(records.delimiter)
        yield (
            zlib.crc32(piece),
            [(name, None if cell in nulls else cell) for name, cell in zip(records.columns, cells, strict=True)],
        )


def _json(records: JsonRecords, wanted: Sequence[int]) -> Iterator[tuple[int, Iterable[tuple[str, Any]]]]:
    for n in wanted:
        text = bytes(records.texts[n])
        yield zlib.crc32(text), list(_leaves(parsed(text), "", DEEPEST))


def parsed(text: bytes) -> Any:  # noqa: ANN401 - any JSON object
    """Return the value of a JSON text that a strict parser has accepted."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # a number that no double holds; the standard library takes it for infinite
        return json.loads(text)


def _leaves(value: Mapping[str, Any], above: str, deeper: int) -> Iterator[tuple[str, Any]]:
    """Yield path and value of everything in a record; an object below another is also a value itself, for its type."""
    for name, below in value.items():
        path = f"{above}{name}"
        yield path, below
        if isinstance(below, dict) and deeper > 1:
            yield from _leaves(below, f"{path}.", deeper - 1)


def _field(seen: Seen, *, from_text: bool) -> FieldProfile:
    filled = [(rank, value) for rank, value in seen if value is not None]
    types: dict[ValueType, int] = {}
    numbers, moments, lengths = list[float](), list[str](), list[int]()
    sample, hashes = list[tuple[int, str]](), set[int]()
    for rank, value in filled:
        kind = type_of(value, from_text=from_text)
        types[kind] = types.get(kind, 0) + 1
        if kind in {"object", "array"}:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        hashes.add(zlib.crc32(text.encode()))
        sample.append((rank, text[:_LONGEST]))
        if kind in {"integer", "number"}:
            numbers += [number for number in (float(value),) if isfinite(number)]
        elif kind in {"date", "timestamp"}:
            moments.append(text)
        elif kind == "text":
            lengths.append(len(text))
    return FieldProfile(
        present=len(seen),
        nulls=len(seen) - len(filled),
        types=dict(sorted(types.items())),
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        first=min(moments, default=None),
        last=max(moments, default=None),
        shortest=min(lengths, default=None),
        longest=max(lengths, default=None),
        hashes=tuple(sorted(hashes)[:SAMPLED]),
        sample=tuple(sorted(set(sample))[:SAMPLED]),
    )


def type_of(value: Any, *, from_text: bool) -> ValueType:  # noqa: ANN401, PLR0911 - any JSON value, one line for each type
    """Return the type of a value that is not null. `from_text`: it is a cell of a CSV file."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case dict():
            return "object"
        case list():
            return "array"
        case str() if len(value) >= len("2026-01-01") and value[:4].isdigit():
            if TIMESTAMP.fullmatch(value):
                return "timestamp"
            if DATE.fullmatch(value):
                return "date"
    if from_text:
        return _type_of_cell(value)
    return "text"


def _type_of_cell(cell: str) -> ValueType:
    """A cell of a CSV file has no type but the one that it is written in."""
    if _INTEGER.fullmatch(cell):
        return "integer"
    if _NUMBER.fullmatch(cell):
        return "number"
    return "boolean" if cell in _BOOLEANS else "text"
