"""Numbers about runs: `/stats`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kasparro.api.envelope import enveloped
from kasparro.api.openapi import answers
from kasparro.api.parameters import Whole
from kasparro.api.schema import Stats
from kasparro.store.browse import Browser

router = APIRouter(tags=["runs"])


class StatsParameters(BaseModel):
    """What may be asked of the numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Whole] = Field(default=5, ge=1, le=100, description="Most runs of `recent_runs`.")


@router.get("/stats", responses=answers(Stats, HTTPStatus.UNPROCESSABLE_ENTITY), summary="Totals and latest runs")
async def stats(request: Request, wanted: Annotated[StatsParameters, Query()]) -> Response:
    """Return totals over all finished runs, the latest runs, and each source. As fast for any length of history."""
    browser: Browser = request.state.browser
    body = await browser.stats(wanted.limit)
    return enveloped(request, body[1:-1], {"Cache-Control": "no-cache"})
