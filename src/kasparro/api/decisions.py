"""What an operator decides: `/runs/{id}/release` and `/runs/{id}/drop`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kasparro.api.envelope import enveloped
from kasparro.api.openapi import answers
from kasparro.api.parameters import RunId, Truth
from kasparro.api.schema_runs import Run
from kasparro.store.browse import Browser
from kasparro.store.hold_runs import HeldRuns

router = APIRouter(tags=["runs"])

_ANSWERS = answers(Run, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class ReleaseParameters(BaseModel):
    """How rows are released."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accept_deletions: Annotated[bool, Truth] = Field(
        default=False, description="However many rows go: `max_deletions` does not count this time."
    )


class DropParameters(BaseModel):
    """How rows are dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    skip: Annotated[bool, Truth] = Field(
        default=False, description="The next run goes on behind the records, instead of reading them again."
    )


@router.post("/runs/{run_id}/release", responses=_ANSWERS, summary="Put the rows of a held run into the dataset")
async def release(request: Request, run_id: RunId, wanted: Annotated[ReleaseParameters, Query()]) -> Response:
    """Let the rows take effect, all at once, with checkpoint and schema. Return the run; again is a conflict."""
    held: HeldRuns = request.state.held
    await held.release(run_id, _who(request), accept=wanted.accept_deletions)
    return await _decided(request, run_id)


@router.post("/runs/{run_id}/drop", responses=_ANSWERS, summary="Throw the rows of a held run away")
async def drop(request: Request, run_id: RunId, wanted: Annotated[DropParameters, Query()]) -> Response:
    """Throw the rows away; the raw pages stay stored. Return the run; again is a conflict."""
    held: HeldRuns = request.state.held
    await held.drop(run_id, _who(request), skip=wanted.skip)
    return await _decided(request, run_id)


def _who(request: Request) -> str:
    return f"api@{'-' if request.client is None else request.client.host}"


async def _decided(request: Request, run_id: int) -> Response:
    browser: Browser = request.state.browser
    body = await browser.run(run_id)
    return enveloped(request, body[1:-1], {"Cache-Control": "no-store"})
