"""What `kasparro doctor` thinks of settings and configuration."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from kasparro.config import Config, Settings
from kasparro.errors import Misconfigured
from kasparro.model.diagnosis import Area, Diagnosis, ok, problem, warning

_SHORT = 16
"""Characters of an API_KEY below which it is said to be short."""

_LONG_TEXT = "Set API_KEY to a long random text, such as that of: openssl rand -hex 24"


def of_mistakes(area: Area, error: Misconfigured) -> Iterator[Diagnosis]:
    """Return a line for each mistake; they name file, line and place."""
    mistakes: list[dict[str, Any]] = error.facts.get("mistakes") or []
    if not mistakes:
        yield problem(area, area, str(error), "Correct it; `kasparro check` looks again.")
    for one in mistakes:
        yield problem(area, one["path"] or area, one["problem"], _where(one["file"], one["line"]))


def _where(file: str | None, line: int | None) -> str:
    """Return where a mistake is corrected."""
    if file is None:
        return "Correct the variable."
    return f"See to {file}; `kasparro check` looks again." if line is None else f"Correct {file}, line {line}."


def of_config(config: Config | None) -> Iterator[Diagnosis]:
    """Return what is said of a configuration that is sound, or of none."""
    if config is None:
        remedy = "Write one with: kasparro init. Files and URLs can be run without."
        yield warning("configuration", "file", "there is no kasparro.yaml here", remedy)
        return
    count = len(config.sources)
    yield ok("configuration", "file", f"{config.path} is sound; sources: {count}")
    for note in config.notes:
        yield ok("configuration", "note", note)


def of_api(settings: Settings) -> Iterator[Diagnosis]:
    """Return what is said of who may use the API."""
    found = [*_access(settings)]
    if settings.environment == "production" and settings.public_read:
        says = "KASPARRO_PUBLIC_READ is true: anybody who reaches the API can read all rows"
        found.append(warning("API", "reads", says, "Set KASPARRO_PUBLIC_READ=false, unless the data is public."))
    if settings.environment == "production" and settings.debug:
        says = "DEBUG is on: every statement of SQL is logged"
        found.append(warning("API", "debug", says, "Set DEBUG=false in production."))
    yield from found or [ok("API", "access", f"settings fit {settings.environment}")]


def _access(settings: Settings) -> Iterator[Diagnosis]:
    if settings.api_key is None:
        if settings.environment == "production":
            yield problem("API", "access", "ENVIRONMENT=production and no API_KEY: it does not start", _LONG_TEXT)
        elif not _is_loopback(settings.host):
            says = f"listens on {settings.host} without API_KEY: reads are open to others, writes to nobody"
            yield warning("API", "access", says, _LONG_TEXT)
    elif len(settings.api_key.get_secret_value()) < _SHORT:
        yield warning("API", "access", f"API_KEY has fewer than {_SHORT} characters and can be guessed", _LONG_TEXT)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
