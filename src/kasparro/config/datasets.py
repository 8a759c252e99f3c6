"""Declared datasets: from the configuration's shape to values of the model."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from kasparro.config.checking import check
from kasparro.config.engine_words import pattern_problem
from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.shapes import FIELD_TYPES, TYPE_SYNONYMS, DatasetShape, FieldShape
from kasparro.config.suggestions import did_you_mean, not_one_of, shown
from kasparro.model.dataset import NAME, NORMALIZED, SYSTEM_COLUMNS, Dataset, Field, FieldType

Bound = int | float | str | None

COLUMN_PATTERN = f"^{NAME.pattern}$"
"""What a dataset or a field may be called, for the JSON schema."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBERS = ("integer", "numeric", "float")
_NAME_RULE = "use lower-case letters, digits and _, not a digit first, 63 characters at most"


def declare_dataset(
    name: str, data: object, place: Place, mistakes: Mistakes, texts: Mapping[Place, str]
) -> Dataset | None:
    """Return the dataset, or None where nothing can be made of it; what is wrong is noted.

    Args:
        name: As declared.
        data: What stands under the name.
        place: Where it stands.
        mistakes: Takes what is wrong.
        texts: How numbers are written in the file, by place.
    """
    check_dataset_name(name, place, mistakes)
    shape = check(DatasetShape, _with_known_types(data, place, mistakes), place, mistakes)
    if shape is None or not isinstance(data, Mapping):
        return None
    names = data["fields"]  # also of fields whose declaration is wrong, so that a mapping may name them
    given = {name: shape.fields.get(name, FieldShape()) for name in names}
    fields = [_field(field, shaped, (*place, "fields", field), texts) for field, shaped in given.items()]
    return _checked(Dataset(name=name, fields=tuple(fields)), place, mistakes)


def check_dataset(dataset: Dataset, place: Place, mistakes: Mistakes) -> Dataset:
    """Return a dataset that was made in Python; what is wrong with its names and constraints is noted."""
    check_dataset_name(dataset.name, place, mistakes)
    if not dataset.fields:
        mistakes.add((*place, "fields"), "is empty; name at least one")
    return _checked(dataset, place, mistakes)


def _checked(dataset: Dataset, place: Place, mistakes: Mistakes) -> Dataset:
    for field in dataset.fields:
        check_field(field, (*place, "fields", field.name), mistakes)
    return dataset


def check_dataset_name(name: str, place: Place, mistakes: Mistakes) -> None:
    """Note what is wrong with the name of a dataset."""
    if name == NORMALIZED.name:
        mistakes.add(place, f"{name} is built in and cannot be declared; choose another name")
    elif NAME.fullmatch(name) is None:
        mistakes.add(place, f"{shown(name)} cannot be the name of a table; {_NAME_RULE}{_lowered(name)}")


def check_field(field: Field, place: Place, mistakes: Mistakes) -> None:
    """Note a name that cannot be a column's, and constraints that do not fit the type or each other."""
    _check_field_name(field.name, place, mistakes)
    unfit = {
        **dict.fromkeys(("min", "max"), _NUMBERS),
        **dict.fromkeys(("min_length", "max_length", "pattern", "one_of"), ("text",)),
    }
    if field.type not in FIELD_TYPES:
        mistakes.add((*place, "type"), not_one_of(shown(field.type), field.type, FIELD_TYPES, TYPE_SYNONYMS))
    for constraint, types in unfit.items():
        if getattr(field, constraint) not in (None, ()) and field.type not in types:
            mistakes.add((*place, constraint), f"does not fit the type {field.type}; it is for {', '.join(types)}")
    _check_bounds(field, place, mistakes)
    if field.min_length is not None and field.max_length is not None and field.min_length > field.max_length:
        mistakes.add((*place, "min_length"), "is more than max_length")
    if field.pattern is not None:
        problem = pattern_problem(field.pattern)
        if problem is not None:
            where = (*place, "pattern")
            reason = mistakes.because(where, problem)
            mistakes.add(where, f"is not a regular expression that RE2 understands{reason}")


def _check_bounds(field: Field, place: Place, mistakes: Mistakes) -> None:
    low, high = _decimal(field.min), _decimal(field.max)
    for name, given, exact in (("min", field.min, low), ("max", field.max, high)):
        if given is not None and exact is None:
            mistakes.add((*place, name), "must be a finite number")
    if low is not None and high is not None and low > high:
        mistakes.add((*place, "min"), "is more than max")


def _with_known_types(data: object, place: Place, mistakes: Mistakes) -> object:
    """Note unknown type names with what other tools call them, and return the data without them."""
    if not isinstance(data, Mapping) or not isinstance(data.get("fields"), Mapping):
        return data
    known: dict[str, object] = {}
    for name, given in data["fields"].items():
        inner = isinstance(given, Mapping)
        word = given.get("type", "text") if isinstance(given, Mapping) else given
        known[name] = given
        if isinstance(word, str) and word not in FIELD_TYPES:
            where = (*place, "fields", name, "type") if inner else (*place, "fields", name)
            mistakes.add(where, not_one_of(mistakes.shown(where, word), word, FIELD_TYPES, TYPE_SYNONYMS))
            known[name] = {**given, "type": "text"} if isinstance(given, Mapping) else "text"
    return {**data, "fields": known}


def _check_field_name(name: str, place: Place, mistakes: Mistakes) -> None:
    if name in SYSTEM_COLUMNS:
        mistakes.add(place, f"{name} is a column that every dataset has; choose another name")
    elif NAME.fullmatch(name) is None:
        mistakes.add(place, f"{shown(name)} cannot be the name of a column; {_NAME_RULE}{_lowered(name)}")


def _lowered(name: str) -> str:
    lowered = name.lower().replace(" ", "_").replace("-", "_")
    return did_you_mean(name, [lowered]) if NAME.fullmatch(lowered) is not None and lowered != name else ""


def _field(name: str, given: FieldType | FieldShape, place: Place, texts: Mapping[Place, str]) -> Field:
    shape = given if isinstance(given, FieldShape) else FieldShape(type=given)
    return Field(
        name=name,
        type=shape.type,
        required=shape.required,
        min=_bound(shape.min, texts.get((*place, "min"))),
        max=_bound(shape.max, texts.get((*place, "max"))),
        min_length=shape.min_length,
        max_length=shape.max_length,
        pattern=shape.pattern,
        one_of=shape.one_of or (),
    )


def _bound(value: Bound, text: str | None) -> Bound:
    """Return a bound that loses no digit: a number, or the text of one that a float cannot hold.

    Args:
        value: As it was read.
        text: As it is written in the file, where it is a number there.
    """
    if value is None or isinstance(value, int):
        return value
    written = (str(value) if text is None else text).replace("_", "").strip()
    if _WHOLE.fullmatch(written) is not None:
        return int(written)
    exact = _decimal(written)
    return float(exact) if exact is not None and Decimal(repr(float(exact))) == exact else written


def _decimal(value: Bound) -> Decimal | None:
    """Return the exact value of a bound; None where it is no finite number."""
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        return None
    return exact if exact.is_finite() else None
