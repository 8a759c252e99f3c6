r"""Paths into an answer: those of `model.path`, plus `*` and `[key=text]`.

    data.items                     the list of records below two keys
    quotes.*                       every value of an object, or every element of a list; lists among them are joined
    link[relation=next].url        the first element whose `relation` is the text `next`
    "@odata.nextLink"              a key with a dot in it

A leading `$` or `$.` is allowed; `[*]` is the same as `.*`.
"""

import re
from dataclasses import dataclass

from kasparro.model.path import parse_path


@dataclass(frozen=True, slots=True)
class Every:
    """Every value of an object, every element of a list."""


@dataclass(frozen=True, slots=True)
class Where:
    """The first element of a list of objects that holds this text under the key."""

    key: str
    text: str


Step = str | int | Every | Where
Steps = tuple[Step, ...]

_SPECIAL = re.compile(r'"(?:[^"\\]|\\.)*"|(\[\*\]|(?<![^.])\*(?![^.\[]))|\[([^\[\]="]+)=([^\[\]]*)\]')
_MISSING = object()


def steps_of(text: str) -> Steps:
    """Return the steps of a path; empty or `$` is the answer itself.

    Raises:
        ValueError: the text is not a path; the message says where.
    """
    rest = text[1:].removeprefix(".") if text.startswith("$") else text
    steps: list[Step] = []
    at = 0
    for found in _SPECIAL.finditer(rest):
        every, key, wanted = found.groups()
        if every is None and key is None:
            continue
        before = rest[at : found.start()]
        steps += parse_path(before.removesuffix(".") if every == "*" else before)
        steps.append(Every() if every is not None else Where(key.strip(), wanted.strip()))
        at = found.end()
        at += rest.startswith(".", at)
    return (*steps, *parse_path(rest[at:]))


def find(value: object, steps: Steps, missing: object = None) -> object:
    """Return what a parsed answer holds at the path, or `missing`; a path with `*` gives one list of all it finds."""
    for at, step in enumerate(steps):
        match step:
            case Every():
                below = _every(value)
                if below is None:
                    return missing
                found = [find(one, steps[at + 1 :], _MISSING) for one in below]
                return [
                    one for some in found for one in (some if isinstance(some, list) else [some]) if one is not _MISSING
                ]
            case Where():
                value = _where(value, step)
            case int():
                value = value[step] if isinstance(value, list) and step < len(value) else _MISSING
            case str():
                value = value.get(step, _MISSING) if isinstance(value, dict) else _MISSING
        if value is _MISSING:
            return missing
    return value


def _every(value: object) -> list[object] | None:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else None


def _where(value: object, step: Where) -> object:
    elements = value if isinstance(value, list) else []
    return next((one for one in elements if isinstance(one, dict) and one.get(step.key) == step.text), _MISSING)


def written(steps: Steps) -> str:
    """Return the path as text that `steps_of` reads."""
    text = ""
    for step in steps:
        match step:
            case Every():
                text += ".*"
            case Where():
                text += f"[{step.key}={step.text}]"
            case int():
                text += f"[{step}]"
            case str():
                text += f".{step}" if re.fullmatch(r'[^.\[\]"*$=]+', step) else f".{_quoted(step)}"
    return text.removeprefix(".")


def _quoted(key: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", key) + '"'
