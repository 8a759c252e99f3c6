"""Collects what is wrong in a configuration, so that everything is said at once, each with its place."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from kasparro.config.suggestions import shown
from kasparro.errors import Misconfigured
from kasparro.model.redact import Redactor

Place = tuple[str | int, ...]
"""Where a value stands in the configuration: `("sources", "coins", "primary_key", 0)`."""

_PLAIN_KEY = re.compile(r"[\w@$-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to correct.

    Attributes:
        problem: What is wrong and what to do, without the place. Never contains a secret.
        file: The file as the user named it; None outside of files.
        line: Counted from 1.
    """

    place: Place
    problem: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = self.file if self.file is None or self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, place_text(self.place), self.problem) if part)


class Mistakes:
    """The mistakes found so far in one configuration.

    Args:
        file: What the places belong to; None for a declaration made in Python.
        lines: First line of each place.
        hidden: Places whose values must not be shown.
        closed: Places of which enough was said already.
        redact: Masks secrets in every problem.
    """

    def __init__(
        self,
        *,
        file: str | None = None,
        lines: Mapping[Place, int] = MappingProxyType({}),
        hidden: Collection[Place] = (),
        closed: Collection[Place] = (),
        redact: Redactor | None = None,
    ) -> None:
        self._file = file
        self._lines = lines
        self._hidden = hidden
        self._closed = closed
        self._redact = Redactor() if redact is None else redact
        self._found: list[Mistake] = []

    def add(self, place: Place, problem: str, line: int | None = None) -> None:
        """Note a mistake; without a line it is given that of the nearest place whose line is known."""
        if place not in self._closed:
            self.take(Mistake(place=place, problem=problem, line=line))

    def take(self, mistake: Mistake) -> None:
        """Note a mistake that was found elsewhere; it is given the file, and a line where it has none."""
        self._found.append(self._located(mistake))

    def remark(self, place: Place, text: str) -> str:
        """Return a sentence about a place that is not a mistake, written as one."""
        return str(self._located(Mistake(place=place, problem=text)))

    def shown(self, place: Place, value: object) -> str | None:
        """Return the value as a message may show it; None where it must stay hidden."""
        if any(place[:length] in self._hidden for length in range(len(place) + 1)):
            return None
        return self._redact(shown(value))

    def because(self, place: Place, reason: str) -> str:
        """Return `: reason`, or nothing where the reason could tell a value that must stay hidden."""
        return "" if self.shown(place, "") is None else f": {reason}"

    def has(self, place: Place) -> bool:
        """Return whether a mistake was found in the place or what it holds."""
        return any(found.place[: len(place)] == place for found in self._found)

    def is_closed(self, place: Place) -> bool:
        """Return whether enough was said of the place or of something that it holds."""
        return any(closed[: len(place)] == place for closed in self._closed)

    def raise_any(self) -> None:
        """Raise Misconfigured that names every mistake, if there is one."""
        subject = "the declaration" if self._file is None else self._file
        raise_mistakes(self._found, subject)

    def _located(self, mistake: Mistake) -> Mistake:
        line = self._line(mistake.place) if mistake.line is None else mistake.line
        return replace(mistake, problem=self._redact(mistake.problem), file=self._file, line=line)

    def _line(self, place: Place) -> int | None:
        """Return the line of the place, or of what it stands in."""
        prefixes = (place[:length] for length in range(len(place), -1, -1))
        return next((self._lines[prefix] for prefix in prefixes if prefix in self._lines), None)


def raise_mistakes(found: Sequence[Mistake], subject: str) -> None:
    """Raise Misconfigured that lists the mistakes by line, if there is one; `facts["mistakes"]` has them too."""
    ordered = sorted(found, key=lambda mistake: mistake.line or 0)
    if not ordered:
        return
    facts = [
        {"file": one.file, "line": one.line, "path": place_text(one.place), "problem": one.problem} for one in ordered
    ]
    if len(ordered) == 1:
        raise Misconfigured(str(ordered[0]), mistakes=facts)
    lines = "".join(f"\n  {one}" for one in ordered)
    raise Misconfigured(f"{subject} has {len(ordered)} mistakes:{lines}", mistakes=facts)


def place_text(place: Place) -> str:
    """Return the place as `sources.coins.primary_key[0]`; keys with other characters are quoted."""
    text = ""
    for step in place:
        match step:
            case int():
                text += f"[{step}]"
            case str():
                plain = _PLAIN_KEY.fullmatch(step) is not None
                text += ("." if text else "") + (step if plain else json.dumps(step, ensure_ascii=False))
    return text
