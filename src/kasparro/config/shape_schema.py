"""Asks the JSON schema of a class what may stand at a place: its keys, its options, whether it is a secret."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from kasparro.config.mistakes import Place

Schema = Mapping[str, Any]

_FITTING: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (str, frozenset({"string"})),
    (bool, frozenset({"boolean"})),
    (int, frozenset({"integer", "number"})),
    (float, frozenset({"number"})),
    ((dict, Mapping), frozenset({"object"})),
    ((list, tuple), frozenset({"array"})),
    (type(None), frozenset({"null"})),
)


@cache
def adapter_of(shape: type) -> TypeAdapter[Any]:
    """Return the validator of a class; it takes milliseconds to build."""
    return TypeAdapter(shape)


@cache
def schema_of(shape: type) -> Schema:
    """Return the JSON schema of a class."""
    return adapter_of(shape).json_schema()


@cache
def names_of(shape: type) -> tuple[str, ...]:
    """Return the keys of a dataclass, as its JSON schema has them; without that schema, which takes long to make."""
    hints = get_type_hints(shape, include_extras=True)
    return tuple(_alias(hints[one.name]) or one.name for one in fields(shape) if one.init)


def _alias(hint: object) -> str | None:
    return next((one.alias for one in getattr(hint, "__metadata__", ()) if isinstance(one, FieldInfo)), None)


def schema_at(shape: type, data: object, place: Place) -> Schema:
    """Return the schema of what stands at a place of the data, as far as it is known; empty where it is not.

    Where several shapes are allowed, the data tells which one is meant: by its discriminator, or by its type.
    """
    root = schema_of(shape)
    here = _chosen(root, root, data)
    for step in place:
        below = _below(here, step)
        if below is None:
            return {}
        data = _item(data, step)
        here = _chosen(root, below, data)
    return here


def value_at(data: object, place: Place) -> object:
    """Return what stands at a place of the data; None where nothing does."""
    for step in place:
        data = _item(data, step)
    return data


def keys_of(schema: Schema) -> list[str]:
    """Return the keys that a mapping may have; empty where any key may stand."""
    return list(schema.get("properties", ()))


def holds_secret(shape: type, schema: Schema) -> bool:
    """Return whether what stands there is a secret or may hold one; then it must not be shown."""
    return _any_secret(schema_of(shape), schema, frozenset())


def _any_secret(root: Schema, node: object, seen: frozenset[str]) -> bool:
    match node:
        case Mapping():
            reference = str(node.get("$ref", ""))
            if reference and reference not in seen:
                return _any_secret(root, _target(root, reference), seen | {reference})
            return node.get("writeOnly") is True or any(_any_secret(root, inner, seen) for inner in node.values())
        case list():
            return any(_any_secret(root, inner, seen) for inner in node)
        case _:
            return False


def _target(root: Schema, reference: str) -> Schema:
    found: Schema = root["$defs"][reference.rpartition("/")[2]]
    return found


def types_of(schema: Schema) -> set[str]:
    """Return the JSON types that may stand there; empty where anything may."""
    branches = _branches(schema)
    return {str(one["type"]) for one in (branches or [schema]) if "type" in one}


def tags_of(schema: Schema) -> list[str]:
    """Return what the discriminator of a union may be, in the order of the union."""
    tags = {reference: tag for tag, reference in schema.get("discriminator", {}).get("mapping", {}).items()}
    own = [tags[one["$ref"]] for one in schema.get("oneOf", ()) if one.get("$ref") in tags]
    return own or [tag for one in _branches(schema) for tag in tags_of(one)]


def booleans(data: object, place: Place = ()) -> Iterator[tuple[Place, bool]]:
    """Yield all booleans in the data with their places."""
    match data:
        case bool():
            yield place, data
        case Mapping():
            for key, value in data.items():
                yield from booleans(value, (*place, key))
        case list() | tuple():
            for index, value in enumerate(data):
                yield from booleans(value, (*place, index))


def _branches(schema: Schema) -> list[Schema]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _chosen(root: Schema, schema: Schema, data: object) -> Schema:
    while "$ref" in schema:
        schema = _target(root, str(schema["$ref"]))
    branches = _branches(schema)
    if not branches:
        return schema
    discriminator = schema.get("discriminator")
    if discriminator is not None and isinstance(data, Mapping):
        reference = discriminator.get("mapping", {}).get(str(data.get(discriminator["propertyName"])))
        return {} if reference is None else _chosen(root, {"$ref": reference}, data)
    chosen = [_chosen(root, branch, data) for branch in branches]
    fitting = next((names for kind, names in _FITTING if isinstance(data, kind)), frozenset[str]())
    return next((one for one in chosen if one.get("type") in fitting), schema)


def _below(schema: Schema, step: str | int) -> Schema | None:
    if isinstance(step, int):
        items = schema.get("items")
        return items if isinstance(items, Mapping) else None
    if step in schema.get("properties", {}):
        found: Schema = schema["properties"][step]
        return found
    rest = schema.get("additionalProperties")
    return rest if isinstance(rest, Mapping) else None


def _item(data: object, step: str | int) -> object:
    match data, step:
        case Mapping(), str():
            return data.get(step)
        case ((list() | tuple()), int()) if step < len(data):
            return data[step]
        case _:
            return None
