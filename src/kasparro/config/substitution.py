"""Puts environment variables into a configuration: `${NAME}`, `${NAME:-default}`, and `$${` for a plain `${`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kasparro.config.mistakes import Mistake, Place
from kasparro.config.suggestions import did_you_mean

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A configuration with its variables filled in.

    Attributes:
        secrets: Every text that came from the environment.
        hidden: Places of the values that hold one; messages must not show them.
    """

    data: Any
    secrets: frozenset[str]
    hidden: frozenset[Place]
    mistakes: tuple[Mistake, ...]


def substitute(data: object, environ: Mapping[str, str]) -> Filled:
    """Fill in the variables of every text, not of keys. An unset variable without default is a mistake."""
    filling = _Filling(environ=environ)
    filled = filling.value(data, ())
    return Filled(
        data=filled,
        secrets=frozenset(filling.secrets),
        hidden=frozenset(filling.hidden),
        mistakes=tuple(filling.mistakes),
    )


@dataclass(slots=True, kw_only=True)
class _Filling:
    """What one pass over a configuration gathers."""

    environ: Mapping[str, str]
    secrets: set[str] = field(default_factory=set)
    hidden: set[Place] = field(default_factory=set)
    mistakes: list[Mistake] = field(default_factory=list)

    def value(self, data: object, place: Place) -> object:
        """Return the data with its texts filled in."""
        match data:
            case str():
                return _REFERENCE.sub(lambda found: self._replacement(found, place), data)
            case dict():
                return {key: self.value(inner, (*place, key)) for key, inner in data.items()}
            case list():
                return [self.value(inner, (*place, index)) for index, inner in enumerate(data)]
            case _:
                return data

    def _replacement(self, found: re.Match[str], place: Place) -> str:
        if found[0] == "$${":
            return "${"
        name, default = found[1], found[2]
        if name is None:
            problem = 'after "${" comes the name of a variable and "}"; write "$${" for a plain "${"'
            self.mistakes.append(Mistake(place=place, problem=problem))
            return found[0]
        value = self.environ.get(name)
        if not value and default is not None:
            return default.removeprefix(":-")
        if value is None:
            guess = did_you_mean(name, self.environ)
            problem = f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}{guess}"
            self.mistakes.append(Mistake(place=place, problem=problem))
            return ""
        self.secrets.update({value} - {""})
        self.hidden.add(place)
        return value
