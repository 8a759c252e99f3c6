"""Where the text of each field comes from: cells of a CSV record, or places in a JSON record."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson

from kasparro.errors import Misconfigured, SchemaBroken
from kasparro.model.mapping import FieldRule
from kasparro.model.path import parse_path
from kasparro.shaping import literal

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvCells:
    """Text expressions over the cells `c0, c1, ...` of a CSV record, found by the name of their column."""

    columns: tuple[str, ...]
    origin: str

    def has(self, path: str) -> bool:
        """Tell whether the file has this column."""
        return path in self.columns

    def text(self, path: str) -> str:
        """Return the text of a column.

        Raises:
            SchemaBroken: the file has no such column.
        """
        if path not in self.columns:
            known = ", ".join(self.columns[:20])
            raise SchemaBroken(f"{self.origin} has no column {path!r} that the configuration names. It has: {known}")
        return f"c{self.columns.index(path)}"

    def json(self, path: str) -> str:
        """Return the text of a column, which is yet to be read as JSON."""
        return self.text(path)

    def everything(self) -> str:
        """Return one text of the whole record, for its hash. Null and empty differ."""
        cells = ", ".join(f"coalesce(c{n}, chr(30))" for n in range(len(self.columns)))
        return f"concat_ws(chr(31), {cells})"

    def rest(self, taken: "Taken", only: Sequence[str] | None) -> str:
        """Return a JSON object of the cells that no field has taken, or of the columns named."""
        pieces = []
        for n, column in enumerate(self.columns):
            if only is not None and column not in only:
                continue
            key = literal.text(orjson.dumps(column).decode() + ":")
            piece = f"{key} || CASE WHEN c{n} IS NULL THEN 'null' ELSE to_json(c{n})::VARCHAR END"
            used = taken.conditions.get(column) if only is None else None
            if used != "true":
                pieces.append(
                    piece if used is None else f"CASE WHEN coalesce({used}, false) THEN NULL ELSE {piece} END"
                )
        return _object(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPlaces:
    """Text expressions over places in a JSON record `j`: all are looked up in one pass, into `x` (texts) or `y` (JSON).

    Inexact numbers are marked in all of them: `plain(text)` restores them, `unmarked(text)` only drops the mark.

    Attributes:
        pointers: The places asked for so far; the caller's list, filled here.
        json_pointers: The same for values that stay JSON.
    """

    pointers: list[str] = field(default_factory=list)
    json_pointers: list[str] = field(default_factory=list)

    def has(self, path: str) -> bool:  # noqa: ARG002 - whether a record has it is only known by the record
        """Return true: any record may have any place."""
        return True

    def text(self, path: str) -> str:
        """Return the text at a path; NULL where there is nothing or null."""
        return f"plain(x[{_index(self.pointers, literal.pointer(parse_path(path)))}])"

    def json(self, path: str) -> str:
        """Return the JSON value at a path; NULL where there is nothing."""
        return f"nullif({self._value(path)}, 'null')"

    def everything(self) -> str:
        """Return one text of the whole record, for its hash. White space and the order of keys do not count."""
        return "unmarked(json_normalize(j)::VARCHAR)"

    def rest(self, taken: "Taken", only: Sequence[str] | None) -> str:
        """Return a JSON object of the keys that no field has taken, or of the paths named."""
        if only is not None:
            named = {path: literal.text(orjson.dumps(path).decode() + ":") for path in only}
            return _object([f"{key} || {self._value(path)}" for path, key in named.items()])
        nulls = []
        for path, used in taken.conditions.items():
            steps = parse_path(path)
            if len(steps) == 1:
                key = literal.text(orjson.dumps(str(steps[0])).decode() + ":null")
                nulls.append(key if used == "true" else f"CASE WHEN coalesce({used}, false) THEN {key} END")
        patched = f"json_merge_patch(j, {_object(nulls)})" if nulls else "j"
        return f"{patched}::VARCHAR"

    def _value(self, path: str) -> str:
        return f"y[{_index(self.json_pointers, literal.pointer(parse_path(path)))}]::VARCHAR"


Places = CsvCells | JsonPlaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Which raw fields a record's own fields have used up: path -> SQL condition; `true` for always."""

    conditions: dict[str, str] = field(default_factory=dict)


def text_of(rule: FieldRule, places: Places, *, as_json: bool) -> str:
    """Return the text of a field by its rule.

    Raises:
        Misconfigured: the rule names nothing.
        SchemaBroken: the file has no such column.
    """
    look: Callable[[str], str] = places.json if as_json else places.text
    if rule.const is not None:
        return literal.text(rule.const)
    if rule.sql is not None:
        return f"CAST(({_PLACEHOLDER.sub(lambda found: places.text(found.group(1)), rule.sql)}) AS VARCHAR)"
    present = [path for path in rule.paths if places.has(path)] or list(rule.paths[:1])
    if not present:
        raise Misconfigured("A mapping rule needs a path, a const or a sql expression.")
    found = [look(path) for path in present]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def _index(pointers: list[str], pointer: str) -> int:
    if pointer not in pointers:
        pointers.append(pointer)
    return pointers.index(pointer) + 1


def _object(pieces: Sequence[str]) -> str:
    return f"('{{' || concat_ws(',', {', '.join(pieces)}) || '}}')" if pieces else "'{}'"
