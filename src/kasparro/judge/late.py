"""Is a source late, although nothing runs that could say so?

By its schedule where it has one, else by its habit: a source that ran at even distances for a while and then does not.
What is to be expected follows from what was, never from the present: so a clock that was set back finds nobody late.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from kasparro.judge.wording import moment, span
from kasparro.model.finding import Finding, Severity
from kasparro.model.schedule import Every, Schedule
from kasparro.scheduling.moments import last_due, next_due

KIND = "source_late"

LEAST_GRACE = timedelta(minutes=10)
PART_OF_INTERVAL = 0.25
GROSS_INTERVALS = 3
"""Due moments after the missed one that must have passed, too, until it is critical."""

EARLY = timedelta(minutes=1)
EARLY_PART = 0.1
"""A run may end so much before a due moment and still be the one for it: two clocks are never the same."""

FEWEST_GAPS = 7
"""Distances between runs that make a habit."""

PATIENCE, MISSED = 300.0, 1.5
"""Seconds that any source may be late, and usual distances after which a run is missing rather than slow."""

LEAST_HABIT = 60.0
EVEN_SECONDS, EVEN_PART, EVEN_SHARE = 10.0, 0.1, 0.75
"""A habit is even when so many of the distances differ so little from the usual one."""

_OF_TEN = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of a source.

    Attributes:
        schedule: As it was declared last.
        since: When that was.
        first_seen: When the source ran for the first time.
        last_success: When its latest good run ended; None before the first.
        starts: When its latest good runs began, oldest first.
        durations: Seconds that they took.
    """

    schedule: Schedule | None = None
    since: datetime | None = None
    first_seen: datetime | None = None
    last_success: datetime | None = None
    starts: tuple[datetime, ...] = ()
    durations: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """When the next good end of a run is to be expected.

    Attributes:
        due: When the next run is due.
        allowed: By then it must have ended well.
        critical: From then on it is critical.
        given_up: From then on nobody waits any more; None is never.
        why: By what it is due, for the sentence.
    """

    due: datetime
    allowed: datetime
    critical: datetime
    given_up: datetime | None = None
    why: str

    def is_given_up(self, now: datetime) -> bool:
        """Tell whether nobody waits any more."""
        return self.given_up is not None and now > self.given_up


def is_on_time(past: Past, now: datetime) -> bool:
    """Tell, at less cost than `expected`, whether a source with a schedule is not even due."""
    moments = [one for one in (past.last_success, past.since) if one is not None]
    if past.schedule is None or not moments:
        return False
    due = next_due(past.schedule, max(moments))
    return due is not None and now < due


def expected(past: Past) -> Expected | None:
    """Return what is to be expected of a source; None where that is nothing."""
    if past.schedule is not None:
        return _by_schedule(past.schedule, past)
    return _by_habit(past)


def late(past: Past, now: datetime) -> Finding | None:
    """Return whether a source is late, as a finding."""
    wait = expected(past)
    return None if wait is None else waited(past, wait, now)


def waited(past: Past, wait: Expected, now: datetime) -> Finding | None:
    """Return whether what is to be expected of a source should have been by now, as a finding."""
    if now <= wait.allowed or wait.is_given_up(now):
        return None
    severity: Severity = "critical" if now > wait.critical else "warning"
    last = past.last_success
    before = "never succeeded" if last is None else f"last succeeded at {moment(last)}"
    return Finding(
        kind=KIND,
        severity=severity,
        subject="source",
        message=f"The source {before}. {wait.why} a run was due at {moment(wait.due)} and had until "
        f"{moment(wait.allowed)} to succeed; it is {span((now - wait.due).total_seconds())} late.",
        expected={"low": wait.due.isoformat(), "high": wait.allowed.isoformat()},
        observed=None if last is None else last.isoformat(),
        facts={
            "due_at": wait.due.isoformat(),
            "allowed_until": wait.allowed.isoformat(),
            "critical_from": wait.critical.isoformat(),
            "last_success_at": None if last is None else last.isoformat(),
            "schedule": None if past.schedule is None else str(past.schedule),
        },
    )


def _by_schedule(schedule: Schedule, past: Past) -> Expected | None:
    # A schedule that was declared after the last success promised nothing before.
    moments = [one for one in (past.last_success, past.since) if one is not None]
    if not moments:
        return None
    base = max(moments)
    dues = _dues(schedule, base)
    if not dues:
        return None
    due, interval = dues[0], _interval(schedule, dues)
    usual = timedelta(seconds=_usual(past.durations))
    grace = schedule.grace
    if grace is None:
        grace = max(LEAST_GRACE, PART_OF_INTERVAL * interval) + usual + schedule.jitter
    return Expected(due=due, allowed=due + grace, critical=dues[-1] + grace, why=f"By its schedule ({schedule})")


def _dues(schedule: Schedule, base: datetime) -> list[datetime]:
    """Return the due moment that a source which was well at `base` has to meet next, and some after it."""
    if isinstance(schedule.when, Every):
        # Whoever starts the runs may count from another moment than we do.
        return [base + schedule.when.length * number for number in range(1, GROSS_INTERVALS + 2)]
    before, after = last_due(schedule, base), next_due(schedule, base)
    early = EARLY if before is None or after is None else min(EARLY, EARLY_PART * (after - before))
    dues: list[datetime] = []
    due = next_due(schedule, base + early)
    while due is not None and len(dues) <= GROSS_INTERVALS:
        dues.append(due)
        due = next_due(schedule, due)
    return dues


def _interval(schedule: Schedule, dues: Sequence[datetime]) -> timedelta:
    """Return the time between due moments about the first of these, the shorter of that before and that after it."""
    before = last_due(schedule, dues[0] - timedelta(microseconds=1))
    around = [*([] if before is None or isinstance(schedule.when, Every) else [before]), *dues[:2]]
    return min((later - earlier for earlier, later in pairwise(around)), default=timedelta())


def _by_habit(past: Past) -> Expected | None:
    """What a source did evenly it is expected to go on with, for as long again as it did so.

    A wait that came twice before is not odd: weekends, nights.
    """
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(past.starts)]
    if len(gaps) < FEWEST_GAPS or past.last_success is None or past.first_seen is None:
        return None
    usual = sorted(gaps)[len(gaps) // 2]
    even = max(EVEN_SECONDS, EVEN_PART * usual)
    if usual < LEAST_HABIT or sum(abs(gap - usual) <= even for gap in gaps) < EVEN_SHARE * len(gaps):
        return None
    last = past.starts[-1]
    allowed = max(MISSED * usual, sorted(gaps)[-2]) + PATIENCE + _usual(past.durations)
    return Expected(
        due=last + timedelta(seconds=usual),
        allowed=last + timedelta(seconds=allowed),
        critical=last + timedelta(seconds=max(allowed, (1 + GROSS_INTERVALS) * usual)),
        given_up=last + max(last - past.first_seen, timedelta(seconds=allowed)),
        why=f"It has no schedule, but ran every {span(usual)}, so",
    )


def _usual(durations: Sequence[float]) -> float:
    """Return the seconds that nine runs of ten stay below; nothing where none is known."""
    ordered = sorted(one for one in durations if math.isfinite(one))
    return ordered[max(math.ceil(_OF_TEN * len(ordered)) - 1, 0)] if ordered else 0.0
