"""What of a declaration is secret, and a hash of the rest."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic import SecretStr

from kasparro.model.redact import MASK, Redactor
from kasparro.model.source import Declared

if TYPE_CHECKING:
    from kasparro.config.declarations import Config

_SECRET_NAME = re.compile(r"(?i)key|token|secret|password|passwd|pwd|auth|signature|credential|cookie")


def config_hash(declared: Declared, redact: Redactor | None = None) -> str:
    """Return 16 hexadecimal digits that change when the declaration of a source does, and not with its secrets.

    Keys that have their default do not count, so that a new key with a default changes no hash.

    Args:
        declared: The source.
        redact: Masks the texts that came from the environment, which may be secrets in plain fields.
    """
    mask = Redactor() if redact is None else redact
    text = json.dumps(_plain(declared, mask), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def whole_hash(config: "Config", redact: Redactor) -> str:
    """Return 16 hexadecimal digits that tell a configuration from others, as `config_hash` does a source."""
    sources = {source.name: config_hash(source, redact) for source in config.sources}
    text = json.dumps([sources, _plain(dict(config.datasets), redact)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def secrets_of(value: object) -> frozenset[str]:
    """Return the text of every secret in a declaration."""
    return frozenset(text for text in _secrets(value) if text)


def _secrets(value: object) -> Iterator[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case Mapping():
            for key, inner in value.items():
                if _is_secret(key, inner):
                    yield from (inner, inner.split(maxsplit=1)[-1])
                yield from _secrets(inner)
        case list() | tuple() | set() | frozenset():
            for inner in value:
                yield from _secrets(inner)
        case _ if is_dataclass(value):
            for field in fields(value):
                yield from _secrets(getattr(value, field.name))


def _is_secret(key: object, value: object) -> TypeGuard[str]:
    """Return whether a header or parameter holds a secret, by its name."""
    return isinstance(value, str) and value.strip() != "" and _SECRET_NAME.search(str(key)) is not None


def _plain(value: object, mask: Redactor) -> Any:  # noqa: ANN401, PLR0911 - one return for each kind of value
    match value:
        case SecretStr():
            return MASK
        case None | bool() | int() | float():
            return value
        case str():
            return mask(value)
        case Mapping():
            return {str(k): MASK if _is_secret(k, inner) else _plain(inner, mask) for k, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, mask) for inner in value]
        case set() | frozenset():
            return sorted(mask(str(inner)) for inner in value)
        case _ if is_dataclass(value):
            given = {field: getattr(value, field.name) for field in fields(value)}
            changed = {field.name: inner for field, inner in given.items() if not _is_default(field, inner)}
            return {name: _plain(inner, mask) for name, inner in changed.items()}
        case _:
            return mask(str(value))


def _is_default(field: Field[Any], value: object) -> bool:
    """Return whether a field has its default; `type` always counts, as it tells one shape from another."""
    if field.name == "type":
        return False
    made = field.default if field.default_factory is MISSING else field.default_factory()
    return bool(value == made)
