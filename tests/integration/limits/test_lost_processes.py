"""Processes that are killed or frozen while they hold permits: the limit is kept, and used again by the others."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.integration.limits.conftest import HERE, Log, Running, Start, average, enough, most_within
from tests.integration.limits.provider import Plan

LIMIT = 20

Spawn = Callable[[Running, list[str]], subprocess.Popen[bytes]]


@pytest.fixture
def spawn(database_url: str) -> Iterator[Spawn]:
    """Start a process that fetches without end; it is killed with the test."""
    with ExitStack() as stack:

        def start(running: Running, sources: list[str]) -> subprocess.Popen[bytes]:
            task = {"port": running.port, "database": database_url, "sources": sources, "rate": f"{LIMIT}/s"}
            command = [sys.executable, str(HERE / "reader.py"), json.dumps({**task, "pages": 100_000, "fetch": True})]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
            return process

        yield start


def seen(running: Running, requests: int, seconds: float = 60.0) -> Log:
    """Wait until the provider has seen so many requests, and return its log."""
    deadline = time.monotonic() + seconds
    while len(log := running.log()) < requests and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(log) >= requests
    return log


@pytest.mark.slow
def test_a_process_that_is_killed_gives_its_permits_back(provider: Start, spawn: Spawn) -> None:
    running = provider(Plan(limit=LIMIT, pages=100_000))
    first, _ = spawn(running, ["a", "b"]), spawn(running, ["c", "d"])
    before = len(seen(running, 60))
    first.kill()
    log = seen(running, before + 200)
    assert most_within(log, 1.0) <= LIMIT
    assert average(log[-60:]) >= enough(LIMIT, 0.8)


@pytest.mark.slow
def test_a_process_that_was_frozen_past_its_lease_does_not_use_what_it_held(provider: Start, spawn: Spawn) -> None:
    running = provider(Plan(limit=LIMIT, pages=100_000))
    first, _ = spawn(running, ["a", "b"]), spawn(running, ["c", "d"])
    before = len(seen(running, 60))
    first.send_signal(signal.SIGSTOP)
    during = len(seen(running, before + 130))
    first.send_signal(signal.SIGCONT)
    log = seen(running, during + 60)
    assert most_within(log, 1.0) <= LIMIT
