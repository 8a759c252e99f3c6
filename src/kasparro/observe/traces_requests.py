"""The span of one request to the API, part of the caller's trace where it sends one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kasparro.observe.trace_context import enter_trace, leave_trace
from kasparro.observe.traces_spans import failed, place_of

_SERVER_ERROR = 500

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestSpan:
    """What is learned of a request while it is answered.

    Attributes:
        status: Of the answer; None until it begins.
        route: Template of the address, such as `/data/{dataset}`; None where there is none.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.route: str | None = None

    def answered(self, status: int) -> None:
        """The answer begins."""
        self.status = status


@contextmanager
def request_span(tracer: Tracer, method: str, caller: Mapping[str, str]) -> Iterator[RequestSpan]:
    """Make a span of the block; the task belongs to its trace meanwhile.

    Args:
        tracer: Makes it.
        method: Of the request.
        caller: Its headers `traceparent` and `tracestate`; what is malformed counts as absent.
    """
    known = method if method in _METHODS else "_OTHER"
    parent = TraceContextTextMapPropagator().extract(caller, context=Context())
    attributes = {"http.request.method": known}
    span = tracer.start_span(known, context=parent, kind=SpanKind.SERVER, attributes=attributes)
    token = enter_trace(place_of(span))
    seen = RequestSpan()
    try:
        yield seen
    except BaseException as error:
        failed(span, type(error).__name__)
        raise
    finally:
        if seen.route is not None:
            span.update_name(f"{known} {seen.route}")
            span.set_attribute("http.route", seen.route)
        if seen.status is not None:
            span.set_attribute("http.response.status_code", seen.status)
            if seen.status >= _SERVER_ERROR:
                failed(span, str(seen.status))
        span.end()
        leave_trace(token)
