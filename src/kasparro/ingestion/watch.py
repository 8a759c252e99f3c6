"""Judges a run that came to its end: its records against the accepted schema, its numbers against earlier runs."""

from collections.abc import Sequence
from datetime import UTC, datetime

from kasparro.judge.contract import breach_findings
from kasparro.judge.drift import drift
from kasparro.judge.evolution import evolved, moves
from kasparro.judge.late import KIND as LATE
from kasparro.judge.proposal import Naming, with_proposals
from kasparro.model.contract import EVOLVING, Contract
from kasparro.model.facts import FieldFacts, RunFacts
from kasparro.model.finding import Finding, Judged, verdict_of
from kasparro.model.held import HoldOn, holds
from kasparro.model.profile import Profile
from kasparro.model.schedule import Schedule
from kasparro.model.schema import Schema
from kasparro.scheduling.ticks import begins
from kasparro.store.watch import Seen, Watch

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_SAME = {"null_share_high": "null_share_changed", "null_share_low": "null_share_changed"}
"""Findings against history that say what one against the schema says already."""


async def judge_run(  # noqa: PLR0913 - all that a declaration says of it
    watch: Watch,
    run_id: int,
    moments: Sequence[str] = (),
    hold_on: HoldOn | None = None,
    *,
    contract: Contract = EVOLVING,
    naming: Naming | None = None,
    schedule: Schedule | None = None,
) -> Judged:
    """Judge a run, keep the findings, and let the schema evolve, unless its rows are to wait.

    Args:
        watch: Knows the earlier runs.
        run_id: The run; all its slices have been read.
        moments: Paths that may hold the time of a record, the first that does counts.
        hold_on: From which verdict on its rows wait beside the table; None is never.
        contract: Says what of the schema stays as it is until somebody accepts another.
        naming: Where the declaration names raw fields; None where nothing is to be proposed.
        schedule: By which the source is due; its jitter is no delay.
    """
    seen = await watch.seen(run_id)
    if seen.pages == 0:
        return Judged(verdict="ok")  # the source has nothing new, and said so: there is nothing to compare
    from kasparro.judge.anomaly import anomalies  # noqa: PLC0415 - loads numpy: not before there is something to judge

    facts = facts_of(seen, moments)
    changes = () if seen.schema is None else drift(seen.schema, seen.profile)
    said = {(one.kind, one.subject) for one in changes}
    found = anomalies(seen.history, facts, due=_begins(seen, schedule))
    odd = [one for one in found if (_SAME.get(one.kind, one.kind), one.subject) not in said]
    if naming is not None and seen.schema is not None:
        changes = with_proposals(changes, naming, {*seen.schema.fields, *seen.profile.fields})
    findings = (*changes, *breach_findings(seen.profile.breaches), *odd)
    accepted = _accepted(seen, changes, contract)
    verdict = verdict_of(findings)
    # Rows that are read late are as good as others.
    held = holds(verdict_of([one for one in findings if one.kind != LATE]), hold_on)
    await watch.judged(run_id, seen, facts, findings, accepted, held=held)
    return Judged(verdict=verdict, findings=findings, held=held)


def _begins(seen: Seen, schedule: Schedule | None) -> datetime | None:
    """Return when the run should have begun; None where it was due at no time."""
    if seen.due_at is None or schedule is None:
        return seen.due_at
    return begins(seen.source, schedule, seen.due_at)


def _accepted(seen: Seen, changes: Sequence[Finding], contract: Contract) -> Schema | None:
    """The schema that takes the place of the accepted one; None where it stays."""
    if seen.schema is None:
        return Schema.of(seen.profile) if seen.profile.looked else None
    return evolved(seen.schema, seen.profile, contract) if moves(changes, contract) else None


def facts_of(seen: Seen, moments: Sequence[str]) -> RunFacts:
    """Return what later runs are compared with."""
    profile = seen.profile
    return RunFacts(
        started_at=seen.started_at,
        seconds=seen.seconds,
        records=profile.rows,
        rejected=seen.rejected,
        bytes_read=seen.bytes_read,
        newest=_newest(profile, moments, seen.started_at),
        fields={path: _field(profile, path) for path, one in profile.fields.items() if _is_judged(one.types)},
    )


def _is_judged(types: object) -> bool:
    """An object or a list is judged by what stands below it."""
    return not isinstance(types, dict) or not types or not set(types) <= {"object", "array"}


def _field(profile: Profile, path: str) -> FieldFacts:
    one = profile.fields[path]
    numeric = one.types.get("integer", 0) + one.types.get("number", 0)
    filled = one.present - one.nulls
    return FieldFacts(
        null_share=round(profile.null_share(path), 6),
        distinct=round(profile.distinct(path), 1),
        quantiles=one.quantiles(*_QUANTILES) if filled and numeric > filled / 2 else (),
        records=profile.looked,
    )


def _newest(profile: Profile, moments: Sequence[str], started_at: datetime) -> float | None:
    """Return how long before the run the newest record was made, in seconds."""
    for path in moments:
        last = profile.fields[path].last if path in profile.fields else None
        moment = None if last is None else _moment(last)
        if moment is not None:
            return (started_at - moment).total_seconds()
    return None


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        return None  # a day that is none, such as 2026-02-30: it looks like a date, and says nothing
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
