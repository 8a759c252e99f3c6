"""Asks DuckDB, which will run them, whether patterns, expressions and zones are words it understands."""

import zoneinfo
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@cache
def pattern_problem(pattern: str) -> str | None:
    """Return why RE2 cannot read a regular expression, or None."""
    with _connection() as connection:
        try:
            connection.execute("SELECT regexp_full_match('', ?)", [pattern])
        except _errors() as error:
            return _reason(error)
    return None


@cache
def expression_problem(expression: str) -> str | None:
    """Return why a text is not one SQL expression, or None. Nothing is run, and no name is looked up."""
    with _connection() as connection:
        try:
            statements = connection.extract_statements(f"SELECT (\n{expression}\n)")
        except _errors() as error:
            return _reason(error)
    return None if len(statements) == 1 else "one expression is allowed, without ;"


@cache
def timezone_names() -> tuple[str, ...]:
    """Return the names of the IANA zones, without the abbreviations that only DuckDB knows."""
    with _connection() as connection:
        rows = connection.execute("SELECT DISTINCT name FROM pg_timezone_names()").fetchall()
    names = {str(name) for (name,) in rows}
    return tuple(sorted(names & zoneinfo.available_timezones() or names))


def _errors() -> "type[duckdb.Error]":
    import duckdb  # noqa: PLC0415 - as below

    return duckdb.Error


def _connection() -> "duckdb.DuckDBPyConnection":
    """Return a database of its own, which takes about 15 ms: the default one belongs to the user's program."""
    import duckdb  # noqa: PLC0415 - takes a twentieth of a second, and most configurations hold no such words

    return duckdb.connect(config={"threads": 1, "temp_directory": ""})


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].partition("Error: ")[2]
