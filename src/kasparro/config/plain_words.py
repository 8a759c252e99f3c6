"""Says in plain words what pydantic found: one problem for each place, however many shapes were tried there."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kasparro.config.suggestions import not_one_of

EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "string_type": "a text",
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_parsing_size": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "float_parsing": "a number",
        "decimal_type": "a number",
        "decimal_parsing": "a number",
        "bool_type": "true or false",
        "bool_parsing": "true or false",
        "list_type": "a list",
        "tuple_type": "a list",
        "set_type": "a list",
        "frozen_set_type": "a list",
        "dict_type": "a mapping",
        "mapping_type": "a mapping",
        "dataclass_type": "a mapping",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
        "url_type": "a URL",
        "url_parsing": "a URL",
        "none_required": "empty",
    }
)
"""What was expected where the value is of another type, by pydantic's error type."""

_LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "greater_than_equal": "must be at least {ge}{but}",
        "greater_than": "must be more than {gt}{but}",
        "less_than_equal": "must be at most {le}{but}",
        "less_than": "must be less than {lt}{but}",
        "finite_number": "must be a finite number",
        "string_too_short": "must have at least {min_length} character(s){but}",
        "string_too_long": "must have at most {max_length} character(s)",
        "too_short": "must have at least {min_length} item(s)",
        "too_long": "must have at most {max_length} item(s)",
        "string_pattern_mismatch": "must match the pattern {pattern}{but}",
    }
)

_QUOTED = re.compile(r"'([^']*)'")


def mismatch(kinds: Sequence[str], value: object, display: str | None) -> str:
    """Return the sentence for a value of the wrong type.

    Args:
        kinds: Pydantic's error types, all in `EXPECTED`.
        value: What stands there.
        display: How the value may be shown; None where it must stay hidden.
    """
    expected = list(dict.fromkeys(EXPECTED[kind] for kind in kinds))
    listed = " or ".join([", ".join(expected[:-1]), expected[-1]]) if len(expected) > 1 else expected[0]
    if value is None:
        return f"has no value; it must be {listed}"
    quotes = "; put it in quotes" if "a text" in expected and isinstance(value, bool | int | float) else ""
    return f"must be {listed}{'' if display is None else f', not {display}'}{quotes}"


def options_of(context: Mapping[str, Any]) -> list[str]:
    """Return the options that pydantic lists in its context as `'a', 'b' or 'c'`."""
    return _QUOTED.findall(str(context.get("expected_tags", context.get("expected", ""))))


def problem_of(error: Mapping[str, Any], display: str | None) -> str:
    """Return the sentence for an error other than a wrong type; `error` is an entry of `ValidationError.errors()`."""
    context: Mapping[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if kind in {"literal_error", "enum", "union_tag_invalid"}:
        return not_one_of(display, context.get("tag", error["input"]), options_of(context))
    if kind in {"too_short", "string_too_short"} and context["min_length"] == 1:
        return "is empty"
    if kind in _LIMITS:
        plain = {name: _plain(value) for name, value in context.items()}
        return _LIMITS[kind].format(**plain, but="" if display is None else f", not {display}")
    if kind in {"value_error", "assertion_error"}:
        return str(context["error"])
    text = str(error["msg"]).replace("Input should", "must")
    return text[:1].lower() + text[1:]


def _plain(limit: Any) -> Any:  # noqa: ANN401 - whatever pydantic compares with
    """Return a whole number without the point that its type gives it."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit
