"""What became of spans is counted, and told when it changes."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from kasparro.observe.traces_delivery import Delivered, Tally


class Collector(SpanExporter):
    """Takes spans, or not."""

    def __init__(self) -> None:
        self.takes = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        assert spans
        return SpanExportResult.SUCCESS if self.takes else SpanExportResult.FAILURE


def spans(tally: Tally, count: int) -> list[ReadableSpan]:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    made: list[ReadableSpan] = []
    for _ in range(count):
        span = tracer.start_span("run")
        span.end()
        assert isinstance(span, ReadableSpan)
        tally.ended(span)
        made.append(span)
    return made


def test_losses_are_told_when_they_begin_when_they_end_and_at_the_end() -> None:
    tally, collector = Tally("c"), Collector()
    delivered = Delivered(collector, tally)
    tally.listen()
    with capture_logs() as said:
        delivered.export(spans(tally, 3))
        collector.takes = False
        for _ in range(4):
            delivered.export(spans(tally, 2))
        collector.takes = True
        delivered.export(spans(tally, 5))
        tally.say_end()
    assert [one["event"] for one in said] == [
        "the collector takes no traces; they are dropped",
        "the collector takes traces again",
        "traces were dropped",
    ]
    assert (said[-1]["spans"], said[-1]["of"], tally.dropped) == (8, 16, 8)


def test_spans_that_never_reached_the_collector_count_as_dropped() -> None:
    tally = Tally("c")
    spans(tally, 7)  # a full queue throws them away before they are sent
    with capture_logs() as said:
        tally.say_end()
    assert [(one["event"], one["spans"], one["log_level"]) for one in said] == [("traces were dropped", 7, "warning")]


def test_nothing_is_said_where_all_was_taken() -> None:
    tally = Tally("c")
    with capture_logs() as said:
        Delivered(Collector(), tally).export(spans(tally, 3))
        tally.say_end()
    assert said == []
