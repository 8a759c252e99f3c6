"""The HTTP application with its database and its pages."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from ipaddress import ip_address

from fastapi import FastAPI

from kasparro.api.main import create_app
from kasparro.api.settings import ApiSettings
from kasparro.assembly.storage import open_store
from kasparro.config import Settings, check_serving, load_settings
from kasparro.dashboard.page import pages
from kasparro.model.redact import Redactor
from kasparro.observe.logs import configure_logs
from kasparro.store.database import Database
from kasparro.version import __version__


def api_app() -> FastAPI:
    """Return the application for `uvicorn kasparro.api.main:app`: it opens the database that the settings name."""
    settings = load_settings()
    level = "debug" if settings.debug else settings.log_level
    configure_logs(level=level, production=settings.environment == "production", redact=Redactor(settings.secrets))
    # The server was started by someone else, so what it listens on is not known: loopback is not assumed.
    return _app(settings, lambda: open_store(settings, only_reads=True), loopback=False)


def app_on(database: Database, settings: Settings, host: str) -> FastAPI:
    """Return the application on a database that is open already, for a server that listens on `host`."""
    return _app(settings, lambda: nullcontext(database), loopback=_is_loopback(host))


def _app(
    settings: Settings, open_database: Callable[[], AbstractAsyncContextManager[Database]], *, loopback: bool
) -> FastAPI:
    check_serving(settings)
    api = ApiSettings(
        api_key=settings.api_key,
        public_read=settings.public_read,
        production=settings.environment == "production",
        loopback=loopback,
        version=__version__,
    )
    return create_app(api, open_database, pages=pages())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
