"""`/metrics`, for Prometheus: the same from every process of every host."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from kasparro.api.openapi import problems
from kasparro.api.security import operator_access
from kasparro.api.settings import ApiSettings
from kasparro.model.metrics import BUILD_INFO
from kasparro.observe.metrics import Series, Tally
from kasparro.observe.metrics_text import OPEN, PLAIN, metrics_text
from kasparro.store.metrics_scrape import Scraper

router = APIRouter(tags=["health"], dependencies=[Depends(operator_access)])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Metrics as text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN),
    },
    summary="Metrics for Prometheus",
)
async def metrics(request: Request) -> Response:
    """Return all metrics, as OpenMetrics where that is accepted. They are the same from every process that serves.

    When the database does not answer, `kasparro_database_up` is 0 and the rest is as it was last read.
    """
    scraper: Scraper = request.state.scraper
    settings: ApiSettings = request.app.state.settings
    built = {Series(BUILD_INFO.name, (settings.version,)): Tally(1.0)}
    openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
    readings = {**await scraper.scrape(), **built}
    # In a thread: with hundreds of sources it takes some 50 ms, in which others are to be answered.
    text = await asyncio.to_thread(metrics_text, readings, openmetrics=openmetrics)
    headers = {"Cache-Control": "no-store", "Vary": "Accept", "Content-Type": OPEN if openmetrics else PLAIN}
    return Response(text, headers=headers)
