"""Checks the files of Terraform against google.json, without the provider and without a network.

    python deploy/gcp/schema/validate.py deploy/gcp/base deploy/gcp/kasparro

What Terraform itself would say of them once it has its provider: unknown resources, attributes and blocks, what is
missing, values of another type, blocks too many, references to nothing. And that nobody uses a variable.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

SCHEMA = json.loads((Path(__file__).parent / "google.json").read_text(encoding="utf-8"))
EPHEMERAL: Mapping[str, Any] = {
    "google_secret_manager_secret_version": {
        "attributes": {
            "secret": {"type": "string", "required": True},
            "version": {"type": "string"},
            "project": {"type": "string"},
        },
        "blocks": {},
        "computed": ["name", "secret_data"],
    }
}
META_ATTRIBUTES = {"count", "depends_on", "for_each", "provider"}
META_BLOCKS = {"lifecycle"}
MARKS = {"__is_block__", "__comments__", "__inline_comments__"}

VARIABLE = re.compile(r"\bvar\.(\w+)")
LOCAL = re.compile(r"\blocal\.(\w+)")
REFERENCE = re.compile(r"(\bephemeral\.)?\b(google_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?")


def plain(name: str) -> str:
    """Return a name or a literal without its quotation marks."""
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name


def is_block(value: object) -> bool:
    """Tell whether a value is what stands in braces, and not a value after an equals sign."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and MARKS & {*one} for one in value)


def texts(value: object) -> Iterator[str]:
    """Give every text in a value."""
    match value:
        case str():
            yield value
        case dict():
            for key, inner in value.items():
                if key not in MARKS:
                    yield from texts(inner)
        case list():
            for one in value:
                yield from texts(one)


def read(folder: Path) -> dict[str, Any]:
    """Read the files of a folder as one, as Terraform does: kinds of blocks, with what they hold by its name."""
    found: dict[str, Any] = {
        kind: {} for kind in ("resource", "ephemeral", "variable", "locals", "output", "terraform")
    }
    for path in sorted(folder.glob("*.tf")):
        for kind, blocks in _parsed(path.read_text(encoding="utf-8")).items():
            for one in blocks if kind not in MARKS else ():
                _take(found, kind, one, path)
    return found


@cache
def _parsed(text: str) -> Mapping[str, Any]:
    """Parse a file; the same text only once, as nothing changes what comes of it and parsing is dear."""
    return hcl2.loads(text)


def _take(found: dict[str, Any], kind: str, one: Mapping[str, Any], path: Path) -> None:
    if kind in {"locals", "terraform", "provider"}:
        found.setdefault(kind, {}).update({key: value for key, value in one.items() if key not in MARKS})
        return
    for label, body in one.items():
        if label in MARKS:
            continue
        names = [(label, body)] if kind in {"variable", "output"} else [(label, inner) for inner in body.items()]
        for outer, inner in names:
            name = plain(outer) if isinstance(inner, dict) else f"{plain(outer)}.{plain(inner[0])}"
            if name in found[kind]:
                raise ValueError(f"{path.name}: {kind} {name} is there already")
            found[kind][name] = inner if isinstance(inner, dict) else inner[1]


def mistakes(folder: Path) -> list[str]:
    """Return what is wrong with a folder; nothing when all is well."""
    found = read(folder)
    return [*_resources(found), *_references(found), *_declarations(found)]


def _resources(found: Mapping[str, Any]) -> Iterator[str]:
    for kind, known in (("resource", SCHEMA["resources"]), ("ephemeral", EPHEMERAL)):
        for name, body in found[kind].items():
            shape = known.get(name.partition(".")[0])
            if shape is None:
                yield f"{name}: the schema has no such {kind}"
            else:
                yield from _block(name, body, shape)


def _block(place: str, body: Mapping[str, Any], shape: Mapping[str, Any]) -> Iterator[str]:
    attributes = {key: value for key, value in body.items() if key not in {*MARKS, "dynamic"} and not is_block(value)}
    blocks = _blocks(body)
    for key, value in attributes.items():
        if key in shape["attributes"]:
            yield from _value(f"{place}.{key}", value, shape["attributes"][key]["type"])
        elif key in shape["blocks"]:
            yield f"{place}.{key}: is a block, and is written without ="
        elif key not in META_ATTRIBUTES:
            yield f"{place}.{key}: there is no such attribute"
    for key, several in blocks.items():
        if key in shape["blocks"]:
            yield from _several(f"{place}.{key}", several, shape["blocks"][key])
        elif key not in META_BLOCKS:
            yield f"{place}.{key}: there is no such block"
    for key, one in {**shape["attributes"], **shape["blocks"]}.items():
        if one.get("required") and key not in {*attributes, *blocks}:
            yield f"{place}.{key}: is missing"


def _blocks(body: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the blocks by their names, with what dynamic ones would make."""
    found = {key: [*value] for key, value in body.items() if is_block(value) and key != "dynamic"}
    for one in body.get("dynamic", ()):
        for label, inner in one.items():
            if label not in MARKS:
                found.setdefault(plain(label), []).extend(inner["content"])
    return found


def _several(place: str, several: list[Any], shape: Mapping[str, Any]) -> Iterator[str]:
    if len(several) > shape.get("max", len(several)):
        yield f"{place}: is there {len(several)} times, and may be there once"
    for one in several:
        yield from _block(place, one, shape)


def _value(place: str, value: object, kind: str) -> Iterator[str]:
    literal = isinstance(value, str) and not value.startswith("${")
    match kind:
        case "string":
            wrong = isinstance(value, dict | list | int | float)
        case "number":
            wrong = isinstance(value, dict | list | bool) or literal
        case "bool":
            wrong = not isinstance(value, bool | str) or literal
        case "list":
            wrong = not isinstance(value, list | str) or literal
        case _:
            wrong = not isinstance(value, dict | str) or literal
    if wrong:
        yield f"{place}: must be a {kind}, not {value!r}"


def _references(found: Mapping[str, Any]) -> Iterator[str]:
    kinds = ("resource", "ephemeral", "locals", "output", "provider")
    for place, body in [(f"{kind} {name}", body) for kind in kinds for name, body in found.get(kind, {}).items()]:
        for text in texts(body):
            yield from (
                f"{place}: there is no var.{name}" for name in VARIABLE.findall(text) if name not in found["variable"]
            )
            yield from (
                f"{place}: there is no local.{name}" for name in LOCAL.findall(text) if name not in found["locals"]
            )
            for ephemeral, kind, name, attribute in REFERENCE.findall(text):
                there = found["ephemeral" if ephemeral else "resource"]
                known = EPHEMERAL if ephemeral else SCHEMA["resources"]
                if f"{kind}.{name}" not in there:
                    yield f"{place}: there is no {ephemeral}{kind}.{name}"
                elif attribute and kind in known and attribute not in _readable(known[kind]):
                    yield f"{place}: {ephemeral}{kind}.{name} has no {attribute}"
        if place.startswith("resource") and isinstance(body, dict):
            yield from _kept(place, body)


def _kept(place: str, body: Mapping[str, Any]) -> Iterator[str]:
    """What is ephemeral may be given only to arguments that are kept nowhere."""
    for key, value in body.items():
        if not key.endswith("_wo") and any("ephemeral." in text for text in texts(value)):
            yield f"{place}.{key}: would keep an ephemeral value in the state"


def _readable(shape: Mapping[str, Any]) -> set[str]:
    return {*shape["attributes"], *shape["blocks"], *shape["computed"]}


def _declarations(found: Mapping[str, Any]) -> Iterator[str]:
    used = " ".join(texts([found["resource"], found["ephemeral"], found["locals"], found["output"], found["provider"]]))
    for name, body in found["variable"].items():
        if name not in VARIABLE.findall(used):
            yield f"variable {name}: nobody uses it"
        if not {"type", "description"} <= {*body}:
            yield f"variable {name}: has no type or no description"
    for name in found["locals"]:
        if name not in LOCAL.findall(used):
            yield f"local {name}: nobody uses it"
    pinned = {
        plain(one["google"]["version"]) for one in found["terraform"].get("required_providers", ()) if "google" in one
    }
    wanted = f"~> {SCHEMA['version'].rpartition('.')[0]}"
    if pinned != {wanted}:
        yield f"terraform: the provider must be {wanted}, which google.json is of, not {', '.join(pinned) or 'any'}"


def main() -> None:
    """Say what is wrong with the folders that are named."""
    wrong = [f"{folder}: {mistake}" for folder in sys.argv[1:] for mistake in mistakes(Path(folder))]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
