"""The only reader of the process's environment and of `.env`: from variables to frozen settings."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from platformdirs import user_data_path
from pydantic import SecretStr

from kasparro.config.dotenv_file import Dotenv, read_dotenv
from kasparro.config.mistakes import Mistake, raise_mistakes
from kasparro.config.suggestions import did_you_mean
from kasparro.config.variable_values import after_userinfo, read_value
from kasparro.config.variables import PREFIX, VARIABLES, Value
from kasparro.errors import Misconfigured

DOTENV = Path(".env")

_NAMES = tuple(variable.name for variable in VARIABLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this process works; see `VARIABLES` for the meaning of each.

    Attributes:
        database_url: None starts the embedded PostgreSQL.
        config: The configuration file that was named; None when none was.
        log_level: In lower case.
        home: Absolute; need not exist yet.
    """

    database_url: SecretStr | None
    api_key: SecretStr | None
    batch_size: int
    checkpoint_interval: int
    environment: Literal["development", "production"]
    debug: bool
    log_level: Literal["debug", "info", "warning", "error", "critical"]
    config: Path | None
    home: Path
    public_read: bool
    host: str
    port: int
    page_bytes: int
    concurrency: int
    lease: int
    instance: str
    otlp_endpoint: str | None = field(repr=False)
    otlp_traces_endpoint: str | None = field(repr=False)
    otlp_headers: SecretStr | None
    otlp_protocol: Literal["http/protobuf"]
    otel_service_name: str | None
    otel_sampler: str
    otel_share: float
    otel_disabled: bool

    @property
    def collector(self) -> str | None:
        """The whole address that traces are sent to; None where there are to be none."""
        if self.otel_disabled:
            return None
        if self.otlp_traces_endpoint is not None or self.otlp_endpoint is None:
            return self.otlp_traces_endpoint
        return f"{self.otlp_endpoint.rstrip('/')}/v1/traces"

    @property
    def secrets(self) -> frozenset[str]:
        """The texts that must never be shown, for the Redactor."""
        found = {secret.get_secret_value() for secret in (self.api_key, self.database_url) if secret is not None}
        if self.database_url is not None:
            written = _password(self.database_url.get_secret_value())
            found |= {written, unquote(written)}
        return frozenset((found | _of_collector(self)) - {""})


def load_settings(environ: Mapping[str, str] | None = None, dotenv: Path | None = DOTENV) -> Settings:
    """Read the settings.

    Args:
        environ: The environment; that of the process when None.
        dotenv: File of `NAME=value` lines that hold where the environment has nothing; it need not exist.

    Raises:
        Misconfigured: with every mistake; secrets are not shown.
    """
    real = os.environ if environ is None else environ
    file = read_dotenv(dotenv, real)
    mistakes = list(file.mistakes)
    values: dict[str, Value] = {}
    for variable in VARIABLES:
        text, place = _text(variable.name, real, file)
        try:
            values[variable.field] = read_value(variable, text) if text else variable.default
        except ValueError as error:
            mistakes.append(Mistake(place=(variable.name,), problem=str(error), **place))
            values[variable.field] = variable.default
    for name in sorted({*real, *file.values}):
        if name.startswith(PREFIX) and name not in _NAMES:
            problem = f"unknown variable{_suggested(name)}"
            mistakes.append(Mistake(place=(name,), problem=problem, **_text(name, real, file)[1]))
    raise_mistakes([one for one in mistakes if _counts(one, values)], "the environment")
    return _settings(values)


def read_environment(environ: Mapping[str, str] | None = None, dotenv: Path | None = DOTENV) -> Mapping[str, str]:
    """Return the environment, with what only `.env` has. Raises Misconfigured where `.env` cannot be read."""
    real = os.environ if environ is None else environ
    file = read_dotenv(dotenv, real)
    raise_mistakes(file.mistakes, "the environment")
    return MappingProxyType({**file.values, **real})


def check_serving(settings: Settings) -> None:
    """Raise Misconfigured where the API must not start: in production without API_KEY."""
    if settings.environment == "production" and settings.api_key is None:
        remedy = "set API_KEY to a long random text"
        raise Misconfigured(f"API_KEY: is not set, and with ENVIRONMENT=production the API needs one; {remedy}")


def _counts(mistake: Mistake, values: Mapping[str, Value]) -> bool:
    """What OTEL_* says may be meant for other programs: without a collector it is nothing to us."""
    name = str(mistake.place[0]) if mistake.place else ""
    traces = values["otlp_endpoint"] is not None or values["otlp_traces_endpoint"] is not None
    return traces or not name.startswith("OTEL_") or name.endswith("_ENDPOINT")


def _password(database_url: str) -> str:
    """Return the password as it is written. Not by `urlsplit`, which knows no `[`, `?` and `#` in passwords."""
    userinfo = database_url.partition("://")[2].removesuffix(after_userinfo(database_url)).removesuffix("@")
    return userinfo.partition(":")[2]


def _of_collector(settings: Settings) -> set[str]:
    """Return the secrets that the collector of traces is sent: values of headers, and the password of its address."""
    found: set[str] = set()
    if settings.otlp_headers is not None:
        written = [pair.partition("=")[2].strip() for pair in settings.otlp_headers.get_secret_value().split(",")]
        found |= {*written, *map(unquote, written)}
    for address in (settings.otlp_endpoint, settings.otlp_traces_endpoint):
        password = urlsplit(address or "").password or ""
        found |= {password, unquote(password)}
    return found


def _suggested(name: str) -> str:
    """Return the guess for an unknown name; the prefix that all share would make all of them alike."""
    ours = (known.removeprefix(PREFIX) for known in _NAMES if known.startswith(PREFIX))
    return did_you_mean(name.removeprefix(PREFIX), ours).replace('"', f'"{PREFIX}', 1)


def _text(name: str, real: Mapping[str, str], file: Dotenv) -> tuple[str, dict[str, Any]]:
    """Return what a variable is set to, empty where it is not, and where that stands."""
    if name in real or name not in file.values:
        return real.get(name, "").strip(), {}
    return file.values[name].strip(), {"file": file.file, "line": file.lines[name]}


def _settings(values: Mapping[str, Any]) -> Settings:
    """Fill in the defaults that depend on something."""
    home = values["home"]
    public = values["public_read"]
    given = {
        **values,
        "home": user_data_path("kasparro", appauthor=False).absolute() if home is None else home,
        "public_read": values["environment"] != "production" if public is None else public,
        "instance": values["instance"] or socket.gethostname(),
    }
    return Settings(**given)
