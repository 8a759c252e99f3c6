"""Waits that are too long for a run: it commits what it has, ends as parked, and its source goes on later.

A wait that somebody asked for is never cut short. It is waited for in full, or the run parks.
"""

from kasparro.errors import KasparroError, RateLimited, Transient

LONGEST_WAIT = 60.0
"""Seconds: a wait that is asked for and is longer parks the run, where its source says nothing else."""

LONGEST_PARKED = 7 * 86_400.0
"""Seconds: a source that is told to wait for longer fails instead. Somebody should look at what it was told."""


def parked(error: Transient, wait: float) -> RateLimited:
    """Return the error that ends a run for so many seconds; or one that fails it, where nobody waits for so long."""
    facts = {**error.facts, "retry_after": wait}
    if wait > LONGEST_PARKED:
        return RateLimited(
            f"{error.message}: that is {wait / 86_400:,.0f} days, longer than the {LONGEST_PARKED / 86_400:.0f} days "
            "that a source is parked for. Look at what its Retry-After says",
            **{**facts, "park": False},
        )
    return RateLimited(error.message, **{**facts, "park": True})


def parks(error: KasparroError) -> float | None:
    """Return for how many seconds an error parks the run that it ends; None where it does not."""
    if not isinstance(error, RateLimited) or not error.facts.get("park"):
        return None
    wait = error.retry_after
    return wait if wait is not None and 0 <= wait <= LONGEST_PARKED else None
