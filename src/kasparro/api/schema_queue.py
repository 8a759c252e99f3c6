"""What is asked of the queue and what it answers, for the OpenAPI document; see `schema`."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from kasparro.store.queue import By, State, Trigger


class RunRequest(BaseModel):
    """A run that is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\u0000-\u001f]+$",
        description="Name of a source that has run, has a schedule, or is declared by a worker.",
    )
    full_refresh: bool = Field(default=False, description="Read everything anew; rows that are not met again go.")


class Job(BaseModel):
    """A run in the queue."""

    id: int
    source: str
    status: State = Field(
        description="`done`: it was run, well or not, which the run tells; `failed`: it could not be run, by its "
        "declaration; `dropped`: it was cancelled, or another one that waits stands for it."
    )
    at: datetime | None = Field(description="When it may begin; null: at once.")
    trigger: Trigger = Field(description="What kind of run.")
    requested_by: By = Field(description="Who asked for it first.")
    due_at: datetime | None = Field(description="The moment of the schedule that it is for; null: it is for none.")
    attempts: int = Field(description="How often it was begun and put back.")


class QueuedJob(Job):
    """A run in the queue, and what became of it so far."""

    worker: str | None = Field(description="Who has it in hand.")
    run_id: int | None = Field(description="The latest run that it came to.")


class AskedJob(Job):
    """A run that was asked for."""

    request_id: str
    api_latency_ms: float
    new: bool = Field(description="False: it waited already.")
    workers: int = Field(description="Workers that live and take runs of the source; with 0 it waits for one.")


class OneJob(QueuedJob):
    """One run of the queue."""

    request_id: str
    api_latency_ms: float


class QueuePagination(BaseModel):
    """Where the list stands."""

    limit: int
    has_more: bool


class QueuePage(BaseModel):
    """Runs that are under way or wait."""

    request_id: str
    api_latency_ms: float
    data: list[QueuedJob]
    pagination: QueuePagination
