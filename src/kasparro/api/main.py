"""The HTTP application: `uvicorn kasparro.api.main:app`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import Lifespan

from kasparro.api import data, decisions, docs, health, metrics, problems, queueing, runs, stats
from kasparro.api.exchange import exchange
from kasparro.api.measuring import measured
from kasparro.api.openapi import documented
from kasparro.api.openapi import problems as refusals
from kasparro.api.security import operator_access, read_access
from kasparro.api.settings import ApiSettings
from kasparro.api.tracing import OpenTraces, no_traces, traced
from kasparro.observe.metrics import Meter
from kasparro.store.browse import Browser
from kasparro.store.browse_pulse import Pulse
from kasparro.store.database import Database
from kasparro.store.hold_runs import HeldRuns
from kasparro.store.metrics_scrape import Scraper
from kasparro.store.requests import Requests

_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

OpenDatabase = Callable[[], AbstractAsyncContextManager[Database]]

_UNTOLD: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Spans of the framework would hold queries, its log the texts of exceptions: see `tracing` for ours."""

_DESCRIPTION = "Reads what Kasparro has ingested. Errors are RFC 9457 problems; every answer carries `X-Request-ID`."


def create_app(
    settings: ApiSettings,
    open_database: OpenDatabase,
    *,
    pages: APIRouter | None = None,
    open_traces: OpenTraces | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        settings: Who may do what.
        open_database: Called when the server starts; closed when it stops.
        pages: Routes of pages for people; they are reads, too.
        open_traces: Likewise, for what makes spans of requests.
    """
    meter = Meter()
    app = FastAPI(
        title="Kasparro",
        version=settings.version,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_UNTOLD,
        lifespan=_lifespan(open_database, meter, open_traces or no_traces),
    )
    app.state.settings = settings
    app.add_middleware(exchange)
    app.add_middleware(measured, meter=meter)
    if open_traces is not None:
        app.add_middleware(traced)
    problems.install(app)
    # Reads that are open carry no security in the document, and cost nothing to check.
    guard = [] if settings.public_read else [Depends(read_access)]
    closed = {} if settings.public_read else refusals(*_REFUSALS)
    for router in (data.router, stats.router, runs.router, queueing.router):
        app.include_router(router, responses=closed, dependencies=guard)
    for router in (decisions.router, queueing.asking):
        app.include_router(router, responses=refusals(*_REFUSALS), dependencies=[Depends(operator_access)])
    app.include_router(health.router)
    app.include_router(metrics.router)
    if pages is not None:
        app.include_router(pages, include_in_schema=False, dependencies=guard)
    docs.install(app)
    app.openapi = documented(app)  # type: ignore[method-assign]
    return app


def _lifespan(open_database: OpenDatabase, meter: Meter, open_traces: OpenTraces) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def opened(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with (
            open_traces() as traces,
            open_database() as database,
            Pulse(database) as pulse,
            Scraper(database, meter) as scraper,
        ):
            yield {
                "browser": Browser(database),
                "held": HeldRuns(database),
                "requests": Requests(database),
                "pulse": pulse,
                "scraper": scraper,
                "traces": traces,
            }

    return opened


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language has it
    """Make `app` when a server asks for it: it needs the settings, which an import must not read."""
    if name == "app":
        return _assembled()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _assembled() -> FastAPI:
    # The one import upwards: the promised name of the application is here, what it is made of is known there.
    from kasparro.assembly.serving import api_app  # noqa: PLC0415

    return api_app()
