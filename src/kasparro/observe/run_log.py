"""Tells the log what happens during runs: for production, where nobody looks at a progress bar."""

from typing import assert_never

import structlog

from kasparro.model.events import (
    BreakerChanged,
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
from kasparro.model.finding import Finding

_log = structlog.get_logger("kasparro.run")


def log_event(event: Event) -> None:
    """Write a line about an event; pages and slices are for `debug`."""
    match event:
        case RunStarted():
            begun = {"slices": event.slices, "resumed": event.resumed, "note": event.note}
            _log.info("run started", source=event.source, run_id=event.run_id, **begun)
        case PageCommitted():
            counts = {"records": event.counts.extracted, "rejected": event.counts.rejected, "bytes": event.bytes_read}
            _log.debug("pages committed", source=event.source, run_id=event.run_id, slice=event.slice_name, **counts)
        case SliceClosed():
            _log.debug("slice closed", source=event.source, run_id=event.run_id, slice=event.slice_name)
        case Fetched():
            answer = {"host": event.host, "method": event.method, "status": event.status, "bytes": event.bytes_read}
            _log.debug("fetched", source=event.source, seconds=round(event.seconds, 3), **answer)
        case PageRead() | PagesShaped():
            pass  # part of what is told when the pages are committed
        case Retrying() | Throttled() | BreakerChanged():
            _held_up(event)
        case RunJudged():
            for one in event.findings:
                _found(event, one)
        case RunFinished():
            _finished(event)
        case _:
            assert_never(event)


def _held_up(event: Retrying | Throttled | BreakerChanged) -> None:
    match event:
        case Retrying():
            again = {"place": event.place, "attempt": event.attempt, "wait": round(event.wait, 3)}
            _log.warning("trying again", source=event.source, reason=event.reason, **again)
        case Throttled():
            # A wait for one's turn is how a limit is kept; only one that somebody would notice is told in production.
            write = _log.info if event.seconds >= 1 else _log.debug
            waits = {"host": event.host, "seconds": round(event.seconds, 3), "reason": event.reason}
            write("waiting for a rate limit", source=event.source, **waits)
        case BreakerChanged():
            write = _log.warning if event.state == "open" else _log.info
            facts = {"state": event.state, "failures": event.failures, "seconds": round(event.seconds, 3)}
            write("circuit breaker changed", source=event.source, host=event.host, reason=event.reason or None, **facts)
        case _:
            assert_never(event)


def _found(event: RunJudged, one: Finding) -> None:
    write = _log.info if one.severity == "info" else _log.warning
    write(
        "finding", source=event.source, run_id=event.run_id, kind=one.kind, severity=one.severity, message=one.message
    )


def _finished(event: RunFinished) -> None:
    result = event.result
    write = _log.error if result.status in {"failed", "partial"} else _log.info
    counts = result.counts
    write(
        "run finished",
        source=result.source,
        run_id=result.run_id,
        status=result.status,
        verdict=result.verdict,
        held=result.held is not None,
        seconds=round(result.duration, 3),
        records=counts.extracted,
        inserted=counts.inserted,
        updated=counts.updated,
        rejected=counts.rejected,
        error_code=result.error_code,
        error=result.error,
        resume_at=None if result.resume_at is None else result.resume_at.isoformat(),
    )
