"""From `kasparro.yaml`, or the same mapping in Python, to values of the model, or to all mistakes at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kasparro.config.datasets import check_dataset, declare_dataset
from kasparro.config.hashing import secrets_of
from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.sources import Kinds, Known, check_source_name, checked_instance, declare_source, is_kind
from kasparro.config.substitution import Filled, substitute
from kasparro.config.suggestions import unknown_key
from kasparro.config.yaml_file import read_yaml
from kasparro.errors import Misconfigured
from kasparro.model.dataset import NORMALIZED, Dataset
from kasparro.model.rate import RateLimit
from kasparro.model.redact import Redactor
from kasparro.model.source import Declared
from kasparro.sources.kinds import KINDS

if TYPE_CHECKING:
    from kasparro.notify.channels import Channel

CONFIG_FILE = Path("kasparro.yaml")
"""What is read when neither `--config` nor `KASPARRO_CONFIG` names another file."""

_KEYS = ("sources", "datasets", "hosts", "notifications")
"""Keys at the top of the file."""

NO_LINES: Mapping[Place, int] = MappingProxyType({})
NO_TEXTS: Mapping[Place, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a configuration declares.

    Attributes:
        sources: In the order of the declaration.
        datasets: By name; `normalized_data` is always among them.
        folder: Relative paths of the sources are resolved against it.
        path: The file it came from; None for a declaration in Python.
        notifications: Channels on which people are told what happened.
        hosts: How often hosts may be asked by all sources together.
        secrets: Every text that came from `${NAME}` or is declared as a secret: for the Redactor.
        notes: What the operator should know and need not change; one sentence each.
    """

    sources: tuple[Declared, ...]
    datasets: Mapping[str, Dataset]
    folder: Path
    path: Path | None = None
    notifications: "tuple[Channel, ...]" = ()
    hosts: Mapping[str, RateLimit] = field(default_factory=dict)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    notes: tuple[str, ...] = ()


def load_config(path: Path, environ: Mapping[str, str], *, kinds: Kinds = KINDS) -> Config:
    """Read a configuration file.

    Args:
        path: The file, as the user named it.
        environ: Where `${NAME}` is looked up: see `read_environment`.
        kinds: Classes of sources by `type`.

    Raises:
        Misconfigured: with every mistake in the message, and as plain values in `facts["mistakes"]`.
    """
    document = read_yaml(path)
    if document.data is None:
        raise Misconfigured(f'{path}: is empty; declare at least one source under "sources:"')
    filled = substitute(document.data, environ)
    mistakes = _mistakes(filled, str(path), document.lines)
    for found in document.mistakes:
        mistakes.take(found)
    config = _declare(filled, mistakes, kinds, document.texts, path.parent)
    return replace(config, path=path)


def declare_sources(
    sources: Mapping[str, Any],
    datasets: Mapping[str, Mapping[str, Any] | type[BaseModel] | Dataset] | None = None,
    folder: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    kinds: Kinds = KINDS,
) -> Config:
    """Take a declaration made in Python.

    Args:
        sources: By name: what would stand under the name in the file, or an instance of a kind (`Csv`, `Api`, `Rss`).
        datasets: By name: what would stand in the file, a Pydantic model class, or a `Dataset`.
        folder: Relative paths are resolved against it; the working directory when None.
        environ: Where `${NAME}` is looked up; when None, texts are taken as they are.
        kinds: Classes of sources by `type`.

    Raises:
        Misconfigured: as `load_config`, without file and lines.
    """
    data = {"sources": _plain(sources), "datasets": _plain(datasets or {})}
    unfilled = Filled(data=data, secrets=frozenset(), hidden=frozenset(), mistakes=())
    filled = unfilled if environ is None else substitute(data, environ)
    return _declare(filled, _mistakes(filled), kinds, NO_TEXTS, Path.cwd() if folder is None else folder)


def _mistakes(filled: Filled, file: str | None = None, lines: Mapping[Place, int] = NO_LINES) -> Mistakes:
    """Return a collection that holds what substitution found, and knows what to hide."""
    closed = {found.place for found in filled.mistakes}
    redact = Redactor(filled.secrets)
    mistakes = Mistakes(file=file, lines=lines, hidden=filled.hidden, closed=closed, redact=redact)
    for found in filled.mistakes:
        mistakes.take(found)
    return mistakes


def _declare(filled: Filled, mistakes: Mistakes, kinds: Kinds, texts: Mapping[Place, str], folder: Path) -> Config:
    """Return what the data declares. Raises Misconfigured with all mistakes, also those that were noted before."""
    top = _mapping(filled.data, (), mistakes, "must be a mapping with the keys sources and datasets")
    for key in top:
        if key not in _KEYS:
            mistakes.add((key,), unknown_key(key, _KEYS))
    if isinstance(filled.data, dict) and top.get("sources") is None:
        mistakes.add((), 'the key "sources" is missing; declare at least one source')
    datasets = _datasets(top.get("datasets"), mistakes, texts)
    known = Known(kinds=kinds, datasets=datasets, texts=texts)
    given = _mapping(top.get("sources"), ("sources",), mistakes)
    sources = [_source(name, data, known, mistakes) for name, data in given.items()]
    channels, secrets = _channels(top.get("notifications"), list(given), mistakes)
    hosts = _hosts(top.get("hosts"), mistakes)
    mistakes.raise_any()
    made = tuple(source for source in sources if source is not None)
    return Config(
        sources=made,
        datasets={name: dataset for name, dataset in datasets.items() if dataset is not None},
        folder=folder,
        notifications=channels,
        hosts=hosts,
        secrets=filled.secrets.union(secrets, *(secrets_of(source.kind) for source in made)),
        notes=tuple(_notes_of_limits(made, hosts, mistakes)),
    )


def _source(name: str, data: object, known: Known, mistakes: Mistakes) -> Declared | None:
    place = ("sources", name)
    if is_kind(data, known.kinds):
        check_source_name(name, place, mistakes)
        return Declared(name=name, kind=checked_instance(data, place, mistakes))
    if data is not None and not isinstance(data, dict):
        mistakes.add(place, f"must be a mapping of keys such as type, not {mistakes.shown(place, data) or 'a text'}")
        return None
    return declare_source(name, data or {}, known, mistakes)


def _channels(section: object, sources: list[str], mistakes: Mistakes) -> "tuple[tuple[Channel, ...], frozenset[str]]":
    """Return the channels of notifications, and what of them is secret."""
    given = _mapping(section, ("notifications",), mistakes)
    if not given:
        return (), frozenset()
    from kasparro.config.notifications import declare_channels  # noqa: PLC0415 - most configurations have none

    return declare_channels(given, sources, mistakes)


def _hosts(section: object, mistakes: Mistakes) -> Mapping[str, RateLimit]:
    """Return how often hosts may be asked."""
    given = _mapping(section, ("hosts",), mistakes)
    if not given:
        return {}
    from kasparro.config.rates import declare_hosts  # noqa: PLC0415 - most configurations have none

    return declare_hosts(given, mistakes)


def _notes_of_limits(sources: tuple[Declared, ...], hosts: Mapping[str, RateLimit], mistakes: Mistakes) -> list[str]:
    limited = [one for one in sources if one.rate_limit is not None]
    if not limited or len(limited) + len(hosts) == 1:
        return []
    from kasparro.config.rates import notes_of_limits  # noqa: PLC0415 - likewise

    return notes_of_limits(limited, hosts, mistakes)


def _datasets(section: object, mistakes: Mistakes, texts: Mapping[Place, str]) -> dict[str, Dataset | None]:
    made: dict[str, Dataset | None] = {NORMALIZED.name: NORMALIZED}
    for name, given in _mapping(section, ("datasets",), mistakes).items():
        place = ("datasets", name)
        declared: Dataset | None
        match given:
            case Dataset():
                declared = check_dataset(replace(given, name=name), place, mistakes)
            case type() if issubclass(given, BaseModel):
                from kasparro.config.pydantic_dataset import dataset_from_model  # noqa: PLC0415 - for Python alone

                declared = dataset_from_model(name, given, place, mistakes)
            case _:
                declared = declare_dataset(name, given, place, mistakes, texts)
        if name != NORMALIZED.name:
            made[name] = declared
    return made


def _mapping(data: object, place: Place, mistakes: Mistakes, problem: str = "must be a mapping") -> dict[str, Any]:
    """Return a mapping; nothing is an empty one, and anything else a mistake."""
    if isinstance(data, dict):
        return data
    if data is not None or place == ():
        mistakes.add(place, f"{problem}, not {mistakes.shown(place, data) or 'a text'}")
    return {}


def _plain(data: object) -> Any:  # noqa: ANN401 - a declaration holds any value
    """Return the data as a file would give it: dict, list, text. Classes and instances stay what they are."""
    match data:
        case Mapping():
            return {str(key): _plain(value) for key, value in data.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(value) for value in data]
        case os.PathLike():
            return os.fspath(data)
        case _:
            return data
