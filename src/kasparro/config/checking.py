"""Checks plain values against a class with pydantic, and turns what it finds into mistakes with a place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.plain_words import EXPECTED, mismatch, problem_of
from kasparro.config.shape_schema import (
    adapter_of,
    booleans,
    holds_secret,
    keys_of,
    schema_at,
    tags_of,
    types_of,
    value_at,
)
from kasparro.config.suggestions import shown, unknown_key

Shape = TypeVar("Shape")
Error = Mapping[str, Any]
"""One entry of `ValidationError.errors()`."""

_MISSING = frozenset({"missing", "missing_argument", "missing_keyword_only_argument", "union_tag_not_found"})
_TYPE_ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "integer": "int_type",
        "number": "float_type",
        "string": "string_type",
    }
)
_JUDGED = frozenset({"value_error", "assertion_error"})
"""The class itself says why, and may quote the value."""

_UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What is checked: the data, the class, and where it stands."""

    shape: type
    data: object
    place: Place
    also: Sequence[str]


def check(  # noqa: PLR0913 - the last two are for one caller each
    shape: type[Shape],
    data: object,
    place: Place,
    mistakes: Mistakes,
    *,
    also: Sequence[str] = (),
    by_name: bool = False,
) -> Shape | None:
    """Return an instance of the class made from plain values; what is wrong is noted, and left out of the instance.

    So the rest can be checked further, and all mistakes are said at once. None where nothing can be made of it.

    Args:
        shape: A dataclass that pydantic understands.
        data: Mappings, lists and scalars.
        place: Where the data stands in the configuration.
        mistakes: Takes what is wrong.
        also: Further keys that may stand beside those of the class, for suggestions.
        by_name: The keys are names of attributes, also where the class names the key otherwise.
    """
    given = _Given(shape=shape, data=data, place=place, also=also)
    truths = _note_truths(given, mistakes)
    try:
        made: Shape = adapter_of(given.shape).validate_python(data, by_alias=not by_name, by_name=by_name)
    except ValidationError as error:
        found = _by_place(data, error.errors(include_url=False))
        said = truths | _note_unknown(given, found, mistakes)
        for inner, errors in found.items():
            if inner not in said and errors[0]["type"] not in _UNKNOWN:
                _note(given, inner, errors, mistakes)
        return _rest(shape, data, [_wrong(inner, errors) for inner, errors in found.items()])
    return made


def _rest(shape: type[Shape], data: object, wrong: Sequence[Place]) -> Shape | None:
    """Return what can be made of the data without the wrong parts."""
    for place in sorted(wrong, reverse=True):
        if not place:
            return None
        data = _without(data, place)
    checked: type = shape
    try:
        made: Shape = adapter_of(checked).validate_python(data)
    except ValidationError:
        return None
    return made


def _without(data: object, place: Place) -> object:
    step, rest = place[0], place[1:]
    match data, step:
        case Mapping(), str() if step in data:
            kept = {key: value for key, value in data.items() if key != step}
            return {**data, step: _without(data[step], rest)} if rest else kept
        case list(), int() if step < len(data):
            kept_items = [_without(data[step], rest)] if rest else []
            return [*data[:step], *kept_items, *data[step + 1 :]]
        case _:
            return data


def _wrong(inner: Place, errors: Sequence[Error]) -> Place:
    """Return what must go: where a key is missing, what it is missing from."""
    return inner[:-1] if errors[0]["type"] in _MISSING else inner


def _note_truths(given: _Given, mistakes: Mistakes) -> set[Place]:
    """Note every true or false that pydantic would take for 1 or 0, and return their places."""
    noted: set[Place] = set()
    for inner, value in booleans(given.data):
        types = types_of(schema_at(given.shape, given.data, inner))
        if {"integer", "number"} & types and "boolean" not in types:
            kinds = [_TYPE_ERRORS[name] for name in _TYPE_ERRORS if name in types]
            mistakes.add((*given.place, *inner), mismatch(kinds, value, shown(value)))
            noted.add(inner)
    return noted


def _note_unknown(given: _Given, found: Mapping[Place, Sequence[Error]], mistakes: Mistakes) -> set[Place]:
    """Note the unknown keys, and return the places of those that were meant: they are misspelt, not missing too."""
    meant: set[Place] = set()
    for inner, errors in found.items():
        if errors[0]["type"] in _UNKNOWN:
            keys = keys_of(schema_at(given.shape, given.data, inner[:-1]))
            problem = unknown_key(str(inner[-1]), [*keys, *(given.also if len(inner) == 1 else ())])
            mistakes.add((*given.place, *inner), problem)
            meant |= {(*inner[:-1], key) for key in keys if problem.endswith(f'"{key}"?')}
    return meant & {place for place, errors in found.items() if errors[0]["type"] in _MISSING}


def _note(given: _Given, inner: Place, errors: Sequence[Error], mistakes: Mistakes) -> None:
    """Note one mistake for the errors of one place."""
    first = next((error for error in errors if error["type"] not in EXPECTED), errors[0])
    where, value = (*given.place, *inner), first["input"]
    if first["type"] in _MISSING:
        options = _options_text(given, inner[:-1]) if first["type"] == "union_tag_not_found" else ""
        mistakes.add(where[:-1], f'the key "{inner[-1]}" is missing{options}')
        return
    if first["type"] == "union_tag_invalid":
        written = value_at(given.data, inner)
        value = first["ctx"]["tag"] if written is None else written
    secret = holds_secret(given.shape, schema_at(given.shape, given.data, inner))
    display = None if secret and first["type"] != "union_tag_invalid" else mistakes.shown(where, value)
    if first["type"] in EXPECTED:
        mistakes.add(where, mismatch([error["type"] for error in errors], value, display))
    elif first["type"] in _JUDGED and mistakes.is_closed(where):
        pass  # the class has judged a whole of which a part is not known
    elif first["type"] in _JUDGED and mistakes.shown(where, value) is None:
        mistakes.add(where, "is not valid")
    else:
        mistakes.add(where, problem_of(first, display))


def _options_text(given: _Given, holder: Place) -> str:
    """Return what a missing discriminator may be."""
    around = schema_at(given.shape, given.data, holder[:-1])
    options = tags_of(around.get("properties", {}).get(holder[-1], {})) if holder else ()
    return f"; it is one of {', '.join(options)}" if options else ""


def _by_place(data: object, errors: Sequence[Error]) -> dict[Place, list[Error]]:
    """Group the errors; where several shapes were tried, the one that got further tells what is wrong."""
    grouped: dict[Place, list[Error]] = {}
    for error in errors:
        grouped.setdefault(_place(data, error), []).append(error)
    return {
        place: found
        for place, found in grouped.items()
        if not (all(_is_other_shape(error) for error in found) and _has_deeper(place, grouped))
    }


def _is_other_shape(error: Error) -> bool:
    """Return whether the value is of another shape altogether than the one that was tried, or short of what is bad."""
    other = error["type"] in EXPECTED or (error["type"] == "literal_error" and not isinstance(error["input"], str))
    return other or error["type"] == "too_short"


def _has_deeper(place: Place, grouped: Mapping[Place, object]) -> bool:
    return any(len(other) > len(place) and other[: len(place)] == place for other in grouped)


def _place(data: object, error: Error) -> Place:
    """Return where the error stands in the data: pydantic's location without the names of the shapes it tried."""
    location: Place = error["loc"]
    key: Place = ()
    match error["type"]:
        case "union_tag_not_found" | "union_tag_invalid":
            discriminator = str(error["ctx"]["discriminator"])
            key = (discriminator.strip("'"),) if discriminator.startswith("'") else ()
        case kind if kind in _MISSING:
            location, key = location[:-1], location[-1:]
    candidates = list(_readings(data, location))
    exact = (place for place, value in candidates if value is error["input"])
    return (*next(exact, candidates[0][0]), *key)


def _readings(data: object, location: Place) -> Iterator[tuple[Place, object]]:
    """Yield every way to follow the location, longest first, leaving out steps that name no part of the data."""
    if not location:
        yield (), data
        return
    step, rest = location[0], location[1:]
    match data, step:
        case Mapping(), str() if step in data:
            yield from (((step, *place), value) for place, value in _readings(data[step], rest))
        case ((list() | tuple()), int()) if step < len(data):
            yield from (((step, *place), value) for place, value in _readings(data[step], rest))
    yield from _readings(data, rest)
