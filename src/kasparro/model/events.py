"""What happens during a run, told to whoever listens: progress bar, log, metrics, traces.

`began` is a moment in seconds since 1970, `seconds` how long it took.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kasparro.model.finding import Finding, Verdict
from kasparro.model.run import Counts, RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run has its lease. `resumed` is true when an earlier run was interrupted or stopped before its end.

    `note` is something that the operator should know. This and `RunFinished` are told in the task of the run, so what
    a listener binds to its context holds for the run and for the tasks that it starts.
    """

    source: str
    run_id: int
    slices: int
    resumed: bool
    note: str | None = None
    began: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An HTTP request was answered, or failed: then `status` is 0. `host` has the port where it is no usual one."""

    source: str
    host: str
    method: str
    status: int
    bytes_read: int
    began: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRead:
    """A page was read from its source."""

    source: str
    run_id: int
    slice_name: str
    records: int
    bytes_read: int
    began: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesShaped:
    """So many pages, which are committed together, were made rows and rejects.

    `first`: pages of the slice that this run has read before them.
    """

    source: str
    run_id: int
    slice_name: str
    pages: int
    records: int
    began: float
    seconds: float
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCommitted:
    """Pages are in the database: most often one, several where they are small.

    Attributes:
        done: Share of the slice, 0 to 1, where it is known.
        seconds: From the first statement to the end of the commit; two batches of a slice may overlap.
        reasons: Rejected records by the slug of their reason.
    """

    source: str
    run_id: int
    slice_name: str
    counts: Counts
    bytes_read: int
    done: float | None
    pages: int = 1
    began: float = 0.0
    seconds: float = 0.0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceClosed:
    """A slice was read to its end."""

    source: str
    run_id: int
    slice_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """An attempt failed and is repeated after `wait` seconds. `place` and `reason` hold no secret.

    `code` is that of the error, such as `rate_limited`; `asked`: the other side asked for the wait; `sent`: false where
    nothing was, as the host is left alone.
    """

    source: str
    place: str
    attempt: int
    wait: float
    reason: str
    code: str = "transient"
    asked: bool = False
    sent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """A request waits for its turn at a host, or has waited: `seconds` in all, for `reason`.

    A wait of a second or more is told when it begins, with what is known of its length then.
    """

    source: str
    host: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged:
    """The circuit breaker of a host has changed, by what this run met.

    `open`: after so many failures in a row nobody asks the host for `seconds`. `half_open`: this run tries it.
    `closed`: it answers again. `reason` is the last failure in a few words, and holds no secret.
    """

    source: str
    host: str
    state: Literal["closed", "open", "half_open"]
    failures: int
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJudged:
    """A run that came to its end was compared with the schema of its source and with earlier runs.

    `held`: its rows wait for a decision.
    """

    source: str
    run_id: int
    verdict: Verdict
    findings: tuple[Finding, ...]
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run has ended, well or not."""

    result: RunResult


Event = (
    RunStarted
    | Fetched
    | PageRead
    | PagesShaped
    | PageCommitted
    | SliceClosed
    | Retrying
    | Throttled
    | BreakerChanged
    | RunJudged
    | RunFinished
)
Emit = Callable[[Event], None]
