"""The HTTP application with its database and its pages."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from ipaddress import ip_address
from typing import TYPE_CHECKING

from fastapi import FastAPI

from kasparro.api.main import create_app
from kasparro.api.settings import ApiSettings
from kasparro.api.tracing import OpenTraces
from kasparro.assembly.lateness import watched
from kasparro.assembly.storage import open_store
from kasparro.assembly.tracing import check_tracing, open_traces
from kasparro.config import Settings, check_serving, load_settings
from kasparro.dashboard.page import pages
from kasparro.model.redact import Redactor
from kasparro.observe.logs import configure_logs
from kasparro.store.database import Database
from kasparro.version import __version__

if TYPE_CHECKING:
    from kasparro.observe.traces import Traces


def api_app() -> FastAPI:
    """Return the application for `uvicorn kasparro.api.main:app`: it opens the database that the settings name."""
    settings = load_settings()
    level = "debug" if settings.debug else settings.log_level
    configure_logs(level=level, production=settings.environment == "production", redact=Redactor(settings.secrets))
    # The server was started by someone else, so what it listens on is not known: loopback is not assumed.
    check_tracing(settings)
    traces = None if settings.collector is None else lambda: open_traces(settings)
    return _app(settings, lambda: open_store(settings, only_reads=True), traces, loopback=False)


def app_on(database: Database, settings: Settings, host: str, traces: "Traces | None" = None) -> FastAPI:
    """Return the application on a database that is open already, for a server that listens on `host`."""
    made = None if traces is None else lambda: nullcontext(traces)
    return _app(settings, lambda: nullcontext(database), made, loopback=_is_loopback(host))


def _app(
    settings: Settings,
    open_database: Callable[[], AbstractAsyncContextManager[Database]],
    traces: OpenTraces | None,
    *,
    loopback: bool,
) -> FastAPI:
    check_serving(settings)
    api = ApiSettings(
        api_key=settings.api_key,
        public_read=settings.public_read,
        production=settings.environment == "production",
        loopback=loopback,
        version=__version__,
    )
    return create_app(api, watched(open_database), pages=pages(), open_traces=traces)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
