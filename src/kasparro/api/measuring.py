"""Counts and times every request, by the template of its route: what callers make up is no label."""

import time
from collections.abc import Mapping
from typing import Any

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kasparro.observe.metrics import Meter

UNMATCHED = "unmatched"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def measured(app: ASGIApp, meter: Meter) -> ASGIApp:
    """Wrap the application: outside of all others, so that what they answer themselves counts, too."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        since, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, answer)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            meter.request(_route(scope), method, status, time.perf_counter() - since)

    return wrapped


def _route(scope: Mapping[str, Any]) -> str:
    """Return the template of the route; plain routes and mounts, such as /docs, leave only what they call."""
    path = getattr(scope.get("route"), "path", None)
    if path is None and scope.get("endpoint") is not None:
        routes = scope["app"].routes
        path = next(
            (one.path for one in routes if scope["endpoint"] in {_called(one, "endpoint"), _called(one, "app")}), None
        )
    return path or UNMATCHED


def _called(route: BaseRoute, name: str) -> object:
    return getattr(route, name, None)
