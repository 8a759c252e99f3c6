"""Spans of runs from what is told of them, in the orders in which that may come."""

from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kasparro.model.events import (
    Event,
    Fetched,
    PageCommitted,
    PageRead,
    PagesShaped,
    Retrying,
    RunFinished,
    RunStarted,
    SliceClosed,
    Throttled,
)
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts, RunResult, RunStatus
from kasparro.observe.trace_context import Trace, current_trace, enter_trace, leave_trace
from kasparro.observe.traces_runs import RunTraces

BEGAN = 1_700_000_000.0


class Told:
    """Spans by name, and in which trace each event was passed on."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.within: list[tuple[str, bool]] = []
        self.tell = RunTraces(provider.get_tracer("test"), self._emit, Redactor(["hunter2"]))

    def _emit(self, event: Event) -> None:
        self.within.append((type(event).__name__, current_trace() is not None))

    def named(self, name: str) -> list[ReadableSpan]:
        return [one for one in self.exporter.get_finished_spans() if one.name == name]

    def names_below(self, parent: ReadableSpan) -> list[str]:
        spans = self.exporter.get_finished_spans()
        assert parent.context is not None
        return sorted(one.name for one in spans if one.parent and one.parent.span_id == parent.context.span_id)


@pytest.fixture
def told() -> Iterator[Told]:
    yield Told()
    assert current_trace() is None, "the trace was not left"


def started(began: float = BEGAN) -> RunStarted:
    return RunStarted(source="coins", run_id=7, slices=1, resumed=False, began=began)


def read(at: float, records: int = 10) -> PageRead:
    return PageRead(
        source="coins", run_id=7, slice_name="all", records=records, bytes_read=100, began=BEGAN + at, seconds=0.5
    )


def shaped(at: float, first: int, pages: int = 1) -> PagesShaped:
    return PagesShaped(
        source="coins",
        run_id=7,
        slice_name="all",
        pages=pages,
        records=10 * pages,
        began=BEGAN + at,
        seconds=0.5,
        first=first,
    )


def committed(at: float, pages: int = 1) -> PageCommitted:
    return PageCommitted(
        source="coins",
        run_id=7,
        slice_name="all",
        counts=Counts(extracted=10 * pages, inserted=10 * pages),
        bytes_read=100 * pages,
        done=None,
        pages=pages,
        began=BEGAN + at,
        seconds=0.5,
    )


def finished(status: RunStatus = "success", run_id: int | None = 7, code: str | None = None) -> RunFinished:
    error = None if code is None else "it was hunter2"
    return RunFinished(
        result=RunResult(
            source="coins", status=status, counts=Counts(), duration=3.0, run_id=run_id, error=error, error_code=code
        )
    )


def fetched(at: float, status: int = 200) -> Fetched:
    return Fetched(source="coins", host="h", method="GET", status=status, bytes_read=5, began=BEGAN + at, seconds=0.25)


CLOSED = SliceClosed(source="coins", run_id=7, slice_name="all")


def test_batches_that_are_shaped_in_another_order_keep_their_pages(told: Told) -> None:
    for event in (
        started(),
        read(0),
        read(1),
        read(2),
        shaped(4, first=2),
        shaped(3, first=0, pages=2),
        committed(5, pages=2),
        committed(6),
        CLOSED,
        finished(),
    ):
        told.tell(event)
    first, second = told.named("page")
    assert told.names_below(first) == ["commit", "read", "read", "shape"]
    assert told.names_below(second) == ["commit", "read", "shape"]
    assert (first.start_time, first.end_time) == (int(BEGAN * 1e9), int((BEGAN + 5.5) * 1e9))
    assert second.start_time == int((BEGAN + 2) * 1e9)
    shapes = {one.start_time: one.parent.span_id for one in told.named("shape") if one.parent is not None}
    assert first.context is not None
    assert shapes[int((BEGAN + 3) * 1e9)] == first.context.span_id
    assert told.within == [(name, True) for name, _ in told.within]


def test_a_request_belongs_to_the_page_that_it_brought_and_one_before_the_start_to_the_run(told: Told) -> None:
    with structlog.contextvars.bound_contextvars(run_id=7):
        told.tell(fetched(-1))
        told.tell(started())
        with structlog.contextvars.bound_contextvars(slice="all"):
            told.tell(fetched(0))
            told.tell(read(0.1))
            told.tell(fetched(1, status=304))
        told.tell(shaped(1, first=0))
        told.tell(committed(2))
        told.tell(CLOSED)
    told.tell(finished())
    (run,), (part,), (page,) = told.named("run"), told.named("slice"), told.named("page")
    assert told.names_below(page) == ["commit", "fetch", "read", "shape"]
    assert told.names_below(part) == ["fetch", "page"]
    assert told.names_below(run) == ["fetch", "slice"]
    assert (run.start_time, page.start_time) == (int((BEGAN - 1) * 1e9), int(BEGAN * 1e9))


def test_what_is_open_when_a_run_fails_is_ended_with_its_error(told: Told) -> None:
    for event in (started(), read(0), read(1), shaped(1, first=0), finished("failed", code="unreachable")):
        told.tell(event)
    (run,), (part,) = told.named("run"), told.named("slice")
    assert [one.attributes["error.type"] for one in (run, part) if one.attributes] == ["unreachable"] * 2
    assert run.status.description == "it was ****"
    assert [told.names_below(page) for page in told.named("page")] == [["read", "shape"], ["read"]]
    assert [page.status.is_ok for page in told.named("page")] == [False, False]


def test_a_run_that_was_stopped_did_not_fail(told: Told) -> None:
    for event in (started(), read(0), finished("stopped", code="stopped")):
        told.tell(event)
    (run,), (part,) = told.named("run"), told.named("slice")
    assert run.status.is_ok
    assert part.status.is_ok
    assert run.attributes is not None
    assert run.attributes["kasparro.status"] == "stopped"


def test_a_run_that_could_not_begin_is_a_span_too(told: Told) -> None:
    told.tell(finished("failed", run_id=None, code="conflict"))
    (run,) = told.named("run")
    assert run.start_time is not None
    assert run.end_time is not None
    assert run.end_time - run.start_time >= 2.9e9
    assert told.within == [("RunFinished", True)]


def test_repeated_attempts_are_events_of_the_run(told: Told) -> None:
    told.tell(started())
    with structlog.contextvars.bound_contextvars(run_id=7):
        told.tell(
            Retrying(source="coins", place="GET h", attempt=1, wait=0.5, reason="busy", code="rate_limited", asked=True)
        )
    told.tell(Retrying(source="other", place="GET h", attempt=1, wait=0.5, reason="busy"))  # of nobody we know
    told.tell(finished())
    ((event,),) = (run.events for run in told.named("run"))
    assert event.attributes is not None
    assert dict(event.attributes) == {"attempt": 1, "wait": 0.5, "error.type": "rate_limited", "asked": True}


def test_waits_for_a_rate_limit_are_events_of_the_run(told: Told) -> None:
    told.tell(started())
    with structlog.contextvars.bound_contextvars(run_id=7):
        told.tell(Throttled(source="coins", host="h:81", seconds=2.5, reason="the rate limit is spent"))
    told.tell(finished())
    ((event,),) = (run.events for run in told.named("run"))
    assert event.attributes is not None
    assert dict(event.attributes) == {"server.address": "h:81", "wait": 2.5, "reason": "the rate limit is spent"}


def test_secrets_in_the_name_of_a_slice_are_masked(told: Told) -> None:
    told.tell(started())
    told.tell(
        PageRead(source="coins", run_id=7, slice_name="x?hunter2", records=1, bytes_read=1, began=BEGAN, seconds=0.0)
    )
    told.tell(finished())
    (part,) = told.named("slice")
    assert part.attributes is not None
    assert part.attributes["kasparro.slice"] == "x?****"


def test_a_trace_is_told_to_others_as_the_standard_has_it() -> None:
    trace = Trace(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", sampled=True)
    assert trace.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    token = enter_trace(trace)
    assert current_trace() is trace
    leave_trace(token)
    assert current_trace() is None
