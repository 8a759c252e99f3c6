"""Every environment variable there is, in one table: the reader, `.env.example` and the documentation all take it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import SecretStr

from kasparro.config.suggestions import not_one_of, shown

Kind = Literal["text", "secret", "url", "whole number", "boolean", "choice", "path"]
Value = str | int | bool | Path | SecretStr | None

PREFIX = "KASPARRO_"
"""Names that begin with it are ours; an unknown one is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable.

    Attributes:
        field: The attribute of `Settings` that it sets.
        default: What holds when it is unset or empty.
        otherwise: The default in words, where it depends on something.
        least: Smallest number allowed.
        most: Largest number allowed.
        choices: The texts allowed, in lower case.
        example: A value for `.env.example`, where the default would not tell enough.
    """

    name: str
    field: str
    kind: Kind
    description: str
    default: str | int | bool | None = None
    otherwise: str | None = None
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    example: str | None = None


VARIABLES: tuple[Variable, ...] = (
    Variable(
        name="DATABASE_URL",
        field="database_url",
        kind="url",
        otherwise="an embedded PostgreSQL is started",
        example="postgresql://user:password@localhost:5432/kasparro",
        description="The PostgreSQL (15 or newer) that everything is kept in.",
    ),
    Variable(
        name="API_KEY",
        field="api_key",
        kind="secret",
        otherwise="writes are refused unless the server listens on loopback",
        example="a-long-random-text",
        description="What writes and operator endpoints of the API ask for. Production does not serve without one.",
    ),
    Variable(
        name="ETL_BATCH_SIZE",
        field="batch_size",
        kind="whole number",
        default=50_000,
        least=1,
        most=1_000_000,
        description="Most records shaped at once.",
    ),
    Variable(
        name="ETL_CHECKPOINT_INTERVAL",
        field="checkpoint_interval",
        kind="whole number",
        default=50_000,
        least=1,
        most=1_000_000,
        description="A commit is made at least every so many records.",
    ),
    Variable(
        name="ENVIRONMENT",
        field="environment",
        kind="choice",
        default="development",
        choices=("development", "production"),
        description="Production refuses to serve without API_KEY, and keeps reads closed unless told otherwise.",
    ),
    Variable(name="DEBUG", field="debug", kind="boolean", default=False, description="Log every SQL statement."),
    Variable(
        name="LOG_LEVEL",
        field="log_level",
        kind="choice",
        default="info",
        choices=("debug", "info", "warning", "error", "critical"),
        description="Least severe message that is logged.",
    ),
    Variable(
        name="KASPARRO_CONFIG",
        field="config",
        kind="path",
        otherwise="`kasparro.yaml` in the working directory, where there is one",
        example="kasparro.yaml",
        description="The configuration file. `--config` on the command line wins.",
    ),
    Variable(
        name="KASPARRO_HOME",
        field="home",
        kind="path",
        otherwise="the user's data directory, such as `~/.local/share/kasparro`",
        example="/var/lib/kasparro",
        description="Where the embedded PostgreSQL and temporary files are kept.",
    ),
    Variable(
        name="KASPARRO_PUBLIC_READ",
        field="public_read",
        kind="boolean",
        otherwise="true outside production",
        example="true",
        description="Whether the API answers reads without API_KEY.",
    ),
    Variable(
        name="KASPARRO_HOST",
        field="host",
        kind="text",
        default="127.0.0.1",
        description="Address that the API listens on; 0.0.0.0 is all of them.",
    ),
    Variable(
        name="KASPARRO_PORT",
        field="port",
        kind="whole number",
        default=8000,
        least=0,
        most=65_535,
        description="Port that the API listens on; 0 takes a free one.",
    ),
    Variable(
        name="KASPARRO_PAGE_BYTES",
        field="page_bytes",
        kind="whole number",
        default=2 * 1024 * 1024,
        least=64 * 1024,
        most=256 * 1024 * 1024,
        description="Bytes that one page of a file has at most. Memory grows with it.",
    ),
    Variable(
        name="KASPARRO_CONCURRENCY",
        field="concurrency",
        kind="whole number",
        default=4,
        least=1,
        most=64,
        description="Sources that run at the same time.",
    ),
)

_TRUTH: Mapping[str, bool] = MappingProxyType(
    {
        **dict.fromkeys(("true", "1", "yes", "on"), True),
        **dict.fromkeys(("false", "0", "no", "off"), False),
    }
)


def read_value(variable: Variable, text: str) -> Value:  # noqa: PLR0911 - one return for each kind
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
    return SecretStr(text)
