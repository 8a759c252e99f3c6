"""Rules for time: a run that started late, and a source that did not run at all."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from kasparro.judge.seasons import usual_seconds
from kasparro.judge.wording import moment, span
from kasparro.model.finding import Finding

PATIENCE = 300.0
"""Seconds that any run may be late: a queue, a slow start."""

PART_OF_INTERVAL, GROSS_INTERVALS = 0.25, 3.0
MISSED = 1.5
"""Intervals without a success from which on a run is missing rather than slow."""


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


def late(last_success: datetime, now: datetime, interval: float) -> Finding | None:
    """Return whether a source is late for its schedule although nothing ran.

    Args:
        last_success: When it last came to a good end.
        now: The present.
        interval: Seconds between two runs by its schedule.
    """
    waited = (now - last_success).total_seconds()
    if not (math.isfinite(interval) and interval > 0):
        return None
    allowed = MISSED * interval + PATIENCE
    if waited <= allowed:
        return None
    return Finding(
        kind="source_late",
        severity="critical" if waited > GROSS_INTERVALS * interval + PATIENCE else "warning",
        subject="run",
        message=f"The source last succeeded {span(waited)} ago, at {moment(last_success)}; "
        f"it runs every {span(interval)}, so {span(allowed)} were to be expected at most.",
        expected={"low": last_success.isoformat(), "high": _after(last_success, allowed).isoformat()},
        observed=now.isoformat(),
        facts={"seconds_since_success": waited, "interval": interval},
    )


def _after(when: datetime, seconds: float) -> datetime:
    return when + timedelta(seconds=min(seconds, 1e9))
