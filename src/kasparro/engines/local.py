"""Runs jobs in this process, a bounded number at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """At most `limit` jobs at a time."""

    limit: int

    async def run(self, jobs: Sequence[Callable[[], Awaitable[Result]]]) -> list[Result]:
        """Run them all and return their results in the same order."""
        free = asyncio.Semaphore(self.limit)

        async def bounded(job: Callable[[], Awaitable[Result]]) -> Result:
            async with free:
                return await job()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bounded(job)) for job in jobs]
        return [task.result() for task in tasks]
