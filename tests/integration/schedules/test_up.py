"""`kasparro up`: everything in one process, its parts kept alive, ended politely; and what its runs say of it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from tests.integration.workers.conftest import (
    EXACT,
    PAGES,
    SIZE,
    Processes,
    Provider,
    commit_held,
    declare,
    exact,
    processes,
    provider,
)

from kasparro.assembly.up import Patience, keep_server, supervised
from kasparro.errors import Broken
from kasparro.store.embedded import EmbeddedServer

__all__ = ["processes", "provider"]

CONFIG: dict[str, Any] = {
    "sources": {
        "bare": {"type": "csv", "path": "bare.csv", "primary_key": "id"},
        "planned": {"type": "csv", "path": "bare.csv", "primary_key": "id", "schedule": "@yearly"},
    }
}


OFTEN = """
from kasparro.assembly import scheduling
from kasparro.cli.main import main
scheduling.EVERY = 1.0
main()
"""
"""The command line, which looks every second, and not every half a minute, for what was declared elsewhere."""


class Up:
    """A process of `kasparro up` on a free port."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.said = folder / "said.txt"
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", OFTEN, "up", "--port", "0"],
                cwd=folder,
                env={**os.environ, "KASPARRO_HOME": str(folder / "home"), "NO_COLOR": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = self.wait(self._address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def text(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")

    def _address(self) -> str | None:
        _, found, rest = self.text().partition("Serving on ")
        return rest.split(" ", 1)[0] if found and " " in rest else None

    def wait(self, found: Any, seconds: float = 90) -> Any:
        """Wait until something is there; it is asked for until then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = found()
            if value:
                return value
            assert self.process.poll() is None, self.text()
            time.sleep(0.05)
        raise AssertionError(self.text())

    def get(self, path: str) -> Any:
        """The answer as JSON; None where there is none."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
                return json.load(answer)
        except (OSError, urllib.error.URLError):
            return None

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)

    def runs(self, source: str, status: str = "success") -> list[Any]:
        page = self.get(f"/runs?source={source}&status={status}")
        return [] if page is None else list(page["data"])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bare.csv").write_text("id,n\n1,2\n2,3\n")
    (tmp_path / "kasparro.yaml").write_text(json.dumps(CONFIG))
    return tmp_path


@pytest.fixture
def up(folder: Path, database_url: str) -> Iterator[Up]:
    with Up(folder, DATABASE_URL=database_url) as started:
        yield started


@pytest.mark.slow
def test_sources_are_run_first_and_served_and_asked_for(up: Up, database_url: str) -> None:
    (first,) = up.wait(lambda: up.runs("bare"))
    up.wait(lambda: up.runs("planned"))
    assert (first["requested_by"], first["due_at"], first["trigger"], first["inserted"]) == ("cli", None, "run", 2)
    shown = up.wait(lambda: [line.split() for line in up.text().splitlines() if line.startswith("bare ")])
    assert [one[:3] for one in shown] == [["bare", "success", "2"]]

    status, job = up.post("/runs", {"source": "bare"})
    assert (status, job["source"], job["workers"]) == (202, "bare", 1)
    up.wait(lambda: (up.get(f"/queue/{job['id']}") or {}).get("status") == "done")
    number = up.get(f"/queue/{job['id']}")["run_id"]
    run = up.get(f"/runs/{number}")
    assert (run["requested_by"], run["job_id"], run["status"], run["unchanged"]) == ("api", job["id"], "success", 0)

    # A due moment comes: every second, which no configuration may ask for. The worker has never heard of it before.
    with psycopg.connect(database_url, autocommit=True) as connection:
        plan = json.dumps({"every": 1, "jitter": 0, "catch_up": True, "grace": None})
        connection.execute("UPDATE source_schedule SET schedule = %s::json, since = now()", [plan])
    planned = up.wait(lambda: [one for one in up.runs("planned") if one["requested_by"] == "schedule"])
    due = datetime.fromisoformat(planned[0]["due_at"])
    assert due.microsecond == 0
    assert timedelta() <= datetime.fromisoformat(planned[0]["started_at"]) - due < timedelta(seconds=30)
    assert up.stop() == 0
    assert "Traceback" not in up.text()
    kept = json.loads(kasparro(up.folder, database_url, "runs", "show", str(planned[0]["id"]), "--json"))
    assert (kept["requested_by"], datetime.fromisoformat(kept["due_at"])) == ("schedule", due)


def kasparro(folder: Path, url: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kasparro", *words],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_second_start_runs_only_what_has_to_be_run(folder: Path, database_url: str) -> None:
    with Up(folder, DATABASE_URL=database_url) as up:
        up.wait(lambda: up.runs("bare") and up.runs("planned"))
        assert up.stop(signal.SIGINT) == 0
    with Up(folder, DATABASE_URL=database_url) as up:
        up.wait(lambda: len(up.runs("bare")) == 2)
        assert len(up.runs("planned")) == 1
        assert up.stop() == 0


@pytest.mark.slow
def test_the_embedded_server_is_killed_and_comes_back(folder: Path) -> None:
    with Up(folder, DATABASE_URL="") as up:
        up.wait(lambda: up.runs("bare"))
        pid_file = folder / "home" / "postgres" / "postmaster.pid"
        pid = int(pid_file.read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGKILL)
        up.wait(lambda: "the embedded PostgreSQL is back" in up.text())
        assert int(pid_file.read_text().split("\n", 1)[0]) != pid
        up.wait(lambda: (up.get("/health") or {}).get("database", {}).get("connected"))
        job = up.wait(lambda: asked(up, "bare"))
        up.wait(lambda: (up.get(f"/queue/{job['id']}") or {}).get("status") == "done")
        assert up.stop() == 0
        assert "Traceback" not in up.text()
    assert not pid_file.exists()  # it was ours, and nobody else uses it


def asked(up: Up, source: str) -> Any:
    try:
        return up.post("/runs", {"source": source})[1]
    except urllib.error.URLError:  # the pool still has connections to the server that is gone
        return None


@pytest.mark.slow
def test_a_stop_finishes_the_commit_in_hand_and_the_next_start_goes_on(
    folder: Path, database_url: str, processes: Processes, provider: Provider
) -> None:
    declare(folder, provider.url, "bare")
    for page in (6, 7):
        provider.hold("bare", page)
    small = {"DATABASE_URL": database_url, "ETL_CHECKPOINT_INTERVAL": str(SIZE)}
    with Up(folder, **small) as up:
        provider.wait_for("bare", 6)
        with commit_held(processes, provider):
            up.process.send_signal(signal.SIGTERM)
            up.wait(lambda: "Stopping after the commit in hand." in up.text())
        assert up.process.wait(60) == 0, up.text()
    inserted = "SELECT status, inserted::int FROM etl_run ORDER BY id"
    assert processes.ask(inserted) == [("stopped", 6 * SIZE)]
    assert processes.ask(EXACT) == exact("bare", pages=6)
    provider.let_go()
    assert processes.ask("SELECT status::text FROM procrastinate_jobs") == [("todo",)]  # it was put back
    with Up(folder, **small) as up:
        up.wait(lambda: up.runs("bare"))
        assert up.stop() == 0
    assert processes.ask(inserted) == [("stopped", 6 * SIZE), ("success", (PAGES - 6) * SIZE)]
    assert processes.ask(EXACT) == exact("bare")


@pytest.mark.slow
def test_told_twice_it_ends_at_once_and_says_so(
    folder: Path, database_url: str, processes: Processes, provider: Provider
) -> None:
    declare(folder, provider.url, "bare")
    provider.hold("bare", 6)
    with Up(folder, DATABASE_URL=database_url, ETL_CHECKPOINT_INTERVAL=str(SIZE)) as up:
        provider.wait_for("bare", 6)
        with commit_held(processes, provider):
            up.process.send_signal(signal.SIGTERM)
            up.process.send_signal(signal.SIGINT)  # so soon that the server has not ended yet, either
            assert up.process.wait(60) == 130, up.text()
    assert "Ended at once. What was committed stays; the next run goes on from there." in up.text()
    assert "Traceback" not in up.text()


async def test_a_server_that_does_not_start_ends_all(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)  # without a cluster
    stop = asyncio.Event()
    patience = Patience(failures=2, first_wait=0.01)
    with pytest.raises(Broken, match=r"The part database failed 2 times in a row.*failed at pg_ctl"):
        await supervised({"database": lambda: keep_server(server, stop)}, stop, patience)


def test_runs_by_hand_say_so(folder: Path, database_url: str) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    kasparro(folder, database_url, "run", "bare")
    listed = kasparro(folder, database_url, "runs", "list", "--json")
    (run,) = [json.loads(line) for line in listed.splitlines()]
    assert (run["requested_by"], run["due_at"], run["job_id"]) == ("cli", None, None)
    assert datetime.fromisoformat(run["started_at"]) > before
