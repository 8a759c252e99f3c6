"""Constraints of a Pydantic field as constraints of a column, or the names of those that a column does not have."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AllowInfNan, Strict
from pydantic.fields import FieldInfo

from kasparro.model.dataset import FieldType

_NUMBERS = ("integer", "numeric", "float")


@dataclass(slots=True, kw_only=True)
class Column:
    """What is known of a field so far; `refusals` are the parts that a dataset cannot say."""

    type: FieldType
    optional: bool
    values: dict[str, Any] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)


def flat(metadata: Any) -> Iterator[Any]:  # noqa: ANN401 - constraints are of many classes
    """Yield single constraints: groups are taken apart, nested field definitions too."""
    for one in metadata:
        if isinstance(one, FieldInfo):
            yield from flat(one.metadata)
        elif isinstance(one, GroupedMetadata):
            yield from flat(one)
        elif one is not None:
            yield one


def constrain(column: Column, constraint: Any) -> None:  # noqa: ANN401, C901 - one case for each constraint
    """Put one constraint into the column, or note why it does not fit."""
    match constraint:
        case Ge(ge=bound) if column.type in _NUMBERS:
            _tighten(column, "min", _exact(bound), max)
        case Le(le=bound) if column.type in _NUMBERS:
            _tighten(column, "max", _exact(bound), min)
        case Gt(gt=int() as bound) if column.type == "integer":
            _tighten(column, "min", bound + 1, max)
        case Lt(lt=int() as bound) if column.type == "integer":
            _tighten(column, "max", bound - 1, min)
        case Gt() | Lt() if column.type in _NUMBERS:
            word = "gt" if isinstance(constraint, Gt) else "lt"
            column.refusals.append(f"{word} on a number with decimals (use {'ge' if word == 'gt' else 'le'})")
        case MinLen(min_length=length) if column.type == "text":
            _tighten(column, "min_length", length, max)
        case MaxLen(max_length=length) if column.type == "text":
            _tighten(column, "max_length", length, min)
        case AllowInfNan(allow_inf_nan=allowed) if column.type == "float":
            if not allowed:
                _tighten(column, "min", -sys.float_info.max, max)
                _tighten(column, "max", sys.float_info.max, min)
        case Strict():
            pass
        case _:
            _general(column, constraint)


def _general(column: Column, constraint: Any) -> None:  # noqa: ANN401
    """Take what pydantic keeps as loose attributes: `pattern` is the only one that a dataset knows."""
    given = {key: value for key, value in getattr(constraint, "__dict__", {}).items() if value is not None}
    pattern = given.pop("pattern", None)
    if isinstance(pattern, re.Pattern):
        given |= {} if pattern.flags == re.UNICODE else {"flags of a pattern": True}
        pattern = pattern.pattern
    if isinstance(pattern, str):
        given |= {"a second pattern": True} if "pattern" in column.values else {}
        column.values["pattern"] = _whole(pattern)
    name = type(constraint).__name__
    loose = isinstance(pattern, str) or name.startswith("_")
    column.refusals += [str(key) for key in given] if loose else [name]


def _whole(pattern: str) -> str:
    """Return a pattern that matches the whole of a text wherever the given one, as in pydantic, matches a part."""
    anchored = pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith(r"\$") and "|" not in pattern
    return pattern if anchored else f"(?s:.*)(?:{pattern})(?s:.*)"


def _tighten(column: Column, name: str, bound: Any, choose: Callable[..., Any]) -> None:  # noqa: ANN401
    """Keep the tighter of two bounds."""
    known = column.values.get(name)
    column.values[name] = bound if known is None else choose(known, bound, key=lambda value: Decimal(str(value)))


def _exact(bound: Any) -> int | float | str:  # noqa: ANN401
    """Return a bound as the model takes it; a Decimal keeps its digits as a text."""
    if isinstance(bound, int | float) or not bound.is_finite():
        return float(bound) if isinstance(bound, Decimal) else bound
    return int(bound) if bound == int(bound) else str(bound)
