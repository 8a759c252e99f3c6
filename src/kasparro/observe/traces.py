"""Traces by OpenTelemetry, sent to a collector by OTLP over HTTP. Loaded only where a collector is configured.

What becomes of the traces never disturbs what is traced: spans wait in a bounded queue for a thread that sends them.
What the collector does not take is dropped and counted; the log is told when that begins and how much it was.
"""

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer
from opentelemetry.util.re import parse_env_headers

from kasparro.model.events import Emit
from kasparro.model.redact import Redactor
from kasparro.observe.traces_delivery import Delivered, Tally
from kasparro.observe.traces_requests import RequestSpan, request_span
from kasparro.observe.traces_runs import RunTraces
from kasparro.observe.traces_sampling import sampler_of

PATIENCE = 3.0
"""Seconds that the end of a process waits for the last spans to be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where traces go, and which.

    Attributes:
        endpoint: The whole address.
        headers: As OTEL_EXPORTER_OTLP_HEADERS has them; a secret.
        name: Of this service; None takes the one of OTEL_RESOURCE_ATTRIBUTES, or `kasparro`.
        version: Of this service.
        sampler: One of the names that OTEL_TRACES_SAMPLER may have.
        share: For the samplers by ratio, 0 to 1.
    """

    endpoint: str
    headers: str = field(default="", repr=False)
    name: str | None = None
    version: str = "0"
    sampler: str = "parentbased_always_on"
    share: float = 1.0


class Traces:
    """Makes spans and sends them. `close` it; that takes `PATIENCE` at most, and blocks.

    Args:
        collector: Takes them.
        redact: Masks secrets in what spans hold.
    """

    def __init__(self, collector: Collector, redact: Redactor) -> None:
        self._tally = Tally(urlsplit(collector.endpoint).hostname or "")
        self._redact = redact
        headers = parse_env_headers(collector.headers, liberal=True)
        exporter = OTLPSpanExporter(endpoint=collector.endpoint, headers=headers)
        self._provider = TracerProvider(
            sampler=sampler_of(collector.sampler, collector.share),
            resource=_resource(collector),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_Counting(self._tally))
        self._provider.add_span_processor(BatchSpanProcessor(Delivered(exporter, self._tally)))
        self._tally.listen()

    @property
    def tracer(self) -> Tracer:
        """Makes spans."""
        return self._provider.get_tracer("kasparro")

    def listening(self, emit: Emit) -> Emit:
        """Return what takes events, makes spans of them, and passes them on; for the runs of one call."""
        return RunTraces(self.tracer, emit, self._redact)

    def request(self, method: str, caller: Mapping[str, str]) -> AbstractContextManager[RequestSpan]:
        """Make a span of a request to the API; see `request_span`."""
        return request_span(self.tracer, method, caller)

    def close(self) -> None:
        """Send what waits, and say what was dropped."""
        # The library waits half a minute for a collector that hangs. What is not taken by then ends with the process.
        sending = threading.Thread(target=self._provider.shutdown, name="kasparro-traces-end", daemon=True)
        sending.start()
        sending.join(PATIENCE)
        self._tally.say_end()


class _Counting(SpanProcessor):
    """Counts the spans that are to be sent."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def on_end(self, span: ReadableSpan) -> None:
        """Count it."""
        self._tally.ended(span)


def _resource(collector: Collector) -> Resource:
    given = {SERVICE_VERSION: collector.version}
    if collector.name is not None:
        given[SERVICE_NAME] = collector.name
    made = Resource.create(given)
    if str(made.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return made.merge(Resource({SERVICE_NAME: "kasparro"}))
    return made
