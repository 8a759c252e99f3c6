"""A Pydantic model class as a dataset: its fields, types and constraints; what a dataset cannot say is refused.

Defaults are not applied: a field with a default may be absent, and its column is null then. What is inside of a dict
or a list is not checked.
"""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, RootModel
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo

from kasparro.config.datasets import check_dataset
from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.pydantic_constraints import Column, constrain, flat
from kasparro.model.dataset import Dataset, Field, FieldType

_COLUMNS: tuple[tuple[Any, FieldType], ...] = (
    (str, "text"),
    (int, "integer"),
    (Decimal, "numeric"),
    (float, "float"),
    (bool, "boolean"),
    (dt.datetime, "timestamp"),
    (AwareDatetime, "timestamp"),
    (dt.date, "date"),
    (dict, "json"),
    (list, "json"),
)
_TEXT_CHANGES = ("str_strip_whitespace", "str_to_lower", "str_to_upper", "str_min_length", "str_max_length")


def dataset_from_model(name: str, model: type[BaseModel], place: Place, mistakes: Mistakes) -> Dataset | None:
    """Return the dataset that a model class describes; what it cannot express is noted.

    Args:
        name: Of the dataset.
        model: Required are its fields without default that may not be None.
        place: Where the class was given.
        mistakes: Takes what is wrong.
    """
    try:
        model.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        mistakes.add(place, f"the class {model.__name__} names a type that is not defined: {error.name}")
        return None
    for refusal in _refused_of_class(model):
        mistakes.add(place, f"the class {model.__name__} has {refusal}, which a dataset cannot express")
    fields: list[Field] = []
    for column_name, info in model.model_fields.items():
        column = _column(info)
        for refusal in column.refusals:
            mistakes.add((*place, "fields", column_name), f"{refusal} cannot be expressed by a dataset")
        required = info.is_required() and not column.optional
        fields.append(Field(name=column_name, type=column.type, required=required, **column.values))
    return check_dataset(Dataset(name=name, fields=tuple(fields)), place, mistakes)


def _refused_of_class(model: type[BaseModel]) -> Iterator[str]:
    decorators = model.__pydantic_decorators__
    if issubclass(model, RootModel):
        yield "a root value instead of fields"
    for kind in ("validators", "field_validators", "root_validators", "model_validators", "computed_fields"):
        for name in getattr(decorators, kind):
            yield f"the {'computed field' if kind == 'computed_fields' else 'validator'} {name}"
    yield from (f"the setting {key}" for key in _TEXT_CHANGES if model.model_config.get(key))


def _column(info: FieldInfo) -> Column:
    base, metadata, optional = _unwrap(info.annotation, list(flat(info.metadata)))
    origin = get_origin(base) or base
    column = Column(type="text", optional=optional)
    known = next((kind for accepted, kind in _COLUMNS if accepted is origin), None)
    options = _options(base)
    if known is not None:
        column.type = known
    elif options is not None:
        column.values["one_of"] = options
    else:
        column.refusals.append(f"the type {_type_name(base)}")
        return column
    if info.alias is not None or info.validation_alias is not None:
        column.refusals.append("an alias (name the raw field in the mapping of the source instead)")
    for constraint in metadata:
        constrain(column, constraint)
    return column


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any], bool]:  # noqa: ANN401 - any annotation
    """Return the type inside of Annotated and Optional, all constraints, and whether None is allowed."""
    optional = False
    while True:
        args = get_args(annotation)
        if get_origin(annotation) is Annotated:
            annotation, metadata = args[0], [*metadata, *flat(args[1:])]
        elif get_origin(annotation) in {Union, UnionType} and NoneType in args and len(args) == 2:  # noqa: PLR2004
            annotation, optional = next(arg for arg in args if arg is not NoneType), True
        elif get_origin(annotation) is Literal and None in args:
            annotation, optional = Literal[tuple(arg for arg in args if arg is not None)], True
        else:
            return annotation, metadata, optional


def _options(base: Any) -> tuple[str, ...] | None:  # noqa: ANN401
    """Return the texts that a Literal or an Enum allows; None where it is neither, or of other values."""
    values: tuple[Any, ...] = ()
    if get_origin(base) is Literal:
        values = get_args(base)
    elif isinstance(base, type) and issubclass(base, Enum):
        values = tuple(member.value for member in base)
    return values if values and all(isinstance(value, str) for value in values) else None


def _type_name(base: Any) -> str:  # noqa: ANN401
    return (
        base.__qualname__ if isinstance(base, type) and get_origin(base) is None else str(base).replace("typing.", "")
    )
