"""A span for each request. Only installed where there are traces."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from kasparro.observe.traces import Traces

OpenTraces = Callable[[], "AbstractAsyncContextManager[Traces | None]"]

QUIET = frozenset({"/livez", "/readyz", "/health", "/metrics"})
"""Asked every few seconds by machines: spans of these would hide all others."""


def no_traces() -> "AbstractAsyncContextManager[Traces | None]":
    """Open nothing."""
    return nullcontext()


def traced(app: ASGIApp) -> ASGIApp:
    """Wrap the application, `exchange` included: that answers what went wrong inside of it.

    The traces are in the state of the lifespan, as `traces`; the route is left in the scope by `exchange`.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        traces: Traces | None = scope["state"].get("traces") if scope["type"] == "http" else None
        if traces is None or scope["path"] in QUIET:
            await app(scope, receive, send)
            return
        with traces.request(scope["method"], _propagated(scope["headers"])) as span:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.answered(message["status"])
                await send(message)

            try:
                await app(scope, receive, answer)
            finally:
                span.route = getattr(scope.get("route"), "path", None)

    return wrapped


def _propagated(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what the caller says of its own trace."""
    return {
        name.decode("ascii"): value.decode("latin-1")
        for name, value in headers
        if name in {b"traceparent", b"tracestate"}
    }
