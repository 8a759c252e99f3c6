"""Rows as a table for people, or as JSON lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kasparro.cli.words import count_in_words, moment_in_words
from kasparro.model.controls import without_controls

_LONG = frozenset({"error", "reason", "raw", "origin", "place", "answer"})
"""Columns that may take several lines; the others are never broken."""

_TITLES = MappingProxyType(
    {"last_success_at": "last success", "started_at": "started", "run_id": "run", "requested_by": "by"}
)


def show(console: Console, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows: the named columns as a table, or everything as JSON lines."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = any(isinstance(row[column], int) and not isinstance(row[column], bool) for row in rows)
        table.add_column(
            _TITLES.get(column, column.replace("_", " ")),
            justify="right" if numeric else "left",
            no_wrap=column not in _LONG,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    console.print(table)


def show_each(console: Console, rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows whose values are long, one below the other, a line for each value."""
    for number, row in enumerate(rows):
        if number and not as_json:
            console.print()
        show_one(console, row, as_json=as_json)


def show_one(console: Console, row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one row, a line for each of its values."""
    if as_json:
        print_json(row)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(name.replace("_", " "), _cell(value))
    console.print(table)


def print_json(row: Mapping[str, Any]) -> None:
    """Print one JSON line."""
    print(orjson.dumps(dict(row), default=str).decode())  # noqa: T201 - the result of a command


def _cell(value: object) -> Text:
    match value:
        case None:
            return Text("-")
        case bool():
            return Text("yes" if value else "no")
        case int():
            return Text(count_in_words(value))
        case datetime():
            return Text(moment_in_words(value))
        case dict() | list():
            return _plain(orjson.dumps(value).decode())
        case _:
            return _plain(str(value))


def _plain(text: str) -> Text:
    """Return the text without control characters, before anybody measures how wide it is."""
    return Text(without_controls(text))
