"""Types of query parameters, stricter than what a parser would let through."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_DIGITS = re.compile(r"[+-]?[0-9]{1,20}")


def _plain_number(value: Any) -> Any:  # noqa: ANN401 - whatever a query holds
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        raise ValueError("This is not a whole number.")
    return value


Whole = BeforeValidator(_plain_number)
"""Refuses what pydantic would read as a number but nobody means: ` 5`, `5.0`, `1_0`."""

Text = Annotated[str | None, Field(min_length=1), WithJsonSchema({"type": "string", "minLength": 1})]
"""A text that may be left out, but not empty; None is not a thing that a query can hold."""
