"""The spans of one slice: its pages, and for each the requests, the reading, the shaping and the commit.

Small pages are shaped and committed together: then one span `page` has several of `read` below it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.trace import Span, Tracer

from kasparro.model.events import Fetched, PageCommitted, PageRead, PagesShaped
from kasparro.observe.traces_spans import Attributes, begun, end, failed, fetch_span


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A page that was read, and the requests that it took."""

    event: PageRead
    fetches: tuple[Fetched, ...]


_Step = tuple[str, PageRead | PagesShaped | PageCommitted, Attributes]
"""Name of the span, what was told of the step, and attributes."""


class SliceTrace:
    """Keeps what is told of a slice until it can be made spans: a page when it is committed.

    Reads come in the order of the pages, commits too. Of two batches that are shaped at the same time the second may
    be done first; each says which pages it is of.

    Args:
        tracer: Makes the spans.
        run: The span of the run.
        name: Of the slice, without secrets.
    """

    def __init__(self, tracer: Tracer, run: Span | None, name: str) -> None:
        self._tracer = tracer
        self._run = run
        self._name = name
        self._span: Span | None = None
        self._fetches: list[Fetched] = []
        self._reads: deque[_Read] = deque()
        self._shaped: dict[int, PagesShaped] = {}
        self._pages = 0
        self._records = 0
        self._bytes = 0
        self._latest = 0.0

    def fetched(self, event: Fetched) -> None:
        """Take a request: it belongs to the page that is read next."""
        self._fetches.append(event)

    def read(self, event: PageRead) -> None:
        """Take a page that was read."""
        one = _Read(event=event, fetches=tuple(self._fetches))
        self._fetches.clear()
        self._reads.append(one)
        self._begin(min([event.began, *(fetch.began for fetch in one.fetches)]))

    def shaped(self, event: PagesShaped) -> None:
        """Take pages that were shaped."""
        self._shaped[event.first] = event

    def committed(self, event: PageCommitted) -> None:
        """Make the spans of pages that are in the database."""
        shaped = self._shaped.pop(self._pages, None)
        self._page(self._taken(event.pages), shaped, event)
        self._pages += event.pages
        self._records += event.counts.extracted
        self._bytes += event.bytes_read

    def end(self, now: float, code: str | None) -> float:
        """End the span: with the code of an error where the slice was not read to its end. Return when it ended."""
        self._left(code)
        span = self._begin(min([now, *(one.began for one in self._fetches)]))
        for one in self._fetches:  # they brought no page: nothing new, or an error
            fetch_span(self._tracer, span, one)
            self._latest = max(self._latest, one.began + one.seconds)
        counts = {"kasparro.pages": self._pages, "kasparro.records": self._records, "kasparro.bytes": self._bytes}
        span.set_attributes(counts)
        if code is not None:
            failed(span, code)
        moment = max(now, self._latest)
        end(span, moment)
        return moment

    def _begin(self, began: float) -> Span:
        if self._span is None:
            self._span = begun(self._tracer, "slice", self._run, began, {"kasparro.slice": self._name})
        return self._span

    def _taken(self, count: int) -> tuple[_Read, ...]:
        return tuple(self._reads.popleft() for _ in range(min(count, len(self._reads))))

    def _left(self, code: str | None) -> None:
        """Make the spans of pages that did not come to their commit."""
        first = self._pages
        while self._reads:
            shaped = self._shaped.pop(first, None)
            reads = self._taken(1 if shaped is None else shaped.pages)
            first += len(reads)
            self._page(reads, shaped, None, code)

    def _page(
        self,
        reads: Sequence[_Read],
        shaped: PagesShaped | None,
        committed: PageCommitted | None,
        code: str | None = None,
    ) -> None:
        steps = _steps(reads, shaped, committed)
        fetches = [fetch for read in reads for fetch in read.fetches]
        told = [*(event for _, event, _ in steps), *fetches]
        began, ended = min(one.began for one in told), max(one.began + one.seconds for one in told)
        numbers: Attributes = {"kasparro.pages": len(reads) if committed is None else committed.pages}
        if committed is not None:
            numbers["kasparro.records"] = committed.counts.extracted
            numbers["kasparro.rejected"] = committed.counts.rejected
            numbers["kasparro.bytes"] = committed.bytes_read
        span = begun(self._tracer, "page", self._begin(began), began, numbers)
        for fetch in fetches:
            fetch_span(self._tracer, span, fetch)
        for name, event, attributes in steps:
            end(begun(self._tracer, name, span, event.began, attributes), event.began + event.seconds)
        if code is not None:
            failed(span, code)
        end(span, ended)
        self._latest = max(self._latest, ended)


def _steps(reads: Sequence[_Read], shaped: PagesShaped | None, committed: PageCommitted | None) -> list[_Step]:
    """Return the steps of some pages; those that were not come to are missing."""
    steps: list[_Step] = [
        ("read", one.event, {"kasparro.records": one.event.records, "kasparro.bytes": one.event.bytes_read})
        for one in reads
    ]
    if shaped is not None:
        steps.append(("shape", shaped, {"kasparro.records": shaped.records, "kasparro.pages": shaped.pages}))
    if committed is not None:
        steps.append(("commit", committed, {"kasparro.records": committed.counts.extracted}))
    return steps
