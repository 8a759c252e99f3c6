import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.limits.provider import Plan
from tests.integration.stories.conftest import kasparro

__all__ = ["kasparro"]

HERE = Path(__file__).parent

Log = list[tuple[float, str, int]]
"""When each request came, its credentials, and the status of its answer; -1 where that was cut short."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A provider that is running."""

    port: int

    def log(self) -> Log:
        """Return what it has seen."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/log", timeout=10) as answer:
            return [(at, key, status) for at, key, status in json.load(answer)]


Start = Callable[[Plan], Running]


@pytest.fixture
def provider() -> Iterator[Start]:
    """Start a provider in a process of its own."""
    with ExitStack() as stack:

        def start(plan: Plan) -> Running:
            command = [sys.executable, str(HERE / "provider.py"), json.dumps(asdict(plan))]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout is not None
            return Running(port=int(process.stdout.readline()))

        yield start


Read = Callable[..., Any]


@pytest.fixture
async def readers(database_url: str) -> AsyncIterator[Read]:
    """Start worker processes, one for each list of sources, and return what each printed."""
    started: list[asyncio.subprocess.Process] = []

    async def one(task: dict[str, Any]) -> dict[str, Any]:
        command = [sys.executable, str(HERE / "reader.py"), json.dumps({**task, "database": database_url})]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        started.append(process)
        said, _ = await asyncio.wait_for(process.communicate(), 150)
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(said)
        return found

    async def read(groups: list[list[str]], **task: Any) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(one({**task, "sources": group}) for group in groups)))

    yield read
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


def most_within(log: Log, seconds: float) -> int:
    """Return the most requests in any time of that length."""
    moments, most, first = [at for at, _, _ in log], 0, 0
    for last, at in enumerate(moments):
        while moments[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def average(log: Log, *, after: float = 0.0) -> float:
    """Return the requests a second, from so long after the first one to the last one."""
    begin = log[0][0] + after
    counted = [at for at, _, _ in log if at >= begin]
    return (len(counted) - 1) / (counted[-1] - begin)


def enough(limit: float, share: float = 0.9) -> float:
    """Return the least average for a limit: so large a share of it, or 0.7 where the machine has too much to do.

    A permit counts from the answer to its request, so that the limit is kept whatever delays a request. On a machine
    where more wants to run than it has processors, each answer is late, and the rate is lower.
    """
    return limit * (share if os.getloadavg()[0] <= 1.5 * (os.cpu_count() or 1) else 0.7)
