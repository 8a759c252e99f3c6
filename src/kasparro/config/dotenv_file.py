"""Reads `.env`, and keeps the line of every name, so that a mistake can name it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream
from dotenv.variables import parse_variables

from kasparro.config.mistakes import Mistake
from kasparro.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Dotenv:
    """What a `.env` file holds, and the line of each name."""

    file: str
    values: Mapping[str, str]
    lines: Mapping[str, int]
    mistakes: tuple[Mistake, ...] = ()


def read_dotenv(path: Path | None, real: Mapping[str, str]) -> Dotenv:
    """Read a file of `NAME=value` lines; one that does not exist is empty.

    Args:
        path: The file; None for none.
        real: The environment: `${NAME}` in a value takes it before an earlier line.

    Raises:
        Misconfigured: the file cannot be read.
    """
    if path is None:
        return Dotenv(file="", values={}, lines={})
    name = str(path)
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    mistakes: list[Mistake] = []
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return Dotenv(file=name, values={}, lines={})
    except UnicodeDecodeError:
        raise Misconfigured(f"{name}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise Misconfigured(f"{name}: cannot be read: {error.strerror}") from error
    for binding in bindings:
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error or (binding.key is not None and binding.value is None):
            mistakes.append(Mistake(place=(), problem="is not of the form NAME=value", file=name, line=line))
        elif binding.key is not None:
            known = {**values, **real}
            values[binding.key] = "".join(atom.resolve(known) for atom in parse_variables(binding.value or ""))
            lines[binding.key] = line
    return Dotenv(file=name, values=values, lines=lines, mistakes=tuple(mistakes))


def _blank_lines(text: str) -> int:
    """Return how many lines a binding begins with that are not its own."""
    return text[: len(text) - len(text.lstrip())].count("\n")
