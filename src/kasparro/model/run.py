"""Runs: one execution of a source, as a state machine.

    running ──> success       every slice was read to its end
        ├─────> partial       read to its end, but something was left out and is named in `error`
        ├─────> failed        an error ended it; what was committed stays
        ├─────> stopped       told to stop; the next run goes on
        ├─────> parked        asked to wait for longer than a run stays; goes on at `resume_at`
        └─────> interrupted   the process died; found by the next run, which goes on

`partial` and the rest never change again.
"""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Literal

from kasparro.model.held import Held

RunStatus = Literal["running", "success", "partial", "failed", "stopped", "parked", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Records of a run: `extracted` is always the sum of the five after it. `deleted`: rows that were not met again."""

    extracted: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    deleted: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{one.name: mine[one.name] + theirs[one.name] for one in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """What held a run up.

    Attributes:
        retries: Attempts that were repeated.
        waits: How often it waited: before a repetition, or for a rate limit.
        waited_seconds: How long, over all of its slices, which may wait at the same time.
        breaker_changes: How often it changed the circuit breaker of a host.
    """

    retries: int = 0
    waits: int = 0
    waited_seconds: float = 0.0
    breaker_changes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One slice of one run, as it is worked on. `run_id` is also the lease epoch that fences its commits.

    Attributes:
        lane: Which checkpoint of the slice is moved: `""` for the usual one.
    """

    source: str
    kind: str
    dataset: str
    run_id: int
    slice_name: str
    lane: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What became of one source in one call.

    Attributes:
        run_id: None when no run could be started.
        duration: Seconds.
        error: One sentence; None when all went well.
        error_code: `code` of the error.
        verdict: `ok`, `suspicious` or `bad`, apart from the status; None when it was not judged.
        held: What waits for a decision; None when nothing does.
        resume_at: When a parked run goes on; None of any other.
    """

    source: str
    status: RunStatus
    counts: Counts
    duration: float
    run_id: int | None
    error: str | None = None
    error_code: str | None = None
    verdict: str | None = None
    held: Held | None = None
    started_at: datetime | None = None
    resume_at: datetime | None = None
