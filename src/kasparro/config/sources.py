"""Declared sources: the common keys and those of the kind, from one flat mapping to values of the model."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

from kasparro.config.checking import check
from kasparro.config.engine_words import timezone_names
from kasparro.config.mappings import as_paths, check_paths, declare_mapping
from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.shape_schema import names_of
from kasparro.config.shapes import LATER_KEYS, LATER_KINDS, ContractShape, SourceShape
from kasparro.config.suggestions import did_you_mean, not_one_of, shown
from kasparro.model.contract import Contract, Word
from kasparro.model.dataset import Dataset
from kasparro.model.duration import read_duration
from kasparro.model.limit import Limit
from kasparro.model.rate import RateLimit
from kasparro.model.removal import HALF, Removal
from kasparro.model.schedule import Schedule
from kasparro.model.source import Declared

COMMON_KEYS = tuple(field.name for field in fields(SourceShape))

Kinds = Mapping[str, type]
"""Classes of configuration by the `type` that names them."""

NAME_PATTERN = r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,63}"
"""What a source may be called; not `.` and `..`, which are folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a source can refer to.

    Attributes:
        kinds: Classes by the `type` that names them.
        datasets: What rows can go to; None for one whose declaration is wrong.
        texts: How numbers are written in the file, by place.
    """

    kinds: Kinds
    datasets: Mapping[str, Dataset | None]
    texts: Mapping[Place, str]


def declare_source(name: str, data: Mapping[str, Any], known: Known, mistakes: Mistakes) -> Declared | None:
    """Return the source, or None with mistakes noted.

    Args:
        name: As declared.
        data: What stands under the name: keys that every source has, and those of its kind.
        known: What it can refer to.
        mistakes: Takes what is wrong.
    """
    place = ("sources", name)
    check_source_name(name, place, mistakes)
    kind_class = _kind_class(data, known.kinds, place, mistakes)
    own_keys = names_of(kind_class) if kind_class is not None else ()
    common = [key for key in COMMON_KEYS if key not in own_keys]
    shape = check(SourceShape, {key: data[key] for key in common if key in data}, place, mistakes)
    own = {key: value for key, value in data.items() if key not in common}
    kind = None if kind_class is None else _kind(kind_class, own, place, mistakes)
    if shape is None:
        return None
    if shape.dataset not in known.datasets:
        _note_dataset(shape.dataset, list(known.datasets), (*place, "dataset"), mistakes)
    mapping = None
    if shape.mapping is not None:
        target = known.datasets.get(shape.dataset)
        mapping = declare_mapping(shape.mapping, target, (*place, "mapping"), mistakes, known.texts)
    _check_timezone(shape.timezone, (*place, "timezone"), mistakes)
    keys = () if shape.primary_key is None else as_paths(shape.primary_key)
    if shape.primary_key is not None:
        check_paths(keys, (*place, "primary_key"), mistakes)
    return Declared(
        name=name,
        kind=kind,
        dataset=shape.dataset,
        primary_key=keys,
        mapping=mapping,
        timezone=shape.timezone,
        append=shape.write_disposition == "append",
        replace=shape.write_disposition == "replace",
        full_refresh=shape.sync_mode == "full_refresh" or shape.write_disposition == "replace",
        removal=_removal(shape, place, mistakes),
        contract=_contract(shape.schema_contract),
        max_rejects=_read(Limit.read, shape.max_rejects, (*place, "max_rejects"), mistakes),
        hold_on=shape.hold_on,
        raw_retention=_read(read_duration, shape.raw_retention, (*place, "raw_retention"), mistakes),
        schedule=_schedule(shape, place, mistakes),
        rate_limit=_rate_limit(shape, place, mistakes),
    )


def _contract(given: Word | ContractShape) -> Contract:
    if isinstance(given, ContractShape):
        return Contract(fields=given.fields, types=given.types)
    return Contract(fields=given, types=given)


def _schedule(shape: SourceShape, place: Place, mistakes: Mistakes) -> Schedule | None:
    if shape.schedule is None:
        return None
    from kasparro.config.schedules import declare_schedule  # noqa: PLC0415 - most sources have none

    return declare_schedule(shape.schedule, (*place, "schedule"), mistakes)


def _rate_limit(shape: SourceShape, place: Place, mistakes: Mistakes) -> RateLimit | None:
    if shape.rate_limit is None:
        return None
    from kasparro.config.rates import declare_limit  # noqa: PLC0415 - most sources have none

    return declare_limit(shape.rate_limit, (*place, "rate_limit"), mistakes)


def _removal(shape: SourceShape, place: Place, mistakes: Mistakes) -> Removal:
    if shape.write_disposition == "append" and shape.sync_mode == "full_refresh":
        mistakes.add(
            (*place, "sync_mode"), "full_refresh does not go with write_disposition append, which adds to rows"
        )
    if shape.write_disposition == "replace" and shape.deletions == "ignore":
        mistakes.add((*place, "deletions"), "ignore does not go with write_disposition replace; use soft or hard")
    limit = _read(Limit.read, shape.max_deletions, (*place, "max_deletions"), mistakes)
    return Removal(deletions=shape.deletions, limit=HALF if limit is None else limit)


Meant = TypeVar("Meant")


def _read(read: Callable[[Any], Meant], given: object | None, place: Place, mistakes: Mistakes) -> Meant | None:
    try:
        return None if given is None else read(given)
    except ValueError as error:
        mistakes.add(place, str(error))
    return None


def check_source_name(name: str, place: Place, mistakes: Mistakes) -> None:
    """Note what is wrong with the name of a source."""
    if re.fullmatch(NAME_PATTERN, name) is None:
        rule = "1 to 63 letters (a to z), digits, _, - and ."
        mistakes.add(place, f"{shown(name)} cannot be the name of a source; use {rule}")


def checked_instance(kind: Any, place: Place, mistakes: Mistakes) -> Any:  # noqa: ANN401 - a kind is any of the classes
    """Return an instance that was made in Python as its class demands: dataclasses check nothing by themselves."""
    given = {field.name: getattr(kind, field.name) for field in fields(kind) if field.init}
    return check(type(kind), given, place, mistakes, by_name=True)


def is_kind(value: object, kinds: Kinds) -> bool:
    """Return whether a value is an instance of one of the kinds."""
    return is_dataclass(value) and type(value) in kinds.values()


def _kind_class(data: Mapping[str, Any], kinds: Kinds, place: Place, mistakes: Mistakes) -> type | None:
    word, where = data.get("type"), (*place, "type")
    if "type" not in data:
        mistakes.add(place, f'the key "type" is missing; it is one of {", ".join(kinds)}')
    elif isinstance(word, str) and word in kinds:
        return kinds[word]
    elif isinstance(word, str) and word in LATER_KINDS:
        mistakes.add(where, f'sources of type "{word}" are not available in this version; there are {", ".join(kinds)}')
    else:
        mistakes.add(where, not_one_of(mistakes.shown(where, word), word, list(kinds)))
    return None


def _kind(kind_class: type, own: Mapping[str, Any], place: Place, mistakes: Mistakes) -> Any:  # noqa: ANN401
    """Return the instance made from the kind's own keys."""
    keys = names_of(kind_class)
    later = [key for key in own if key in LATER_KEYS and key not in keys]
    for key in later:
        mistakes.add((*place, key), "is not available in this version; leave it out")
    return check(kind_class, {key: own[key] for key in own if key not in later}, place, mistakes, also=COMMON_KEYS)


def _note_dataset(name: str, known: Sequence[str], place: Place, mistakes: Mistakes) -> None:
    display = mistakes.shown(place, name)
    guess = "" if display is None else did_you_mean(name, known)
    subject = "the dataset" if display is None else f"the dataset {display}"
    mistakes.add(place, f"{subject} is not declared; there are {', '.join(known)}{guess}")


def _check_timezone(name: str, place: Place, mistakes: Mistakes) -> None:
    if name == "UTC" or name in timezone_names():
        return
    display = mistakes.shown(place, name)
    guess = "" if display is None else did_you_mean(name, timezone_names())
    subject = "the value" if display is None else display
    mistakes.add(place, f"{subject} is not a time zone; use a name such as Europe/Berlin{guess}")
