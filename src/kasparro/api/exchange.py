"""What is true of every request and every answer: its id, its headers, a sound query, HEAD, and a last resort."""

import re
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kasparro.api.problems import failure, invalid

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:+/=@-]{1,128}")
_PLAIN = re.compile(rb"[A-Za-z0-9._~:=&-]*")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Unless the answer sets them itself, as pages do."""


def exchange(app: ASGIApp) -> ASGIApp:
    """Wrap the application."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _http(app, scope, receive, send)
        else:
            await app(scope, receive, send)

    return wrapped


async def _http(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = _request_id(scope["headers"])
    state = {**scope.get("state", {}), "request_id": request_id, "started": time.perf_counter()}
    head = scope["method"] == "HEAD"
    inner = {**scope, "state": state, "method": "GET" if head else scope["method"]}
    started = False

    async def answer(message: Message) -> None:
        nonlocal started
        if message["type"] == "http.response.start":
            started = True
            _complete(message, request_id)
        elif head:
            message = {**message, "body": b""}
        await send(message)

    faults = _query_faults(scope["query_string"])
    if faults:
        await invalid(inner, faults)(inner, receive, answer)
        return
    try:
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await app(inner, receive, answer)
    except Exception as error:
        if started:
            raise  # too late for an answer: the server logs it and cuts the connection
        await failure(inner, error)(inner, receive, answer)
    finally:
        # For whoever is told of the request outside.
        scope.update({name: inner.get(name) for name in ("route", "endpoint")})


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that the caller gave, if it is harmless, else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return uuid.uuid4().hex


def _complete(message: Message, request_id: str) -> None:
    headers = MutableHeaders(raw=message["headers"])
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


def _query_faults(query: bytes) -> list[dict[str, str]]:
    """Find what would be read wrong without a word: a parameter given twice, bytes that are not UTF-8, a NUL."""
    pairs = [part.partition(b"=")[::2] for part in query.split(b"&") if part]
    if len(pairs) == len(dict(pairs)) and _PLAIN.fullmatch(query):
        return []
    faults = []
    names: Counter[str] = Counter()
    for raw_name, raw_value in pairs:
        name, value = _text(raw_name), _text(raw_value)
        shown = (name or raw_name.decode("ascii", "replace")).replace("\0", "%00")
        names[shown] += 1
        if name is None or value is None:
            faults.append({"in": "query", "name": shown, "detail": "This is not UTF-8."})
        elif "\0" in name + value:
            faults.append({"in": "query", "name": shown, "detail": "A NUL character is not allowed."})
    twice = (name for name, times in names.items() if times > 1)
    return faults + [{"in": "query", "name": name, "detail": "This is given more than once."} for name in twice]


def _text(raw: bytes) -> str | None:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None
