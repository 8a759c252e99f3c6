"""The kinds of sources there are, by the `type` that a configuration names. Each is loaded when it is first named."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType

_CLASSES: Mapping[str, str] = MappingProxyType({"csv": "Csv", "api": "Api", "rss": "Rss"})


class _Kinds(Mapping[str, type]):
    """Loads a class from the module of its kind: they declare much, and few configurations have all of them."""

    def __getitem__(self, kind: str) -> type:
        name = _CLASSES[kind]
        found: type = getattr(import_module(f"kasparro.sources.{kind}"), name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)

    def __contains__(self, kind: object) -> bool:
        return kind in _CLASSES


KINDS: Mapping[str, type] = _Kinds()
