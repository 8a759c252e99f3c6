"""Who asked for a run, and for which due moment: what its record says of that."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kasparro.ingestion.run import Job
from kasparro.store.queue import By


def asked(by: By, *, due: datetime | None = None, job_id: int | None = None) -> Callable[[Job], Job]:
    """Return what writes into a job who asked for it, for `run_config`.

    Args:
        by: Who.
        due: The due moment that it is for.
        job_id: Its number in the queue.
    """

    def wrap(job: Job) -> Job:
        return replace(job, new=replace(job.new, requested_by=by, due_at=due, job_id=job_id))

    return wrap
