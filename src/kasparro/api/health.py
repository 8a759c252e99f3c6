"""Is it well? `/health` for people and monitors, `/livez` and `/readyz` for what restarts and routes."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from kasparro.api.envelope import json
from kasparro.api.openapi import answers, problems
from kasparro.api.problems import RETRY_AFTER, problem
from kasparro.api.schema import Alive, Health, Ready
from kasparro.api.security import may_read
from kasparro.store.browse_pulse import Beat, Pulse

router = APIRouter(tags=["health"])

_FRESH = {"Cache-Control": "no-store"}


@router.get(
    "/health",
    responses={
        **answers(Health),
        503: {"model": Health, "description": "The database is down, or not as this version needs it."},
    },
    summary="Whether all is well",
)
async def health(request: Request) -> Response:
    """Return `ok`, `degraded`, or, with status 503, `down`.

    `degraded`: the last run of some source failed, a source is late, or a host failed so often that it is left
    alone for a while. A parked source is well: it waits until a rate limit resets.

    Answers within two seconds, whatever the database does, and without a key; then it names no source.
    """
    pulse: Pulse = request.state.pulse
    beat = await pulse.take()
    runs: dict[str, Any] = {"last_run": None, "sources": None, "late": None, "parked": None, "hosts": None}
    if beat.runs is not None and may_read(request):
        runs = orjson.loads(beat.runs)
    latency = None if beat.latency is None else round(beat.latency * 1000, 3)
    body = {"status": _status(beat), "database": {"connected": beat.connected, "latency_ms": latency}, **runs}
    if beat.migrated:
        return json(body, headers=_FRESH)
    return json(body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={**_FRESH, "Retry-After": str(RETRY_AFTER)})


@router.get("/livez", responses={200: {"model": Alive}}, summary="Whether the process lives")
async def livez() -> Response:
    """Return 200 as long as the process answers, whatever the database does."""
    return json({"status": "ok"}, headers=_FRESH)


@router.get(
    "/readyz",
    responses={200: {"model": Ready}, **problems(HTTPStatus.SERVICE_UNAVAILABLE)},
    summary="Whether requests can be served",
)
async def readyz(request: Request) -> Response:
    """Return 200 when the database is reachable and has a schema that this version can work with."""
    pulse: Pulse = request.state.pulse
    beat = await pulse.take()
    match beat:
        case Beat(migrated=True):
            return json({"status": "ready"}, headers=_FRESH)
        case Beat(connected=True):
            detail = (
                "The database does not have the schema that this version needs. "
                "Run: kasparro migrate, or install a newer version."
            )
        case _:
            detail = "The database does not answer."
    return problem(request.scope, HTTPStatus.SERVICE_UNAVAILABLE, detail=detail, code="not_ready")


def _status(beat: Beat) -> str:
    if not beat.migrated:
        return "down"
    return "degraded" if beat.failing else "ok"
