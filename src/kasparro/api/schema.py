"""What the answers look like, for the OpenAPI document.

Nothing is made from these classes: PostgreSQL writes the answers. A test compares both. An object has the members named
here and no others, unless it says so: see `openapi.py`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kasparro.model.finding import Verdict
from kasparro.model.held import HeldState
from kasparro.model.run import RunStatus

Milliseconds = Annotated[float, Field(description="Time in the server.")]
Number = Annotated[float | None, Field(description="Exact: any number of digits.")]


class Pagination(BaseModel):
    """Where a page stands."""

    limit: int
    offset: int | None = Field(description="Rows before this page; null where a cursor was given.")
    total: int = Field(description="Rows in all, of the source where one was asked for.")
    total_kind: Literal["exact"]
    has_more: bool
    next_cursor: str | None = Field(description="Gives the next page; null on the last one.")


class Row(BaseModel):
    """A unified row."""

    source: str
    record_key: str = Field(description="Unique within the source.")
    title: str | None
    description: str | None
    url: str | None
    value: Number
    occurred_at: datetime | None
    attributes: Any = Field(description="Everything else of the record.")
    run_id: int = Field(description="The run that last wrote the row.")
    raw_page_id: int = Field(description="The raw page that it was made from.")
    raw_index: int = Field(description="Its place in the raw page, from 0.")
    first_seen_at: datetime
    updated_at: datetime


class DatasetRow(BaseModel):
    """A row of a declared dataset: its own fields, and these."""

    model_config = ConfigDict(extra="allow")

    source: str
    record_key: str
    run_id: int
    raw_page_id: int
    raw_index: int
    first_seen_at: datetime
    updated_at: datetime


class DataPage(BaseModel):
    """A page of unified rows."""

    request_id: str
    api_latency_ms: Milliseconds
    data: list[Row]
    pagination: Pagination


class DatasetPage(BaseModel):
    """A page of rows of a dataset."""

    request_id: str
    api_latency_ms: Milliseconds
    data: list[DatasetRow]
    pagination: Pagination


class Totals(BaseModel):
    """Sums over all finished runs, and the rows there are."""

    rows: int
    runs: int
    processed: int = Field(description="Records read: the sum of the next five.")
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    failures: int = Field(description="Runs that failed or were interrupted.")
    retries: int = Field(description="Attempts that were repeated.")
    waits: int = Field(description="How often runs waited, before a repetition or for a rate limit.")
    waited_seconds: float
    breaker_changes: int = Field(description="Changes of circuit breakers.")


class Durations(BaseModel):
    """Seconds that runs took."""

    total_seconds: float
    average_seconds: float | None
    last_seconds: float | None = Field(description="Of the latest finished run among `recent_runs`.")


class Success(BaseModel):
    """The latest run that went well."""

    source: str
    finished_at: datetime


class Failure(BaseModel):
    """The latest run that failed or was interrupted."""

    source: str
    finished_at: datetime
    error: str | None


class Run(BaseModel):
    """One run."""

    run_id: int
    source: str
    status: RunStatus
    verdict: Verdict | None = Field(description="What is thought of it, apart from its status; null: not judged.")
    held: HeldState | None = Field(description="Its rows wait, or waited, for a decision.")
    started_at: datetime
    finished_at: datetime | None
    resume_at: datetime | None = Field(description="When a parked run goes on.")
    seconds: float | None
    processed: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    retries: int
    waits: int
    waited_seconds: float
    error_code: str | None
    error: str | None


class SourceStats(BaseModel):
    """One source: sums over its finished runs."""

    source: str
    kind: str
    dataset: str
    rows: int
    runs: int
    failures: int
    processed: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    retries: int
    waits: int
    waited_seconds: float
    breaker_changes: int
    total_seconds: float
    average_seconds: float | None
    last_run_id: int | None
    last_status: RunStatus | None
    resume_at: datetime | None = Field(description="When the source goes on, where its last run was parked.")
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str | None


class HostHealth(BaseModel):
    """The circuit breaker of a host."""

    host: str
    state: Literal["closed", "open", "half_open"] = Field(
        description="`open`: nobody asks it before `retry_at`. `half_open`: one request tries it."
    )
    since: datetime = Field(description="Since it failed; of a closed one, since it answers again.")
    retry_at: datetime | None
    failures: int = Field(description="In a row.")


class HostStats(HostHealth):
    """The circuit breaker of a host, and why."""

    openings: int = Field(description="How often in a row it was left alone.")
    reason: str = Field(description="The last failure, in a few words.")


class Stats(BaseModel):
    """Totals, durations, latest runs and sources."""

    request_id: str
    api_latency_ms: Milliseconds
    totals: Totals
    durations: Durations
    last_success: Success | None
    last_failure: Failure | None
    recent_runs: list[Run]
    sources: list[SourceStats]
    hosts: list[HostStats] = Field(description="Hosts that were ever left alone; the 100 that changed last.")


class DatabaseHealth(BaseModel):
    """Whether the database answers."""

    connected: bool
    latency_ms: float | None


class LastRun(BaseModel):
    """The latest run of all."""

    run_id: int
    source: str
    status: RunStatus
    finished_at: datetime | None


class SourceHealth(BaseModel):
    """How the last finished run of a source ended."""

    source: str
    run_id: int | None
    status: RunStatus | None
    finished_at: datetime | None
    last_success_at: datetime | None


class LateSource(BaseModel):
    """A source that should have run."""

    source: str
    severity: Literal["warning", "critical"]
    due_at: datetime


class ParkedSource(BaseModel):
    """A source that waits until a rate limit resets."""

    source: str
    run_id: int
    resume_at: datetime


class Health(BaseModel):
    """Whether all is well."""

    status: Literal["ok", "degraded", "down"] = Field(
        description="`degraded`: a source failed the last time or is late, or a host is left alone. `down`: the "
        "database cannot be used."
    )
    database: DatabaseHealth
    last_run: LastRun | None
    sources: list[SourceHealth] | None = Field(description="Null where the database is down, or reads need a key.")
    late: list[LateSource] | None = Field(description="Sources that are late now, see `/findings?kind=source_late`.")
    parked: list[ParkedSource] | None = Field(description="Sources that go on by themselves at `resume_at`.")
    hosts: list[HostHealth] | None = Field(description="Hosts that were left alone in the last day.")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(BaseModel):
    """Requests can be served."""

    status: Literal["ready"]


class Fault(BaseModel):
    """One parameter at fault."""

    in_: str = Field(alias="in")
    name: str
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="Stable name of what happened.")
    request_id: str
    trace_id: str | None = Field(default=None, description="Of the trace of the request, where there are traces.")
    errors: list[Fault] | None = Field(default=None, description="Each parameter at fault.")
