"""What the answers about runs and findings look like, for the OpenAPI document; see `schema`."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from kasparro.model.finding import Severity, Verdict
from kasparro.model.held import HeldState
from kasparro.model.run import RunStatus


class ListPagination(BaseModel):
    """Where a list stands."""

    limit: int
    has_more: bool
    next_before: int | None = Field(description="Give it as `before` to go on; null at the end.")


class RunRecord(BaseModel):
    """A run."""

    id: int
    source: str
    trigger: str = Field(description="What began it: `run`, `full_refresh`, `replay`, `backfill`, `rejects`.")
    requested_by: str | None = Field(
        description="Who asked for it: `schedule`, `api`, `cli`, `resume`; null: another program."
    )
    due_at: datetime | None = Field(description="The moment of the schedule that it is for; null: it is for none.")
    job_id: int | None = Field(description="Its number in `/queue`; null: it was not queued.")
    status: RunStatus
    verdict: Verdict | None = Field(description="What is thought of it, apart from its status; null: not judged.")
    held: HeldState | None = Field(description="Its rows wait for a decision, or what it was; null: they never did.")
    decided_by: str | None = Field(description="Who released or dropped them.")
    decided_at: datetime | None
    skipped: bool = Field(description="They were dropped, and the next run goes on behind them.")
    started_at: datetime
    finished_at: datetime | None
    resume_at: datetime | None = Field(description="When a parked run goes on.")
    extracted: int = Field(description="Records read: the sum of the next five.")
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    deleted: int = Field(description="Rows that a full refresh did not meet again.")
    pages: int
    bytes: int
    retries: int = Field(description="Attempts that were repeated.")
    waits: int = Field(description="How often it waited, before a repetition or for a rate limit.")
    waited_seconds: float = Field(description="How long, over all of its slices.")
    breaker_changes: int = Field(description="How often it changed the circuit breaker of a host.")
    schema_version: int | None = Field(description="Version of the schema that it was judged by.")
    config_hash: str
    code_version: str
    error_code: str | None
    error: str | None


class FindingRecord(BaseModel):
    """One observation about a run or a schema."""

    id: int
    source: str
    run_id: int | None = Field(description="Null: it is about the source, as that it is late.")
    kind: str
    severity: Severity
    subject: str = Field(description="`run`, or the path of a field.")
    message: str
    expected: Any = Field(description="What was to be expected: a range, a type, a share.")
    observed: Any
    facts: Any
    created_at: datetime


class RunPage(BaseModel):
    """A part of the list of runs."""

    request_id: str
    api_latency_ms: float
    data: list[RunRecord]
    pagination: ListPagination


class FindingPage(BaseModel):
    """A part of the list of findings."""

    request_id: str
    api_latency_ms: float
    data: list[FindingRecord]
    pagination: ListPagination


class Run(RunRecord):
    """A run, with its findings."""

    request_id: str
    api_latency_ms: float
    findings: list[FindingRecord]


class Comparison(BaseModel):
    """How two runs differ."""

    request_id: str
    api_latency_ms: float
    base: int
    head: int
    same_source: bool
    numbers: dict[str, Any] = Field(description="By name: base, head, change and ratio.")
    texts: dict[str, Any] = Field(description="By name, only those that differ: base and head.")
    fields: dict[str, Any] | None = Field(description="By path: base, head and what differs; null: no longer kept.")
    drift: list[Any] = Field(description="How the records of head differ from those of base.")
