"""The log: readable lines in development, JSON lines in production, on standard error, without secrets."""

import asyncio
import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from kasparro.model.controls import without_controls
from kasparro.model.redact import Redactor
from kasparro.observe.repetition import Repetition
from kasparro.observe.trace_context import current_trace

_CANCELLED = f"{asyncio.CancelledError.__module__}.{asyncio.CancelledError.__name__}"
"""The last line of its traceback."""


class _CurrentStderr:
    """Standard error as it is at the moment of writing: a progress bar may stand in for it meanwhile."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _in_trace(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the trace that a line belongs to."""
    trace = current_trace()
    return event if trace is None else {**event, "trace_id": trace.trace_id}


def configure_logs(*, level: str, production: bool, redact: Redactor) -> None:
    """Set up the log of this process.

    Args:
        level: Least severe level that is written: `debug`, `info`, `warning`, `error` or `critical`.
        production: JSON lines instead of readable ones.
        redact: Masks secrets in every text of a line.
    """

    def masked(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {
            key: without_controls(redact(value)) if isinstance(value, str) else value for key, value in event.items()
        }

    # A traceback is text before it is masked, and has no local variables: these may hold what must not be logged.
    readable = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    shown: structlog.typing.Processor = structlog.processors.JSONRenderer() if production else readable
    # What the driver says of a connection that was cut off is said by our own errors.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    stream: TextIO = _CurrentStderr()  # type: ignore[assignment] # the two methods that a logger calls
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _in_trace,
            structlog.processors.add_log_level,
            Repetition(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            masked,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


class _Forwarding(logging.Handler):
    """Hands what a library logs to our log, which masks secrets."""

    def __init__(self, to: str) -> None:
        super().__init__()
        self._log = structlog.get_logger(to)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # What was ended at once is no mistake; a framework may have made text of it already.
        cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
        if not cancelled and not text.rstrip().endswith(_CANCELLED):
            self._log.log(record.levelno, text, logger=record.name, exc_info=record.exc_info)


@contextmanager
def forwarded_logs(library: str, *, to: str) -> Iterator[None]:
    """Let a library log warnings and errors by our log, in the block: the rest we say ourselves.

    Args:
        library: Name of its logger.
        to: Name of ours.
    """
    logger = logging.getLogger(library)
    handler, level, passes = _Forwarding(to), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = passes
