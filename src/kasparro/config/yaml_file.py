"""Reads a YAML 1.2 file into plain values, and keeps the line of every one, so that a mistake can name it.

The file is composed into nodes and the values are made here: so every duplicate key is found, not just the first, and
a number keeps its text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kasparro.config.mistakes import Mistake, Place
from kasparro.errors import Misconfigured

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({"str", "timestamp", "value"})
_MOST_VALUES = 200_000
"""Aliases can make a small file expand without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a YAML file holds.

    Attributes:
        data: Mappings as dict with text keys, lists, texts, numbers, booleans, None. Dates stay texts.
        lines: First line of each place, counted from 1.
        texts: How numbers and booleans are written in the file.
        mistakes: Duplicate keys, tags and other things that YAML allows and a configuration does not.
    """

    data: Any
    lines: Mapping[Place, int]
    texts: Mapping[Place, str]
    mistakes: tuple[Mistake, ...]


def read_yaml(path: Path) -> Document:
    """Read a file.

    Raises:
        Misconfigured: there is no such file, it cannot be read, is not UTF-8 or not YAML.
    """
    name = str(path)
    root = _compose(_read_text(path), name)
    builder = _Builder(name)
    try:
        data = None if root is None else builder.value(root, ())
    except RecursionError:
        raise _invalid(name, "is nested too deeply") from None
    return Document(data=data, lines=builder.lines, texts=builder.texts, mistakes=tuple(builder.mistakes))


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        remedy = 'create it with "kasparro init", or name another one with --config'
        raise _invalid(str(path), f"there is no such file; {remedy}") from None
    except IsADirectoryError:
        raise _invalid(str(path), "is a directory; name a file in it with --config") from None
    except PermissionError:
        raise _invalid(str(path), "cannot be read; give this user permission to read it") from None
    except UnicodeDecodeError as error:
        raise _invalid(str(path), f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise _invalid(str(path), f"cannot be read: {error.strerror}") from error


def _compose(text: str, name: str) -> Node | None:
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(StringIO(text))
    except MarkedYAMLError as error:
        line, problem = _syntax(error)
        raise _invalid(name, problem, line) from None
    except YAMLError as error:
        raise _invalid(name, f"is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise _invalid(name, "is nested too deeply") from None
    return root


def _syntax(error: MarkedYAMLError) -> tuple[int | None, str]:
    mark, start = error.problem_mark, error.context_mark
    line = None if mark is None else mark.line + 1
    problem, context = error.problem or "cannot be parsed", error.context or ""
    if "'\\t'" in problem:
        return line, "a tab cannot indent YAML; use spaces"
    if "quoted scalar" in context and start is not None:
        return start.line + 1, "a quote is opened here and never closed"
    if "cannot start any token" in problem or "scanning an alias" in context or "undefined alias '/" in problem:
        return line, "a text that begins with @, ` or * stands in quotes"
    if "single document" in context:
        return line, "a second document starts here; a configuration is one document"
    if "mapping values are not allowed" in problem:
        return line, 'a ":" is not allowed here; check the indentation, and put a text that has one in quotes'
    return line, f"is not YAML: {problem} {context}".rstrip()


def _invalid(name: str, problem: str, line: int | None = None) -> Misconfigured:
    mistake = Mistake(place=(), problem=problem, file=name, line=line)
    fact = {"file": name, "line": line, "path": "", "problem": problem}
    return Misconfigured(str(mistake), mistakes=[fact])


class _Builder:
    """Makes the values of one document."""

    def __init__(self, file: str) -> None:
        self.lines: dict[Place, int] = {(): 1}
        self.texts: dict[Place, str] = {}
        self.mistakes: list[Mistake] = []
        self._file = file
        self._open: set[int] = set()
        self._made = 0

    def value(self, node: Node, place: Place) -> Any:  # noqa: ANN401 - a document holds any value
        """Return the value of a node, and note where it and its parts stand."""
        self.lines.setdefault(place, _line(node))
        self._made += 1
        if self._made > _MOST_VALUES:
            raise _invalid(self._file, f"its aliases expand to more than {_MOST_VALUES:,} values", _line(node))
        if id(node) in self._open:
            self._note(place, "an alias cannot stand inside the value it refers to", _line(node))
            return None
        self._open.add(id(node))
        try:
            return self._value(node, place)
        finally:
            self._open.discard(id(node))

    def _value(self, node: Node, place: Place) -> Any:  # noqa: ANN401
        known = _TEXT_TAGS | {"null", "bool", "int", "float", "map", "seq"}
        if str(node.tag).removeprefix(_TAG) not in known:
            self._note(place, f"the tag {node.tag} is not supported; leave it out", _line(node))
        match node:
            case MappingNode():
                return self._mapping(node, place)
            case SequenceNode():
                return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node, place)

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif not isinstance(key, ScalarNode):
                self._note(place, "a key must be a text", _line(key))
            elif key.value in made:
                first = self.lines[(*place, key.value)]
                self._note((*place, key.value), f"appears twice; the first is in line {first}", _line(key))
            else:
                self.lines[(*place, key.value)] = _line(key)
                made[key.value] = self.value(value, (*place, key.value))
        for other in merged:
            made = self._merge(other, place) | made
        return made

    def _merge(self, node: Node, place: Place) -> dict[str, Any]:
        if not isinstance(node, MappingNode):
            self._note(place, "<<: takes a mapping or a list of mappings", _line(node))
            return {}
        merged = self.value(node, place)
        return merged if isinstance(merged, dict) else {}

    def _scalar(self, node: Node, place: Place) -> str | int | float | bool | None:
        text = str(node.value)
        tag = str(node.tag).removeprefix(_TAG)
        if tag == "null":
            return None
        if tag in {"bool", "int", "float"}:
            self.texts[place] = text
            return text.lower() == "true" if tag == "bool" else _number(text)
        return text

    def _note(self, place: Place, problem: str, line: int) -> None:
        self.mistakes.append(Mistake(place=place, problem=problem, file=self._file, line=line))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _number(text: str) -> int | float | str:
    """Return a number as YAML 1.2 writes it; what is none (an explicit tag on a text) stays a text."""
    plain = text.replace("_", "").lower()
    prefix = plain.lstrip("+-")[:2]
    base = {"0x": 16, "0o": 8, "0b": 2}.get(prefix, 10)
    try:
        return int(plain, base)
    except ValueError:
        pass
    try:
        return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text
