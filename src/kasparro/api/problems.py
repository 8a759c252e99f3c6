"""Errors as RFC 9457 problem documents, and the one table from our errors to HTTP statuses.

What a caller did wrong is told to the caller. What went wrong on our side is told to the log, under the request's id:
messages for the operator name hosts, files and tables that are nobody else's business.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kasparro.errors import (
    Broken,
    Conflict,
    Denied,
    KasparroError,
    Misconfigured,
    NotFound,
    Stopped,
    Transient,
)
from kasparro.observe.trace_context import current_trace

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5
"""Seconds after which one who met a busy database may try again."""

STATUS: Mapping[type[KasparroError], HTTPStatus] = {
    KasparroError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Misconfigured: HTTPStatus.INTERNAL_SERVER_ERROR,
    Transient: HTTPStatus.SERVICE_UNAVAILABLE,
    Broken: HTTPStatus.INTERNAL_SERVER_ERROR,
    Denied: HTTPStatus.UNAUTHORIZED,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Stopped: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The nearest class of an error decides."""

_DETAIL = {
    HTTPStatus.SERVICE_UNAVAILABLE: "The database is not available or too busy at the moment. Try again later.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server failed at this request. Its log says why, under this request id.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address. What there is: /docs",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method; the header Allow lists those it takes.",
}
_CODE = {
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_request",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_entity_too_large",  # its phrase differs between versions of Python
}

_log = structlog.get_logger("kasparro.api")


def status_of(error: KasparroError) -> HTTPStatus:
    """Return the HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(
    scope: Mapping[str, Any],
    status: HTTPStatus,
    *,
    detail: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer to a request that failed.

    Args:
        scope: ASGI scope of the request.
        status: The HTTP status; its phrase is the title.
        detail: One sentence for the caller.
        code: Stable slug of what happened.
        headers: More headers.
    """
    return _answer(status, _document(scope, status, detail, code), headers)


def invalid(scope: Mapping[str, Any], faults: Sequence[Mapping[str, str]]) -> Response:
    """Return the answer to a request with parameters that do not fit: `in`, `name` and `detail` of each."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    detail = " ".join(f"{fault['name']}: {fault['detail']}" for fault in faults)
    return _answer(status, {**_document(scope, status, detail, None), "errors": list(faults)}, None)


def _document(scope: Mapping[str, Any], status: HTTPStatus, detail: str | None, code: str | None) -> dict[str, Any]:
    trace = current_trace()
    code = code or _CODE.get(status) or re.sub(r"\W+", "_", status.phrase.lower())
    return {
        "type": f"urn:kasparro:problem:{code}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail or _DETAIL.get(status) or f"{status.phrase}.",
        "instance": quote(scope["path"], safe="/-._~!$&'()*+,;=:@", errors="replace"),
        "code": code,
        "request_id": scope["state"]["request_id"],
        **({} if trace is None else {"trace_id": trace.trace_id}),
    }


def _answer(status: HTTPStatus, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> Response:
    retry = {"Retry-After": str(RETRY_AFTER)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    given = {**retry, "Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(body), status.value, headers=given, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""
    app.add_exception_handler(KasparroError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


def failure(scope: Mapping[str, Any], error: Exception) -> Response:
    """Log an error nobody foresaw, with its traceback, and return the answer, without it."""
    _log.error("request failed", path=scope["path"], request_id=scope["state"]["request_id"], exc_info=error)
    return problem(scope, HTTPStatus.INTERNAL_SERVER_ERROR)


async def _ours(request: Request, error: Exception) -> Response:
    if not isinstance(error, KasparroError):  # registered for this class alone
        raise AssertionError  # noqa: TRY004 - not a caller's mistake
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        request_id = request.scope["state"]["request_id"]
        _log.error(
            "request failed", path=request.scope["path"], request_id=request_id, code=error.code, error=str(error)
        )
        return problem(request.scope, status, code=error.code)
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return problem(request.scope, status, detail=str(error), code=error.code, headers=headers)


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):  # registered for this class alone
        raise AssertionError  # noqa: TRY004 - not a caller's mistake
    status = HTTPStatus(error.status_code)
    detail = None if error.detail == status.phrase else error.detail
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = _allowed(request, headers["Allow"])
    return problem(request.scope, status, detail=detail, headers=headers)


def _allowed(request: Request, of_route: str) -> str:
    """Return the methods that an address takes: those of all its routes, and HEAD, as no GET needs a body."""
    path = getattr(request.scope.get("route"), "path", "")
    documented = (method.upper() for method in request.app.openapi()["paths"].get(path, ()))
    methods = {*of_route.split(", "), *documented}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):  # registered for this class alone
        raise AssertionError  # noqa: TRY004 - not a caller's mistake
    faults = [_fault(request, one) for one in error.errors()]
    return invalid(request.scope, faults)


def _fault(request: Request, error: Mapping[str, Any]) -> dict[str, str]:
    place, *path = (str(step) for step in error["loc"])
    name = ".".join(path) or place
    detail = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        detail = unknown(name, known_members(request) if place == "body" else known_parameters(request))
    return {"in": place, "name": name, "detail": detail if detail.endswith((".", "?")) else f"{detail}."}


def unknown(name: str, known: Sequence[str]) -> str:
    """Return the sentence for a parameter that does not exist."""
    if not known:
        return "There is no such parameter: this address takes none in its query."
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    return f"There is no such parameter. {hint}"


def known_members(request: Request) -> list[str]:
    """Return the members of the body that the route takes, likewise."""
    path = getattr(request.scope.get("route"), "path", "")
    operation = request.app.openapi()["paths"].get(path, {}).get(request.method.lower(), {})
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return list(content.get("schema", {}).get("properties", ()))


def known_parameters(request: Request) -> list[str]:
    """Return the query parameters of the route that was asked, as its documentation lists them."""
    path = getattr(request.scope.get("route"), "path", "")
    operation = request.app.openapi()["paths"].get(path, {}).get(request.method.lower(), {})
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
