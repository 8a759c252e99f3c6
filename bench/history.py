"""Times every question about runs and findings on a long history: `python -m bench.history`.

A scratch database with a million runs of 200 sources and ten million findings, seeded by SQL; then each endpoint over
HTTP against a server process of its own, and the statements of the command line and of a run, one after the other.
Values are chosen anew for each request: common, rare and absent ones, and those that are only far back in the history.
"""

import argparse
import asyncio
import http.client
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import orjson
import psycopg

from bench.history_seed import KINDS, OLD_KIND, Size, seed
from bench.sections import write_section
from kasparro.assembly.lateness import find_late
from kasparro.model.facts import FieldFacts, RunFacts
from kasparro.model.finding import Finding
from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer
from kasparro.store.operator import Operator
from kasparro.store.runs import NewRun, Runs
from kasparro.store.watch import Watch

LIMIT = 100.0
"""Milliseconds that nineteen of twenty may take at most."""

HEAD = "| what | p50 ms | p95 ms | max ms |\n|---|---:|---:|---:|"

LOOK = "a look for late sources, once a minute in the background"

Given = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Milliseconds of many requests of one kind."""

    name: str
    took: Sequence[float]

    @property
    def p95(self) -> float:
        """What nineteen of twenty stay below."""
        return statistics.quantiles(self.took, n=20)[-1]

    def __str__(self) -> str:
        return f"| {self.name} | {statistics.median(self.took):.1f} | {self.p95:.1f} | {max(self.took):.1f} |"


def questions(size: Size, dice: random.Random) -> dict[str, Callable[[], str]]:
    """Return what is asked over HTTP, by name: each call gives another address."""

    def source() -> str:
        return dice.choice([*(f"source-{dice.randrange(200):03d}" for _ in range(8)), "retired", "nobody"])

    def anywhere(top: int) -> int:
        return dice.randrange(2, top)

    values: dict[str, Callable[[], object]] = {
        "source": source,
        "status": lambda: dice.choice(("success", "failed", "partial", "stopped", "interrupted", "running")),
        "verdict": lambda: dice.choice(("ok", "suspicious", "bad")),
        "severity": lambda: dice.choice(("info", "warning", "critical")),
        "kind": lambda: dice.choice((*KINDS, OLD_KIND, "nothing_like_it")),
        "run_id": lambda: dice.choice((size.wide_run, anywhere(size.runs), size.runs - 1)),
    }

    def ask(path: str, filters: Sequence[str], top: int | None) -> Callable[[], str]:
        def address() -> str:
            given: Given = {name: values[name]() for name in filters}
            if top is not None:
                given["before"] = anywhere(top)
            return f"{path}?{urlencode({**given, 'limit': dice.choice((10, 100))})}"

        return address

    asked: dict[str, Callable[[], str]] = {}
    for path, names, top in (
        ("/runs", ("source", "status", "verdict"), size.runs),
        ("/findings", ("source", "kind", "severity", "run_id"), size.findings),
    ):
        for filters in _some(names):
            shown = "&".join(f"{one}=" for one in filters)
            asked[f"`{path}{'?' if shown else ''}{shown}`"] = ask(path, filters, None)
            asked[f"`{path}?{'&'.join(filter(None, (shown, 'before=')))}`"] = ask(path, filters, top)
    recent = size.runs - size.profiled
    asked |= {
        "`/runs/{id}`": lambda: f"/runs/{anywhere(size.runs)}",
        "`/runs/{id}`, 10,000 findings": lambda: f"/runs/{size.wide_run}",
        "`/runs/{id}`, no such run": lambda: f"/runs/{size.runs + 10**9}",
        "`/runs/compare`": lambda: (
            f"/runs/compare?base={recent + anywhere(10_000)}&head={size.runs - anywhere(10_000)}"
        ),
        "`/health`": lambda: "/health",
        "`/metrics`": lambda: "/metrics",
        "`/stats?limit=5`": lambda: "/stats?limit=5",
        "`/stats?limit=100`": lambda: "/stats?limit=100",
        "the page at `/`": lambda: "/",
    }
    return asked


def _some(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield each combination of names, none of them first."""
    for bits in range(1 << len(names)):
        yield tuple(name for place, name in enumerate(names) if bits >> place & 1)


@contextmanager
def serving(url: str, home: Path) -> Iterator[http.client.HTTPConnection]:
    """Serve the database by a process of its own; give a connection to it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": url, "KASPARRO_HOME": str(home / "none"), "LOG_LEVEL": "error"}
    command = [sys.executable, "-m", "kasparro", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, cwd=home, stdout=subprocess.DEVNULL) as process:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            for _ in range(200):
                try:
                    connection.request("GET", "/readyz")
                    connection.getresponse().read()
                    break
                except OSError:
                    connection.close()
                    time.sleep(0.1)
            yield connection
        finally:
            connection.close()
            process.terminate()


def over_http(connection: http.client.HTTPConnection, name: str, address: Callable[[], str], times: int) -> Line:
    """Ask one kind of question so many times."""
    took = []
    for number in range(times + 5):
        where = address()
        since = time.perf_counter()
        connection.request("GET", where)
        answer = connection.getresponse()
        body = answer.read()
        if number >= 5:  # the first ones fill caches of the process
            took.append((time.perf_counter() - since) * 1000)
        if answer.status not in {200, 404}:
            raise SystemExit(f"{where} answered {answer.status}: {body[:300]!r}")
    return Line(name=name, took=took)


async def awaited(name: str, times: int, question: Callable[[], Awaitable[object]]) -> Line:
    """Do one thing so many times."""
    took = []
    for number in range(times + 5):
        since = time.perf_counter()
        await question()
        if number >= 5:
            took.append((time.perf_counter() - since) * 1000)
    return Line(name=name, took=took)


async def inside(url: str, size: Size, dice: random.Random, times: int) -> list[Line]:
    """Time the statements of the command line, of a run and of the look for late sources."""

    def source() -> str:
        return f"source-{dice.randrange(200):03d}"

    async with Database(url, size=4) as database:
        operator, watch, runs = Operator(database), Watch(database), Runs(database)

        async def run() -> None:
            """Begin a run, look at what it is judged by, judge it and end it."""
            new = NewRun(
                source=source(), kind="csv", dataset="normalized_data", origin="x", config_hash="x", code_version="0"
            )
            since = time.perf_counter()
            async with runs.begin(new) as begun:
                steps["a run begins"].append(time.perf_counter() - since)
                since = time.perf_counter()
                seen = await watch.seen(begun.run_id)
                steps["what a run is judged by"].append(time.perf_counter() - since)
                facts = RunFacts(
                    started_at=seen.started_at,
                    seconds=1.0,
                    records=10,
                    rejected=0,
                    bytes_read=10,
                    newest=None,
                    fields={"a": FieldFacts(null_share=0.0, distinct=5.0, records=10)},
                )
                finding = Finding(kind="row_count_low", severity="warning", subject="run", message="said")
                since = time.perf_counter()
                await watch.judged(begun.run_id, seen, facts, [finding], None)
                steps["a judgement is kept"].append(time.perf_counter() - since)
                since = time.perf_counter()
                await runs.finish(begun.run_id, "success", None)
                steps["a run ends"].append(time.perf_counter() - since)

        steps: dict[str, list[float]] = {
            name: [] for name in ("a run begins", "what a run is judged by", "a judgement is kept", "a run ends")
        }
        lines = [
            await awaited("`kasparro runs list`", times, operator.runs),
            await awaited("`kasparro runs list SOURCE`", times, lambda: operator.runs(source())),
            await awaited("`kasparro findings`", times, watch.findings),
            await awaited(
                "`kasparro findings SOURCE --kind`", times, lambda: watch.findings(source=source(), kind=OLD_KIND)
            ),
            await awaited("`kasparro findings --run`", times, lambda: watch.findings(run_id=size.wide_run)),
        ]
        await awaited("", times, run)
        lines += [Line(name=name, took=[one * 1000 for one in took[5:]]) for name, took in steps.items()]
        lines.append(await awaited(LOOK, times, lambda: find_late(database)))
        return lines


def main() -> None:
    """Seed, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="runs of the history")
    parser.add_argument("--findings", type=int, default=10_000_000, help="findings of the history")
    parser.add_argument("--times", type=int, default=200, help="how often each question is asked")
    parser.add_argument("--keep", type=Path, help="folder that the database is kept in, and found in the next time")
    options = parser.parse_args()
    made = tempfile.TemporaryDirectory(prefix="kasparro-bench-")
    with made as folder, EmbeddedServer((options.keep or Path(folder)) / "home") as server:
        size = Size(runs=options.runs, findings=options.findings)
        seed(server.url, size, lambda line: print(line, flush=True))
        measure(server.url, Path(folder), size, options.times)


def measure(url: str, folder: Path, size: Size, times: int) -> None:
    """Ask everything, and write what came out."""
    dice = random.Random(1)
    lines: list[Line] = []

    def note(line: Line) -> None:
        lines.append(line)
        print(line, flush=True)

    print(HEAD, flush=True)
    with serving(url, folder) as connection:
        for name, address in questions(size, dice).items():
            note(over_http(connection, name, address, times))
    for line in asyncio.run(inside(url, size, dice, times)):
        note(line)
    slow = [line.name for line in lines if line.p95 > LIMIT and line.name != LOOK]
    with psycopg.connect(url) as connection_:
        version = orjson.dumps((connection_.execute("SHOW server_version").fetchone() or ("?",))[0]).decode().strip('"')
    machine = f"PostgreSQL {version}, fsync on, Python {platform.python_version()}, {os.cpu_count()} cores."
    said = [
        f"- {size.runs:,} runs of 200 sources, {size.findings:,} findings; each line {times} times, one by one.",
        f"- Of what somebody waits for, slower than {LIMIT:.0f} ms at p95: {', '.join(slow) or 'nothing'}.",
    ]
    print(*said, machine, sep="\n")
    text = ["Written by `python -m bench.history`.", "", HEAD, *map(str, lines), "", *said, "", machine]
    write_section("History", text)


if __name__ == "__main__":
    main()
