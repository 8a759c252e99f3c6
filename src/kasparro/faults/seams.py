"""Puts the wrappers around the seams of a job. What they wrap does not know of them."""

from collections.abc import Callable
from dataclasses import replace

from kasparro.faults.commits import LosingLedger
from kasparro.faults.pages import DisturbedSource
from kasparro.faults.plan import Seam
from kasparro.ingestion.run import Job

AGAIN: frozenset[Seam] = frozenset({"double", "reorder"})
"""Acts that deliver pages again."""


def disturbed_job(job: Job, act: Seam, *, seed: int, append: bool, say: Callable[[str], None]) -> Job:
    """Return a job whose source or ledger is disturbed.

    Args:
        job: As it would run.
        act: What is done.
        seed: Of the dice.
        append: Whether each record becomes a row of its own: then each delivery does, and a page that came again would
            rightly stand there twice. Such a source is given no page again.
        say: Told once, when something was done.
    """
    if append and act in AGAIN:
        return job
    said = False

    def tell() -> None:
        nonlocal said
        if not said:
            say(f"{act} {job.new.source}")
        said = True

    if act == "lose":
        return replace(job, ledger=LosingLedger(job.ledger, seed=seed, tell=tell))
    source = DisturbedSource(source=job.source, act=act, seed=seed, tell=tell)
    # Rejects that come again count again, and are no reason to stop the run.
    return replace(job, source=source, max_rejects=None if act in AGAIN else job.max_rejects)
