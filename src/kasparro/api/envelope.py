"""The JSON around what PostgreSQL wrote: bytes are joined, nothing is read or written twice."""

import time
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

_JSON = "application/json"


def enveloped(request: Request, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer: the members in `body`, behind the request's id and the time it took.

    Args:
        request: What is answered.
        body: Members of a JSON object, without its braces.
        headers: More headers.
    """
    state: Mapping[str, Any] = request.scope["state"]
    milliseconds = (time.perf_counter() - state["started"]) * 1000
    # The id has only characters that JSON leaves as they are.
    head = f'{{"request_id":"{state["request_id"]}","api_latency_ms":{milliseconds:.3f},'.encode()
    return Response(b"".join((head, body, b"}")), headers=headers, media_type=_JSON)


def json(body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a small answer."""
    return Response(orjson.dumps(body), status, headers=headers, media_type=_JSON)
