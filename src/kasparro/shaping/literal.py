"""Python values as SQL literals for DuckDB. Everything that reaches generated SQL passes here."""

from collections.abc import Sequence

from kasparro.model.path import Step


def text(value: str) -> str:
    """Return a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """Return a quoted SQL identifier."""
    return '"' + value.replace('"', '""') + '"'


def pointer(steps: Sequence[Step]) -> str:
    """Return a JSON pointer (RFC 6901) as a SQL string literal."""
    return text("".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps))


def texts(values: Sequence[str]) -> str:
    """Return a SQL list of strings, or of expressions that are literals already."""
    return "[" + ", ".join(values) + "]"
