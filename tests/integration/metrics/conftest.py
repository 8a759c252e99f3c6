"""Whole processes: servers on ports of their own, and runs beside them."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.conftest import environment

COMMAND = [sys.executable, "-m", "kasparro"]


@dataclass(frozen=True)
class Server:
    """A process that serves the API."""

    process: "subprocess.Popen[str]"
    address: str

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.address}{path}", trust_env=False, timeout=30)

    def scrape(self) -> dict[str, float]:
        """Return each sample by its name and the values of its labels, as `name a b`, in the order of the labels."""
        answer = self.get("/metrics")
        assert answer.status_code == 200, answer.text
        return {
            " ".join([sample.name, *(sample.labels[name] for name in sample.labels)]): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


Serve = Callable[[], Server]
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def serve(database_url: str) -> Iterator[Serve]:
    """Start a server on a free port."""
    with ExitStack() as stack:

        def start() -> Server:
            process = subprocess.Popen(
                [*COMMAND, "serve", "--port", "0"],
                env=environment(database_url),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            said = process.stdout.readline() if process.stdout is not None else ""
            found = re.search(r"http://localhost:\d+", said)
            assert found is not None, said
            return Server(process=process, address=found[0].replace("localhost", "127.0.0.1"))

        yield start


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Iterator[Run]:
    """Start a command in the folder of the test."""
    with ExitStack() as stack:

        def start(*words: str, **more: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [*COMMAND, *words],
                env=environment(database_url, **more),
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def done(run: Run) -> Callable[..., str]:
    """Carry out a command; return what it said."""

    def carried_out(*words: str, codes: tuple[int, ...] = (0, 3)) -> str:
        process = run(*words)
        said, _ = process.communicate(timeout=120)
        assert process.returncode in codes, said
        return said

    return carried_out
