"""What to change in a declaration when a raw field has another name: every place that names it, and no other."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from kasparro.model.finding import Finding
from kasparro.model.mapping import FieldRule
from kasparro.model.mapping import Mapping as FieldMapping
from kasparro.model.path import Step, parse_path

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_PLAIN = re.compile(r'[^.\[\]"]+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Where a declaration names raw fields.

    Attributes:
        source: Whose declaration it is.
        fields: Of the dataset, without the one that collects the rest.
        mapping: None where nothing is mapped.
        guesses: Raw names that fill the fields, the first that holds a value; only where nothing is mapped.
        collects: What nothing names is collected in `attributes`.
        primary_key: As declared.
        cursor_field: As declared; None where there is none.
        columns: A path is the name of a column, whatever dots it has.
    """

    source: str
    fields: tuple[str, ...] = ()
    mapping: FieldMapping | None = None
    guesses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    collects: bool = False
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    columns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to change.

    Attributes:
        changes: Keys of the source with their new values, as the file would have them; of `mapping` the rules that
            change. Empty where nothing is to be changed.
        whole: The same with all rules of the mapping.
        notes: What to know about it, one sentence or two each.
    """

    changes: Mapping[str, Any]
    whole: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return changes and notes as plain JSON values."""
        return {**self.changes, "notes": list(self.notes)}


def propose(naming: Naming, renames: Mapping[str, str], known: Collection[str]) -> Proposal:
    """Return what to change so that new names are read besides the old ones.

    Args:
        naming: The declaration.
        renames: New names by old ones, as paths of a profile.
        known: Paths that the source is known to have.
    """
    after, notes = naming, list[str]()
    for old, new in renames.items():
        after = _renamed(after, old, new, known, notes)
    before, now = naming.mapping or FieldMapping(), after.mapping or FieldMapping()
    keys: dict[str, Any] = {}
    if after.primary_key != naming.primary_key:
        keys["primary_key"] = _one_or_more(after.primary_key)
    if after.cursor_field != naming.cursor_field:
        keys["cursor_field"] = after.cursor_field
    if now == before:
        return Proposal(changes=keys, whole=keys, notes=tuple(notes))
    every = {name: _written(rule) for name, rule in now.rules.items()}
    few = {name: rule for name, rule in every.items() if now.rules[name] != before.rules.get(name)}
    if now.attributes is not None:
        every["attributes"] = list(now.attributes)
        few |= {"attributes": every["attributes"]} if now.attributes != before.attributes else {}
    return Proposal(changes={**keys, "mapping": few}, whole={**keys, "mapping": every}, notes=tuple(notes))


def _renamed(naming: Naming, old: str, new: str, known: Collection[str], notes: list[str]) -> Naming:
    """Return the declaration with a new name for one raw field, and note what is to be known about it."""
    name = _Name(old, new, columns=naming.columns)
    stated = _stated(naming, name, known)
    after = replace(
        naming,
        mapping=_mapping(naming if stated is None else stated, name),
        guesses=naming.guesses if stated is None else {},
        primary_key=tuple(name.of(path) or path for path in naming.primary_key),
        cursor_field=None if naming.cursor_field is None else name.of(naming.cursor_field) or naming.cursor_field,
    )
    if stated is not None:
        notes.append(
            f"{naming.source} had no mapping; its fields were filled by well-known names, which are all stated here. "
            "What does not fit its field is rejected from then on, where it would have stayed in attributes."
        )
    if after.primary_key != naming.primary_key:
        notes.append(
            f"Rows are known by {old} so far. With another primary_key everything has to be read anew: "
            f"kasparro run {naming.source} --full-refresh"
        )
    if after.cursor_field != naming.cursor_field:
        notes.append("With another cursor_field the next run reads from the start; rows are updated by their key.")
    if naming.columns and _uses_sql(naming, name):
        notes.append(f"A sql expression with {{{new}}} fails for files that have {old} instead.")
    if after == naming:
        notes.append(_nothing(naming, old, new))
    return after


def _nothing(naming: Naming, old: str, new: str) -> str:
    rules = () if naming.mapping is None else naming.mapping.rules
    if new in _flat(naming.guesses.values()) or (not naming.guesses and new in naming.fields and new not in rules):
        return f"{new} fills the field of its name already. There is nothing to change."
    where = "the values are collected in attributes" if naming.collects else "the values are in no row"
    return f"Nothing names {old}; {where}, by the name that they have. There is nothing to change."


def _flat(lists: Collection[tuple[str, ...]]) -> set[str]:
    return {one for some in lists for one in some}


class _Name:
    """One field with its old name and its new one."""

    def __init__(self, old: str, new: str, *, columns: bool) -> None:
        self._old, self._new, self._columns = old, new, columns

    def of(self, path: str) -> str | None:
        """Return a path of the declaration by the new name; None where it does not lead to the field or into it."""
        if self._columns:
            return self._new if path == self._old else None
        steps = parse_path(path)
        for count in range(1, len(steps) + 1):
            if all(isinstance(step, str) for step in steps[:count]) and _dotted(steps[:count]) == self._old:
                above = steps[: count - 1]
                last = self._new.removeprefix(f"{_dotted(above)}.") if above else self._new
                return _path_text((*above, last, *steps[count:]))
        return None

    def added(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return paths with the new one before each that has the old name, unless it is among them."""
        renamed = {path: self.of(path) for path in paths}
        return tuple(
            one
            for path in paths
            for one in (renamed[path], path)
            if one is not None and (one == path or one not in paths)
        )


def _stated(naming: Naming, name: _Name, known: Collection[str]) -> Naming | None:
    """Return the declaration with its guesses as a mapping, where a field was filled by the old name."""
    if naming.mapping is not None:
        return None
    there = {
        one: tuple(path for path in paths if name.of(path) or _is_known(path, known, columns=naming.columns))
        for one, paths in naming.guesses.items()
    }
    filled = [paths for paths in there.values() if paths and name.of(paths[0])]
    if all(name.added(paths) == paths for paths in filled):
        return None
    rules = {one: FieldRule(paths=paths) for one, paths in there.items() if paths}
    return replace(naming, mapping=FieldMapping(rules=rules))


def _is_known(path: str, known: Collection[str], *, columns: bool) -> bool:
    """Tell whether a path leads to a field that a profile tells of: what stands in a list, it does not."""
    if columns:
        return path in known
    return _dotted(list(takewhile(lambda step: isinstance(step, str), parse_path(path)))) in known


def _mapping(naming: Naming, name: _Name) -> FieldMapping | None:
    given = FieldMapping() if naming.mapping is None else naming.mapping
    rules = {field: _rule(rule, name, columns=naming.columns) for field, rule in given.rules.items()}
    if not naming.guesses or naming.mapping is not None:
        for one in naming.fields:  # a field without a rule takes the raw field of its name
            renamed = name.of(one) if one not in rules and (naming.columns or _PLAIN.fullmatch(one)) else None
            if renamed is not None:
                rules[one] = FieldRule(paths=(renamed, one))
    attributes = None if given.attributes is None else name.added(given.attributes)
    made = FieldMapping(rules=rules, attributes=attributes)
    return None if naming.mapping is None and made == FieldMapping() else made


def _rule(rule: FieldRule, name: _Name, *, columns: bool) -> FieldRule:
    if rule.sql is None:
        return replace(rule, paths=name.added(rule.paths))

    def put(found: re.Match[str]) -> str:
        renamed = name.of(found.group(1))
        if renamed is None:
            return found.group(0)
        return f"{{{renamed}}}" if columns else f"coalesce({{{renamed}}}, {found.group(0)})"

    return replace(rule, sql=_PLACEHOLDER.sub(put, rule.sql))


def _uses_sql(naming: Naming, name: _Name) -> bool:
    rules = () if naming.mapping is None else naming.mapping.rules.values()
    return any(name.of(path) for rule in rules if rule.sql is not None for path in _PLACEHOLDER.findall(rule.sql))


def _written(rule: FieldRule) -> Any:  # noqa: ANN401 - as the file would have it
    given = {"path": _one_or_more(rule.paths) or None, "const": rule.const, "sql": rule.sql, "format": rule.format}
    some = {key: value for key, value in given.items() if value is not None}
    return some["path"] if set(some) == {"path"} else some


def _one_or_more(paths: Sequence[str]) -> str | list[str]:
    return paths[0] if len(paths) == 1 else list(paths)


def _dotted(steps: Sequence[Step]) -> str:
    return ".".join(map(str, steps))


def _path_text(steps: Sequence[Step]) -> str:
    """Return the path that `parse_path` reads."""
    text = ""
    for step in steps:
        match step:
            case int():
                text += f"[{step}]"
            case str():
                plain = _PLAIN.fullmatch(step) is not None
                text += ("." if text else "") + (step if plain else json.dumps(step, ensure_ascii=False))
    return text


def with_proposals(found: Iterable[Finding], naming: Naming, known: Collection[str]) -> tuple[Finding, ...]:
    """Return findings, those about renamed fields with what to change: `facts["proposal"]`."""

    def proposed(one: Finding) -> Finding:
        if one.kind != "field_renamed":
            return one
        proposal = propose(naming, {one.subject: str(one.observed)}, known)
        return replace(one, facts={**one.facts, "proposal": proposal.to_json()})

    return tuple(map(proposed, found))
