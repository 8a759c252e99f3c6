"""Makes spans of what is told during runs: run, slice, page, and the steps of a page.

Nothing is measured here: each step is told with the time it began and how long it took, so spans are made afterwards,
a page's when it is committed. What is open when a run ends is ended with it; a process that is killed leaves the spans
of the pages that were sent until then.
"""

import time
from contextvars import Token
from dataclasses import dataclass, field
from typing import assert_never

import structlog
from opentelemetry.trace import Span, Tracer

from kasparro.model.events import (
    BreakerChanged,
    Emit,
    Event,
    Fetched,
    PageCommitted,
    PageRead,
    PagesShaped,
    Retrying,
    RunFinished,
    RunJudged,
    RunStarted,
    SliceClosed,
    Throttled,
)
from kasparro.model.redact import Redactor
from kasparro.model.run import RunResult
from kasparro.observe.trace_context import Trace, enter_trace, leave_trace
from kasparro.observe.traces_pages import SliceTrace
from kasparro.observe.traces_spans import Attributes, begun, end, failed, fetch_span, place_of

_FAILED = frozenset({"failed", "partial", "interrupted"})


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run under way.

    Attributes:
        fetches: Requests before the run has told that it started, or outside of a slice.
        token: Takes the trace away again from the task of the run.
    """

    span: Span | None = None
    slices: dict[str, SliceTrace] = field(default_factory=dict)
    fetches: list[Fetched] = field(default_factory=list)
    token: Token[Trace | None] | None = None
    latest: float = 0.0


class RunTraces:
    """Takes events, and passes each on.

    `RunStarted` and `RunFinished` come in the task of the run: there its trace is entered and left, so that log lines
    and requests in between, also of tasks that it starts, know it. To which run a request belongs is said by the
    context of the log, where each run binds its id and each slice its name.

    Args:
        tracer: Makes the spans.
        emit: Takes the events next.
        redact: Masks secrets.
    """

    def __init__(self, tracer: Tracer, emit: Emit, redact: Redactor) -> None:
        self._tracer = tracer
        self._emit = emit
        self._redact = redact
        self._runs: dict[int, _Run] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case RunStarted():
                self._started(event)
                self._emit(event)
            case RunFinished():
                run = self._ending(event.result)
                self._emit(event)  # belongs to the trace still
                self._finished(event.result, run)
            case _:
                self._emit(event)
                self._heard(event)

    def _started(self, event: RunStarted) -> None:
        run = self._run(event.run_id)
        first = min([event.began, *(one.began for one in run.fetches)])
        self._open(run, event.source, event.run_id, first)
        run.token = enter_trace(place_of(run.span)) if run.span is not None else None

    def _open(self, run: _Run, source: str, run_id: int | None, began: float) -> Span:
        attributes: Attributes = {"kasparro.source": source}
        if run_id is not None:
            attributes["kasparro.run_id"] = run_id
        # Where the caller's own program has a span, the run is part of it.
        run.span = begun(self._tracer, "run", None, began, attributes)
        run.latest = began
        return run.span

    def _run(self, run_id: int) -> _Run:
        return self._runs.setdefault(run_id, _Run())

    def _heard(self, event: Event) -> None:
        match event:
            case Fetched():
                self._fetched(event)
            case PageRead():
                self._slice(event.run_id, event.slice_name).read(event)
            case PagesShaped():
                self._slice(event.run_id, event.slice_name).shaped(event)
            case PageCommitted():
                self._slice(event.run_id, event.slice_name).committed(event)
            case SliceClosed():
                self._close(event)
            case Retrying() | Throttled() | BreakerChanged():
                self._held_up(event)
            case RunJudged():
                self._judged(event)
            case RunStarted() | RunFinished():
                pass  # taken beforehand
            case _:
                assert_never(event)

    def _slice(self, run_id: int, name: str) -> SliceTrace:
        run = self._run(run_id)
        known = run.slices.get(name)
        if known is None:
            known = run.slices[name] = SliceTrace(self._tracer, run.span, self._redact(name))
        return known

    def _fetched(self, event: Fetched) -> None:
        context = structlog.contextvars.get_contextvars()
        run_id, name = context.get("run_id"), context.get("slice")
        if isinstance(run_id, int) and isinstance(name, str):
            self._slice(run_id, name).fetched(event)
        elif isinstance(run_id, int):
            run = self._run(run_id)
            run.fetches.append(event)
            self._flush(run)

    def _flush(self, run: _Run) -> None:
        """Make spans of the requests that belong to the run itself."""
        if run.span is None:
            return
        for one in run.fetches:
            fetch_span(self._tracer, run.span, one)
            run.latest = max(run.latest, one.began + one.seconds)
        run.fetches.clear()

    def _held_up(self, event: Retrying | Throttled | BreakerChanged) -> None:
        match event:
            case Retrying():
                told: Attributes = {"attempt": event.attempt, "wait": event.wait, "error.type": event.code}
                self._note("retry", {**told, "asked": event.asked})
            case Throttled():
                self._note("throttled", {"server.address": event.host, "wait": event.seconds, "reason": event.reason})
            case BreakerChanged():
                self._note(
                    "circuit breaker", {"server.address": event.host, "state": event.state, "failures": event.failures}
                )
            case _:
                assert_never(event)

    def _note(self, name: str, told: Attributes) -> None:
        """Note a moment in the span of the run that the log is about now."""
        run_id = structlog.contextvars.get_contextvars().get("run_id")
        run = self._runs.get(run_id) if isinstance(run_id, int) else None
        if run is not None and run.span is not None:
            run.span.add_event(name, told)

    def _judged(self, event: RunJudged) -> None:
        run = self._run(event.run_id)
        if run.span is not None:
            run.span.set_attribute("kasparro.verdict", event.verdict)
            run.span.set_attribute("kasparro.findings", len(event.findings))

    def _close(self, event: SliceClosed) -> None:
        run = self._run(event.run_id)
        part = self._slice(event.run_id, event.slice_name)
        run.latest = max(run.latest, part.end(time.time(), None))
        del run.slices[event.slice_name]

    def _ending(self, result: RunResult) -> _Run:
        """Return the run that has come to its end; one that could not even start gets its span now."""
        run = _Run() if result.run_id is None else self._runs.pop(result.run_id, _Run())
        if run.span is None:
            began = min([time.time() - result.duration, *(one.began for one in run.fetches)])
            run.token = enter_trace(place_of(self._open(run, result.source, result.run_id, began)))
        self._flush(run)
        return run

    def _finished(self, result: RunResult, run: _Run) -> None:
        code = (result.error_code or result.status) if result.status in _FAILED else None
        for part in run.slices.values():
            run.latest = max(run.latest, part.end(time.time(), code))
        if run.span is not None:
            counts = result.counts
            run.span.set_attributes(
                {
                    "kasparro.status": result.status,
                    "kasparro.records": counts.extracted,
                    "kasparro.rejected": counts.rejected,
                }
            )
            if code is not None:
                failed(run.span, code, self._redact(result.error or ""))
            end(run.span, max(run.latest, time.time()))
        if run.token is not None:
            leave_trace(run.token)
