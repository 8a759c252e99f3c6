"""What happens during a run, told to whoever listens: progress bar, log, metrics."""

from collections.abc import Callable
from dataclasses import dataclass

from kasparro.model.finding import Finding, Verdict
from kasparro.model.run import Counts, RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run has its lease. `resumed` is true when an earlier run was interrupted or stopped before its end.

    `note` is something that the operator should know.
    """

    source: str
    run_id: int
    slices: int
    resumed: bool
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCommitted:
    """A page is in the database. `done` is the share of its slice, 0 to 1, where it is known."""

    source: str
    run_id: int
    slice_name: str
    counts: Counts
    bytes_read: int
    done: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceClosed:
    """A slice was read to its end."""

    source: str
    run_id: int
    slice_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """An attempt failed and is repeated after `wait` seconds. `place` and `reason` hold no secret."""

    source: str
    place: str
    attempt: int
    wait: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJudged:
    """A run that came to its end was compared with the schema of its source and with earlier runs."""

    source: str
    run_id: int
    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run has ended, well or not."""

    result: RunResult


Event = RunStarted | PageCommitted | SliceClosed | Retrying | RunJudged | RunFinished
Emit = Callable[[Event], None]
