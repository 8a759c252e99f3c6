"""From the text of an environment variable to its value."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from pydantic import SecretStr

from kasparro.config.suggestions import not_one_of, shown
from kasparro.config.variables import Value, Variable

_TRUTH: Mapping[str, bool] = MappingProxyType(
    {
        **dict.fromkeys(("true", "1", "yes", "on"), True),
        **dict.fromkeys(("false", "0", "no", "off"), False),
    }
)


def read_value(variable: Variable, text: str) -> Value:  # noqa: C901, PLR0911 - one return for each kind
    """Return the value of a variable.

    Raises:
        ValueError: the text is none; the message says why and holds no secret.
    """
    match variable.kind:
        case "text":
            return text
        case "secret":
            return SecretStr(text)
        case "url":
            return _database_url(text)
        case "whole number":
            return _number(variable, text)
        case "boolean":
            return _boolean(text)
        case "choice":
            if text.lower() not in variable.choices:
                raise ValueError(not_one_of(shown(text), text, variable.choices))
            return text.lower()
        case "path":
            return Path(text).expanduser().absolute()
        case "web address":
            return _web_address(text)
        case "share":
            return _share(text)


def _number(variable: Variable, text: str) -> int:
    least, most = variable.least, variable.most
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a whole number") from None
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"must be from {least} to {most}, not {value}")
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(f"must be true or false, not {shown(text)}")
    return _TRUTH[text.lower()]


def _database_url(text: str) -> SecretStr:
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in {"postgresql", "postgres"}:
        raise ValueError("must begin with postgresql:// (as in postgresql://user:password@host:5432/database)")
    if "@" in after_userinfo(text).partition("?")[0]:
        raise ValueError('has "@" or "/" in user or password; write them percent-encoded: @ as %40, / as %2F, % as %25')
    return SecretStr(text)


def after_userinfo(url: str) -> str:
    """Return what follows user and password, as libpq sees it: they end at the first `@`, and hold no `/`."""
    rest = url.partition("://")[2]
    userinfo, at, after = rest.partition("@")
    return after if at and "/" not in userinfo else rest


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an open bracket, a port that is no number
        sound = False
    if not sound:
        raise ValueError("must be an http:// or https:// address (as in http://localhost:4318)")
    return text


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a number") from None
    if not 0 <= value <= 1:
        raise ValueError(f"must be from 0 to 1, not {text}")
    return value
