"""The few things that are done with a span: begin it under another at a given moment, end it, say that it failed."""

from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from kasparro.model.events import Fetched
from kasparro.observe.trace_context import Trace

Attributes = dict[str, str | int | float | bool]

_REFUSED = 400
"""The least HTTP status that is a failure of a request we sent."""


def begun(tracer: Tracer, name: str, parent: Span | None, began: float, attributes: Attributes) -> Span:
    """Return a span that began at a moment, in seconds since 1970; without a parent below the caller's own, if any."""
    return tracer.start_span(name, context=_under(parent), attributes=attributes, start_time=_nanoseconds(began))


def end(span: Span, moment: float) -> None:
    """End a span at a moment, in seconds since 1970."""
    span.end(_nanoseconds(moment))


def failed(span: Span, code: str, message: str = "") -> None:
    """Say that what the span stands for failed, and with which code. The message holds no secret."""
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR, message or None))


def place_of(span: Span) -> Trace:
    """Return where in a trace a span is."""
    context = span.get_span_context()
    return Trace(
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        sampled=context.trace_flags.sampled,
    )


def fetch_span(tracer: Tracer, parent: Span, event: Fetched) -> None:
    """Make the span of one HTTP request: the host is told, the address is not, as it may hold secrets."""
    attributes: Attributes = {
        "http.request.method": event.method,
        "server.address": event.host,
        "kasparro.source": event.source,
        "kasparro.bytes": event.bytes_read,
    }
    if event.status:
        attributes["http.response.status_code"] = event.status
    span = tracer.start_span(
        "fetch",
        context=_under(parent),
        kind=SpanKind.CLIENT,
        attributes=attributes,
        start_time=_nanoseconds(event.began),
    )
    if not event.status or event.status >= _REFUSED:
        failed(span, str(event.status) if event.status else "unreachable")
    end(span, event.began + event.seconds)


def _under(parent: Span | None) -> Context | None:
    return None if parent is None else set_span_in_context(parent, Context())


def _nanoseconds(moment: float) -> int:
    return int(moment * 1_000_000_000)
