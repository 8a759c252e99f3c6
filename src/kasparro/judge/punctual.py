"""The rule for a run that started late. A source that did not run at all is found by `judge.late`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from kasparro.judge.seasons import usual_seconds
from kasparro.judge.wording import moment, span
from kasparro.model.finding import Finding

PATIENCE = 300.0
"""Seconds that any run may be late: a queue, a slow start."""

PART_OF_INTERVAL, GROSS_INTERVALS = 0.25, 3.0


def started_late(history: Sequence[datetime], started: datetime, due: datetime) -> Finding | None:
    """Return whether a run started later than a quarter of the usual time between runs after it was due."""
    interval = usual_seconds(history)
    delay = (started - due).total_seconds()
    if interval is None:
        return None
    allowed = max(PATIENCE, PART_OF_INTERVAL * interval)
    if delay <= allowed:
        return None
    return Finding(
        kind="source_late",
        severity="critical" if delay > GROSS_INTERVALS * interval and delay > GROSS_INTERVALS * allowed else "warning",
        subject="run",
        message=f"The run started {span(delay)} after it was due at {moment(due)}; with {span(interval)} between runs "
        f"{span(allowed)} were to be expected at most.",
        expected={"low": due.isoformat(), "high": _after(due, allowed).isoformat()},
        observed=started.isoformat(),
        facts={"seconds_late": delay},
    )


def _after(when: datetime, seconds: float) -> datetime:
    return when + timedelta(seconds=min(seconds, 1e9))
