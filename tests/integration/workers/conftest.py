"""Workers as processes, and a provider whose pages wait where a test says so."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from tests.integration.conftest import SESSIONS, environment

COMMAND = [sys.executable, "-m", "kasparro"]
PAGES, SIZE = 12, 50
PATIENCE = 60.0
LEASE = 4
"""Seconds, of a process that is to be lost. The others have twice as long: who waits for a processor is not lost."""

SHORT = {"KASPARRO_LEASE_SECONDS": str(LEASE)}


class Provider:
    """Serves `PAGES` pages of `SIZE` records of any source; a page can be held back until it is let go."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        self.pages = PAGES
        self._held: dict[tuple[str, int], threading.Event] = {}
        self._came = threading.Condition()
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):
                    outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        source, page = parts.path.strip("/"), int(parse_qs(parts.query).get("page", ["1"])[0])
        with self._came:
            self.asked[source, page] += 1
            self._came.notify_all()
        gate = self._held.get((source, page))
        if gate is not None:
            gate.wait(PATIENCE)
        records = [
            {"id": number, "title": f"{source} {number}", "value": number}
            for number in range((page - 1) * SIZE, page * SIZE)
        ]
        body = json.dumps({"items": records if page <= self.pages else []}).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def hold(self, source: str, page: int) -> None:
        """Answer this page only when it is let go."""
        self._held[source, page] = threading.Event()

    def let_go(self) -> None:
        """Answer everything that is held back, and hold nothing any more."""
        held, self._held = self._held, {}
        for gate in held.values():
            gate.set()

    def let_go_of(self, page: int) -> None:
        """Answer this page of every source."""
        for (_, number), gate in self._held.items():
            if number == page:
                gate.set()

    def wait_for(self, source: str, page: int, times: int = 1) -> None:
        """Wait until a page was asked for so many times."""
        with self._came:
            assert self._came.wait_for(lambda: self.asked[source, page] >= times, PATIENCE), dict(self.asked)

    def close(self) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


def declare(folder: Path, url: str, *sources: str, more: str = "") -> Path:
    """Write a configuration; return its file."""
    lines = ["sources:"]
    for name in sources:
        lines += [
            f"  {name}:",
            "    type: api",
            f"    url: {url}/{name}",
            "    records: items",
            "    primary_key: id",
            f"    pagination: {{type: page_number, size: {SIZE}}}",
            "    write_disposition: merge",
        ]
        if more:
            lines.append(f"    {more}")
    file = folder / "kasparro.yaml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def of_pages(url: str, **more: str) -> dict[str, str]:
    """Return the environment of a command."""
    # A commit for each page: a run is somewhere in the middle whenever a test looks.
    small = {"KASPARRO_LEASE_SECONDS": str(2 * LEASE), "ETL_CHECKPOINT_INTERVAL": str(SIZE)}
    return environment(url, **{**small, **more})


class Processes:
    """Commands as processes of their own; all are gone at the end."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url = url
        self._stack = stack
        self._started: list[subprocess.Popen[str]] = []

    def start(self, config: Path, *words: str, **more: str) -> "subprocess.Popen[str]":
        process = self._stack.enter_context(
            subprocess.Popen(
                [*COMMAND, *words, "--config", str(config)],
                env=of_pages(self.url, **more),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=config.parent,
            )
        )
        self._stack.callback(_end, process)
        self._started.append(process)
        return process

    def worker(self, config: Path, name: str, *words: str, **more: str) -> "subprocess.Popen[str]":
        """Start a worker and wait until it is known."""
        process = self.start(config, "worker", "--name", name, *words, **more)
        self.until(f"SELECT count(*) = 1 FROM worker WHERE name = '{name}'")
        return process

    def call(self, config: Path, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *words, "--config", str(config)],
            env=of_pages(self.url),
            capture_output=True,
            text=True,
            cwd=config.parent,
            check=False,
        )

    def queue(self, config: Path, *words: str) -> None:
        """Queue runs of all sources, or of those that are named."""
        done = self.call(config, "run", "--queue", *words)
        assert done.returncode == 0, done.stderr

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def until(self, statement: str) -> None:
        """Wait until a question is answered with yes."""
        deadline = time.monotonic() + PATIENCE
        with psycopg.connect(self.url, autocommit=True) as connection:
            while connection.execute(statement.encode()).fetchall() != [(True,)]:
                for process in self._started:
                    assert process.poll() in {None, 0, 130, -signal.SIGKILL}, process.communicate()[0]
                assert time.monotonic() < deadline, (statement, self.state())
                time.sleep(0.05)  # the other process works meanwhile

    def state(self) -> Mapping[str, Any]:
        """What there is to see when a test waits in vain."""
        return {
            "jobs": self.ask("SELECT id, status, worker_id, attempts, scheduled_at, args FROM procrastinate_jobs"),
            "runs": self.ask("SELECT id, source, status, error, holder FROM etl_run ORDER BY id"),
            "workers": self.ask("SELECT id, name, heartbeat_at, clock_timestamp() FROM worker"),
        }

    def drained(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        self.until("SELECT count(*) = 0 FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    if process.stdout is not None and not process.stdout.closed:
        process.stdout.read()


@pytest.fixture
def processes(database_url: str) -> Iterator[Processes]:
    with ExitStack() as stack:
        yield Processes(database_url, stack)


@contextmanager
def commit_held(processes: Processes, provider: Provider) -> Iterator[None]:
    """Answer page 6, which is held back; its commit is begun, as all before are done, and cannot end in the block."""
    processes.until(f"SELECT extracted = {5 * SIZE} FROM etl_run")
    with psycopg.connect(processes.url) as connection:
        connection.execute("LOCK TABLE raw_page IN SHARE ROW EXCLUSIVE MODE")
        provider.let_go_of(6)
        processes.until(f"SELECT count(*) > 0 {SESSIONS} AND wait_event_type = 'Lock'")
        yield


Stop = Callable[["subprocess.Popen[str]"], str]


@pytest.fixture
def stop() -> Stop:
    """Tell a process to end; return what it said."""

    def told(process: "subprocess.Popen[str]") -> str:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out
        return out

    return told


def said_to_stop(process: "subprocess.Popen[str]") -> None:
    """Wait until a process says that it stops."""
    for line in process.stdout or ():
        if "Stopping" in line:
            return
    raise AssertionError("it has ended without a word")


EXACT = (
    "SELECT source, count(*), count(DISTINCT record_key), sum(value)::bigint FROM normalized_data GROUP BY 1 ORDER BY 1"
)


def exact(*sources: str, pages: int = PAGES) -> list[tuple[str, int, int, int]]:
    """What `EXACT` answers when every record is there once."""
    rows = pages * SIZE
    return [(source, rows, rows, sum(range(rows))) for source in sorted(sources)]
