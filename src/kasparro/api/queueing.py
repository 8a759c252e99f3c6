"""Runs that are asked for, and the queue that they wait in: `POST /runs`, `/queue`, `/queue/{id}`, `…/cancel`."""

import json
from collections import Counter
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kasparro.api.envelope import enveloped
from kasparro.api.openapi import answers, problems
from kasparro.api.parameters import RunId, Whole, no_query
from kasparro.api.schema_queue import AskedJob, OneJob, QueuePage, RunRequest
from kasparro.store.requests import Asked, Requests

asking = APIRouter(tags=["runs"])
"""For operators."""

router = APIRouter(tags=["runs"])
"""For readers."""

_MOST_BYTES = 4096
_FRESH = {"Cache-Control": "no-store"}

_LOCATION = {"Location": {"description": "Where the job is.", "schema": {"type": "string"}}}
_ASKED: dict[int | str, dict[str, Any]] = {
    200: {"model": AskedJob, "headers": _LOCATION, "description": "A run of the source waits already; it is that one."},
    202: {"model": AskedJob, "headers": _LOCATION, "description": "The run was put into the queue."},
    **problems(
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
}
_BODY = {"required": True, "content": {"application/json": {"schema": RunRequest.model_json_schema()}}}


class QueueParameters(BaseModel):
    """What may be asked of the queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Whole] = Field(default=100, ge=1, le=100, description="Most entries.")


@asking.post(
    "/runs",
    status_code=202,
    responses=_ASKED,
    openapi_extra={"requestBody": _BODY},
    dependencies=[Depends(no_query)],
    summary="Ask for a run of a source",
)
async def ask(request: Request) -> Response:
    """Put a run into the queue. One run of a source waits at most, so asking again is the same run: safe to repeat."""
    wanted = await _wanted(request)
    requests: Requests = request.state.requests
    asked = await requests.ask(wanted.source, "api", full_refresh=wanted.full_refresh)
    answer = enveloped(request, orjson.dumps(_shown(asked))[1:-1], {**_FRESH, "Location": f"/queue/{asked.queued.id}"})
    answer.status_code = HTTPStatus.ACCEPTED if asked.queued.new else HTTPStatus.OK
    return answer


@asking.post(
    "/queue/{job_id}/cancel",
    responses=answers(OneJob, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    dependencies=[Depends(no_query)],
    summary="Take a run that waits out of the queue",
)
async def cancel(request: Request, job_id: RunId) -> Response:
    """Cancel a run that no worker has begun, and return its job: `dropped`. One that is under way is a conflict."""
    requests: Requests = request.state.requests
    return enveloped(request, orjson.dumps(asdict(await requests.cancel(job_id)))[1:-1], _FRESH)


@router.get("/queue", responses=answers(QueuePage, HTTPStatus.UNPROCESSABLE_ENTITY), summary="Runs that wait")
async def queue(request: Request, wanted: Annotated[QueueParameters, Query()]) -> Response:
    """Return the runs that workers have in hand, then those that wait, in the order in which they are taken."""
    requests: Requests = request.state.requests
    found, more = await requests.listed(wanted.limit)
    pagination = {"limit": wanted.limit, "has_more": more}
    data = orjson.dumps([asdict(one) for one in found])
    return enveloped(request, b'"data":%b,"pagination":%b' % (data, orjson.dumps(pagination)), _FRESH)


@router.get(
    "/queue/{job_id}",
    responses=answers(OneJob, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
    dependencies=[Depends(no_query)],
    summary="What became of a run that was asked for",
)
async def job(request: Request, job_id: RunId) -> Response:
    """Return one job, until a day after it has ended. Its run is at `/runs/{run_id}`."""
    requests: Requests = request.state.requests
    return enveloped(request, orjson.dumps(asdict(await requests.one(job_id)))[1:-1], _FRESH)


async def _wanted(request: Request) -> RunRequest:
    """Read the body: here, behind the check of the key, and no more of it than a request may have."""
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > _MOST_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {_MOST_BYTES} bytes.")
    try:
        wanted = RunRequest.model_validate_json(bytes(received))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from error
    members = Counter(name for name, _ in json.loads(received, object_pairs_hook=list))
    twice = [name for name, times in members.items() if times > 1]  # of which the parser has taken the last
    if twice:
        said = "This is given more than once."
        raise RequestValidationError([{"type": "twice", "loc": ("body", name), "msg": said} for name in twice])
    return wanted


def _shown(asked: Asked) -> dict[str, Any]:
    queued = asked.queued
    return {
        "id": queued.id,
        "source": queued.source,
        "status": queued.status,
        "at": queued.at,
        "new": queued.new,
        "trigger": queued.trigger,
        "requested_by": queued.by,
        "due_at": queued.due,
        "attempts": queued.attempts,
        "workers": asked.workers,
    }
