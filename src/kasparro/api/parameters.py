"""Types of query parameters, stricter than what a parser would let through, and routes that take none."""

import re
from typing import Annotated, Any

from fastapi import Path, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator, Field, WithJsonSchema

_DIGITS = re.compile(r"[+-]?[0-9]{1,20}")


def _plain_number(value: Any) -> Any:  # noqa: ANN401 - whatever a query holds
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        raise ValueError("This is not a whole number.")
    return value


Whole = BeforeValidator(_plain_number)
"""Refuses what pydantic would read as a number but nobody means: ` 5`, `5.0`, `1_0`."""

HIGHEST = 2**63 - 1
"""The highest number that a run can have."""

RunId = Annotated[
    int,
    Whole,
    Path(ge=1, le=HIGHEST),
    # behind a validator of ours, pydantic would write `ge` and `le`, which nobody reads
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": HIGHEST}),
]


def _plain_truth(value: Any) -> Any:  # noqa: ANN401 - whatever a query holds
    if isinstance(value, str) and value not in {"true", "false"}:
        raise ValueError("This is neither true nor false.")
    return value


Truth = BeforeValidator(_plain_truth)
"""Refuses what pydantic would read as a truth value but nobody writes in JSON: `1`, `on`, `yes`."""

Text = Annotated[str | None, Field(min_length=1), WithJsonSchema({"type": "string", "minLength": 1})]
"""A text that may be left out, but not empty; None is not a thing that a query can hold."""


def no_query(request: Request) -> None:
    """Refuse a query where none is read: whoever sends one means something by it. Raises RequestValidationError."""
    faults = [{"type": "extra_forbidden", "loc": ("query", name), "msg": ""} for name in request.query_params]
    if faults:
        raise RequestValidationError(faults)
