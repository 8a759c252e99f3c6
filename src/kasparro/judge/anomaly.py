"""Judges a run against the earlier runs of its source: what is odd about it, and what was to be expected.

Nothing is read here and no clock is asked: the same history and run always lead to the same findings.
"""

from collections.abc import Sequence
from datetime import datetime

from kasparro.judge.fields import comparable, judge_fields
from kasparro.judge.punctual import started_late
from kasparro.judge.seasons import calendar_of
from kasparro.judge.totals import judge_totals
from kasparro.model.facts import RunFacts
from kasparro.model.finding import Finding

FEWEST = 3
"""Earlier runs without which nothing is said."""

OF_RUN, OF_FIELD = 5, 4
"""Numbers that are checked of a run and of each of its fields."""

COLLAPSED = ("row_count_zero", "row_count_low")


def anomalies(history: Sequence[RunFacts], run: RunFacts, *, due: datetime | None = None) -> tuple[Finding, ...]:
    """Return what is odd about a run, the run as a whole first.

    Args:
        history: Earlier runs of the same source that came to their end, oldest first, the run not among them.
        run: The run that is judged.
        due: When it should have started by its schedule; None without one.
    """
    found: list[Finding] = []
    if due is not None:
        delay = started_late([one.started_at for one in history], run.started_at, due)
        found += [] if delay is None else [delay]
    if len(history) < FEWEST:
        return tuple(found)
    checks = OF_RUN + OF_FIELD * len(run.fields)
    found += judge_totals(history, run, calendar_of(history, run.started_at), checks)
    if run.records > 0 and run.fields and not any(one.kind in COLLAPSED for one in found):
        alike = comparable(history)
        if len(alike) >= FEWEST:
            found += judge_fields(alike, run, checks)
    return tuple(found)
