"""Declared mappings: from the configuration's shape to values of the model."""

import re
from collections.abc import Mapping, Sequence

from kasparro.config.engine_words import expression_problem
from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.shapes import Rule, RuleShape
from kasparro.config.suggestions import did_you_mean, shown
from kasparro.model.dataset import Dataset
from kasparro.model.mapping import FieldRule
from kasparro.model.mapping import Mapping as FieldMapping
from kasparro.model.path import parse_path

_IN_BRACES = re.compile(r"\{([^{}]*)\}")
_DATED = ("timestamp", "date")


def declare_mapping(
    rules: Mapping[str, Rule], dataset: Dataset | None, place: Place, mistakes: Mistakes, texts: Mapping[Place, str]
) -> FieldMapping:
    """Return the mapping of a source; what is wrong with it is noted.

    Args:
        rules: By name of a field, as declared.
        dataset: Where the rows go; None where it is not known, then names of fields are not checked.
        place: Where the mapping stands.
        mistakes: Takes what is wrong.
        texts: How numbers are written in the file, by place.
    """
    made: dict[str, FieldRule] = {}
    attributes: tuple[str, ...] | None = None
    types = None if dataset is None else {field.name: field.type for field in dataset.fields}
    for name, rule in rules.items():
        here = (*place, name)
        if types is not None and dataset is not None and name not in types:
            mistakes.add(here, f"the dataset {dataset.name} has no field {shown(name)}{did_you_mean(name, types)}")
        if name == "attributes":
            attributes = _attributes(rule, None if types is None else types.get(name), here, mistakes)
        else:
            made[name] = _rule(rule, here, mistakes, texts)
            if made[name].format is not None and types is not None and types.get(name, "date") not in _DATED:
                mistakes.add((*here, "format"), f"is for timestamps and dates; {name} is {types[name]}")
    return FieldMapping(rules=made, attributes=attributes)


def check_paths(paths: Sequence[str], place: Place, mistakes: Mistakes) -> None:
    """Note what is wrong with raw paths; `place` is that of the list."""
    if not paths:
        mistakes.add(place, "is empty; name at least one raw path, or leave it out")
    for index, path in enumerate(paths):
        where = place if len(paths) == 1 else (*place, index)
        problem = _path_problem(path)
        if problem is not None:
            mistakes.add(where, f"is not a path{mistakes.because(where, problem)}" if path else problem)
        elif path in paths[:index]:
            mistakes.add(where, f"names {mistakes.shown(where, path) or 'a path'} twice")


def as_paths(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return one path or several as several."""
    return (given,) if isinstance(given, str) else tuple(given)


def _path_problem(path: str) -> str | None:
    if not path:
        return "is empty; name a raw path"
    try:
        parse_path(path)
    except ValueError as error:
        return f"{str(error).removeprefix('the path ')}; put a key that has dots, brackets or quotes in double quotes"
    return None


def _attributes(rule: Rule, kind: str | None, place: Place, mistakes: Mistakes) -> tuple[str, ...] | None:
    if not isinstance(rule, tuple):
        mistakes.add(place, "must be a list of raw paths")
        return None
    if kind not in {None, "json"}:
        mistakes.add(place, f"collects several values, so the type of the field must be json, not {kind}")
    if rule:
        check_paths(rule, place, mistakes)
    return rule


def _rule(rule: Rule, place: Place, mistakes: Mistakes, texts: Mapping[Place, str]) -> FieldRule:
    if not isinstance(rule, RuleShape):
        check_paths(as_paths(rule), place, mistakes)
        return FieldRule(paths=as_paths(rule))
    given = [key for key in ("path", "const", "sql") if getattr(rule, key) is not None]
    if len(given) != 1 and not mistakes.has(place):
        found = f"not {' and '.join(given)}" if given else "and none is given"
        mistakes.add(place, f"takes exactly one of path, const and sql, {found}")
    if rule.path is not None:
        check_paths(as_paths(rule.path), (*place, "path"), mistakes)
    if rule.sql is not None:
        _check_expression(rule.sql, (*place, "sql"), mistakes)
    if rule.format is not None and rule.path is None:
        mistakes.add((*place, "format"), "tells how the text at a path is written, so it goes with path")
    return FieldRule(
        paths=() if rule.path is None else as_paths(rule.path),
        const=_const_text(rule.const, texts.get((*place, "const"))),
        sql=rule.sql,
        format=rule.format,
    )


def _const_text(value: object, written: str | None) -> str | None:
    """Return a constant as it is written; `1.10` stays `1.10`."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case _:
            return str(value) if written is None else written


def _check_expression(sql: str, place: Place, mistakes: Mistakes) -> None:
    if not sql.strip():
        mistakes.add(place, "is empty; write an SQL expression")
        return
    for path in _IN_BRACES.findall(sql):
        problem = _path_problem(path)
        if problem is not None:
            mistakes.add(place, f"has a path that is none{mistakes.because(place, problem)}")
    problem = expression_problem(_IN_BRACES.sub("NULL", sql))
    if problem is not None:
        mistakes.add(place, f"is not an SQL expression{mistakes.because(place, problem)}")
