"""The Engine seam: where work is run, and how much of it at a time."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Engine(Protocol):
    """Runs jobs that do not depend on each other."""

    async def run(self, jobs: Sequence[Callable[[], Awaitable[Result]]]) -> list[Result]:
        """Run them all and return their results in the same order. A job does not raise for what it can report."""
        ...
