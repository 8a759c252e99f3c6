"""What became of the spans: how many ended, how many the collector took. What it did not take was dropped."""

import logging
import threading
from collections.abc import Sequence

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_log = structlog.get_logger("kasparro.traces")


class _Heard(logging.Handler):
    """Keeps the last thing that the library complained of, instead of letting it go to standard error."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


class Tally:
    """Counts spans and tells the log of losses: once when they begin, once when they end, once at the end.

    Args:
        host: The collector's.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._heard = _Heard()
        self._ended = 0
        self._taken = 0
        self._failing = False

    @property
    def dropped(self) -> int:
        """Spans that ended and were not taken; so far that includes those that wait."""
        with self._lock:
            return self._ended - self._taken

    def listen(self) -> None:
        """Hear what the library complains of, from now on."""
        logging.getLogger("opentelemetry").addHandler(self._heard)

    def ended(self, span: ReadableSpan) -> None:
        """A span has ended."""
        if span.context is not None and span.context.trace_flags.sampled:
            with self._lock:
                self._ended += 1

    def sent(self, count: int, *, taken: bool) -> None:
        """The collector was sent so many spans, and took them or not."""
        with self._lock:
            self._taken += count if taken else 0
            changed, self._failing = self._failing is taken, not taken
        if changed and taken:
            _log.info("the collector takes traces again", host=self._host)
        elif changed:
            reason = self._heard.last or "no answer"
            _log.warning("the collector takes no traces; they are dropped", host=self._host, reason=reason)

    def say_end(self) -> None:
        """Tell how many were dropped, if any, and hear no more."""
        logging.getLogger("opentelemetry").removeHandler(self._heard)
        if self.dropped:
            _log.warning("traces were dropped", host=self._host, spans=self.dropped, of=self._ended)


class Delivered(SpanExporter):
    """An exporter that tells the tally what became of what it was given."""

    def __init__(self, exporter: SpanExporter, tally: Tally) -> None:
        self._exporter = exporter
        self._tally = tally

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; in the thread of the library."""
        result = self._exporter.export(spans)
        self._tally.sent(len(spans), taken=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return self._exporter.force_flush(timeout_millis)
