"""Makes `kasparro.schema.json`, by which editors complete and check a configuration, from the classes that read it.

Write it with `python -m kasparro.config.json_schema > kasparro.schema.json`.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from kasparro.config.datasets import COLUMN_PATTERN
from kasparro.config.notifications import CHANNEL_PATTERN, ChannelShape
from kasparro.config.shape_schema import schema_of
from kasparro.config.shapes import DatasetShape, HostShape, SourceShape
from kasparro.config.sources import NAME_PATTERN, Kinds
from kasparro.notify.channels import CHANNELS
from kasparro.sources.kinds import KINDS

Json = dict[str, Any]

_VARIABLE: Json = {"$ref": "#/$defs/variable"}
_NARROWING = ("enum", "pattern", "format", "minLength", "maxLength")
_DESCRIBING = ("description", "default", "examples")
_LITERAL = ("examples", "enum", "const")
_DROPPED = ("title", "writeOnly", "discriminator")
_TYPE = "What kind it is; the other keys follow from it."


def json_schema(kinds: Kinds = KINDS) -> Json:
    """Return the JSON schema of a configuration file.

    Args:
        kinds: Classes of sources by `type`.
    """
    definitions: Json = {
        "variable": {"type": "string", "pattern": r"\$\{", "description": "An environment variable: ${NAME}."}
    }
    common = _hoisted(schema_of(SourceShape), "source", definitions)["properties"]
    for name, kind in kinds.items():
        definitions[name] = _source(_hoisted(schema_of(kind), name, definitions), common, name)
    definitions["dataset"] = _hoisted(schema_of(DatasetShape), "dataset", definitions)
    definitions["dataset"]["properties"]["fields"]["propertyNames"] = {"pattern": COLUMN_PATTERN}
    definitions["host"] = _hoisted(schema_of(HostShape), "host", definitions)
    wishes = _hoisted(schema_of(ChannelShape), "channel", definitions)["properties"]
    for name, channel in CHANNELS.items():
        key = f"channel.{name}"
        definitions[key] = _source(_hoisted(schema_of(channel), key, definitions), wishes, name)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kasparro configuration",
        "type": "object",
        "required": ["sources"],
        "additionalProperties": False,
        "properties": {
            "sources": {
                "type": "object",
                "description": "Where records come from, by name.",
                "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
                "additionalProperties": _by_type({name: name for name in kinds}),
            },
            "datasets": {
                "type": ["object", "null"],
                "description": "Typed tables beside the built-in normalized_data, by name.",
                "propertyNames": {"pattern": COLUMN_PATTERN, "not": {"const": "normalized_data"}},
                "additionalProperties": {"$ref": "#/$defs/dataset"},
            },
            "hosts": {
                "type": ["object", "null"],
                "description": "How often hosts may be asked by all sources together: by host, or host:port.",
                "additionalProperties": {"$ref": "#/$defs/host"},
            },
            "notifications": {
                "type": ["object", "null"],
                "description": "Channels on which people are told of findings and failures, by name.",
                "propertyNames": {"pattern": f"^{CHANNEL_PATTERN}$"},
                "additionalProperties": _by_type({name: f"channel.{name}" for name in CHANNELS}),
            },
        },
        "$defs": definitions,
    }


def schema_text(kinds: Kinds = KINDS) -> str:
    """Return the JSON schema as the file holds it."""
    return json.dumps(json_schema(kinds), indent=2, ensure_ascii=False) + "\n"


def _by_type(definitions: Mapping[str, str]) -> Json:
    """Return the schema of a mapping whose `type` tells which of the definitions it follows."""
    branches = [
        {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": {"$ref": f"#/$defs/{key}"}}
        for name, key in definitions.items()
    ]
    type_key = {"enum": list(definitions), "description": _TYPE}
    return {"type": "object", "required": ["type"], "properties": {"type": type_key}, "allOf": branches}


def _source(kind: Json, common: Json, name: str) -> Json:
    """Return the schema of a flat source or channel: the kind's own keys and the common ones."""
    type_key = {"const": name, "description": _TYPE}
    properties = {**common, **kind["properties"], "type": type_key}
    required = ["type", *(key for key in kind.get("required", ()) if key != "type")]
    return {**kind, "properties": properties, "required": required, "additionalProperties": False}


def _hoisted(schema: Mapping[str, Any], prefix: str, definitions: Json) -> Json:
    """Return a schema with its definitions moved to the shared ones, under names of its own."""
    for name, inner in schema.get("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = _tagged(_loosened(inner, prefix))
    loosened: Json = _loosened({key: value for key, value in schema.items() if key != "$defs"}, prefix)
    return loosened


def _tagged(definition: Json) -> Json:
    """Return a definition that asks for its `type`, where that tells it from others."""
    if "const" not in definition.get("properties", {}).get("type", {}):
        return definition
    return {**definition, "required": list(dict.fromkeys(["type", *definition.get("required", ())]))}


def _loosened(node: Any, prefix: str) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a part of a schema that also takes `${NAME}` where more than a text of any kind is asked for."""
    if isinstance(node, list):
        return [_loosened(item, prefix) for item in node]
    if not isinstance(node, dict):
        return node
    made: Json = {}
    for key, value in node.items():
        if key == "properties":
            made[key] = {name: _loosened(inner, prefix) for name, inner in value.items()}
        elif key == "$ref":
            made[key] = str(value).replace("#/$defs/", f"#/$defs/{prefix}.")
        elif key in _LITERAL:
            made[key] = value
        elif key not in _DROPPED and not (key == "default" and value is None):
            made[key] = _loosened(value, prefix)
    if made.get("format") == "password":
        del made["format"]
    if "anyOf" in made:
        made["anyOf"] = _flat(made["anyOf"])
    narrow = made.get("type") == "string" and any(key in made for key in _NARROWING)
    return _either(made) if narrow or made.get("type") in {"integer", "number", "boolean"} else made


def _flat(branches: list[Json]) -> list[Json]:
    """Return the branches without nesting and repetition; where any text will do, a variable needs no mention."""
    flat: list[Json] = []
    for branch in branches:
        for one in branch["anyOf"] if set(branch) == {"anyOf"} else [branch]:
            if one not in flat:
                flat.append(one)
    return [one for one in flat if one != _VARIABLE or {"type": "string"} not in flat]


def _either(leaf: Json) -> Json:
    """Return the leaf or a variable; what describes the key stays outside."""
    outside = {key: value for key, value in leaf.items() if key in _DESCRIBING}
    inside = {key: value for key, value in leaf.items() if key not in _DESCRIBING}
    return {**outside, "anyOf": [inside, _VARIABLE]}


if __name__ == "__main__":
    sys.stdout.write(schema_text())
