"""The schema for editors says what the reader says."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from kasparro.config.json_schema import json_schema, schema_text

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def small(kinds: Mapping[str, type]) -> Any:
    return Draft202012Validator(json_schema(kinds))


def test_the_file_in_the_repository_is_in_step() -> None:
    remedy = "run: python -m kasparro.config.reference"
    assert (ROOT / "kasparro.schema.json").read_text("utf-8") == schema_text(), remedy


def test_it_is_printed_by_its_module() -> None:
    command = [sys.executable, "-m", "kasparro.config.json_schema"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    assert printed == schema_text()


WEB = {"type": "web", "url": "https://x"}


@pytest.mark.parametrize(
    "source",
    [
        WEB,
        {**WEB, "wait": 2},
        {**WEB, "wait": "${WAIT}"},
        {**WEB, "pagination": {"type": "page_number", "size": "${SIZE:-5}"}},
        {**WEB, "pagination": {"type": "cursor", "cursor": "next", "in": "body"}},
        {**WEB, "auth": {"type": "bearer", "token": "${TOKEN}"}},
        {**WEB, "auth": None},
        {**WEB, "primary_key": ["a", "b"], "dataset": "sales", "timezone": "UTC", "schedule": "* * * * *"},
        {**WEB, "mapping": {"title": "a", "value": ["a", "b"], "url": {"const": 5}, "attributes": ["a"]}},
        {"type": "table", "path": "a.csv", "header": False},
        {"type": "table", "path": ["a.csv", "b.csv"], "header": "${HEADER}"},
    ],
)
def test_what_it_takes(small: Any, source: object) -> None:
    assert [error.message for error in small.iter_errors({"sources": {"a": source}})] == []


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"type": "wep"},
        {"type": "web"},
        {**WEB, "ulr": "x"},
        {**WEB, "path": "x"},
        {**WEB, "wait": "soon"},
        {**WEB, "wait": 0},
        {**WEB, "pagination": {}},
        {**WEB, "pagination": {"size": 5}},
        {**WEB, "pagination": {"type": "page_nummer"}},
        {**WEB, "pagination": {"type": "page_number", "sise": 5}},
        {**WEB, "mapping": {"title": {"pth": "a"}}},
        {**WEB, "mapping": {"title": 5}},
        {"type": "table", "path": 5},
        {"type": "table", "path": "x", "header": "sometimes"},
        [],
        None,
    ],
)
def test_what_it_refuses(small: Any, source: object) -> None:
    assert not small.is_valid({"sources": {"a": source}})


@pytest.mark.parametrize(
    ("datasets", "valid"),
    [
        ({"sales": {"fields": {"a": "text", "b": {"type": "numeric", "min": 0, "required": "${X}"}}}}, True),
        (None, True),
        ({"Sales": {"fields": {"a": "text"}}}, False),
        ({"normalized_data": {"fields": {"a": "text"}}}, False),
        ({"sales": {"fields": {}}}, False),
        ({"sales": {"fields": {"A": "text"}}}, False),
        ({"sales": {"fields": {"a": "string"}}}, False),
        ({"sales": {"fields": {"a": {"typ": "text"}}}}, False),
        ({"sales": {"feelds": {"a": "text"}}}, False),
    ],
)
def test_datasets(validator: Any, datasets: object, valid: bool) -> None:  # noqa: FBT001 - a column of the table above
    assert validator.is_valid({"sources": {}, "datasets": datasets}) is valid


@pytest.mark.parametrize(
    "document", [{}, {"sources": {}, "source": {}}, {"sources": {"a b": WEB}}, {"sources": {"..": WEB}}, []]
)
def test_the_top_of_the_file(small: Any, document: object) -> None:
    assert not small.is_valid(document)
