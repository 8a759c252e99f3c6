"""The only reader of the process's environment and of `.env`: from variables to frozen settings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from platformdirs import user_data_path
from pydantic import SecretStr

from kasparro.config.dotenv_file import Dotenv, read_dotenv
from kasparro.config.mistakes import Mistake, raise_mistakes
from kasparro.config.suggestions import did_you_mean
from kasparro.config.variables import PREFIX, VARIABLES, Value, read_value
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

    @property
    def secrets(self) -> frozenset[str]:
        """The texts that must never be shown, for the Redactor."""
        found = {secret.get_secret_value() for secret in (self.api_key, self.database_url) if secret is not None}
        if self.database_url is not None:
            written = urlsplit(self.database_url.get_secret_value()).password or ""
            found |= {written, unquote(written)}
        return frozenset(found - {""})


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
    for name in sorted({*real, *file.values}):
        if name.startswith(PREFIX) and name not in _NAMES:
            problem = f"unknown variable{_suggested(name)}"
            mistakes.append(Mistake(place=(name,), problem=problem, **_text(name, real, file)[1]))
    raise_mistakes(mistakes, "the environment")
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
    }
    return Settings(**given)
