"""Times loads with observability on and off, in turn: `python -m bench.observability`.

On is what a production process does: it writes its log, and gathers and writes down metrics; with `--traces` it also
sends traces to a collector on loopback. Off, nobody is told what happens. Whole commands are timed, with start-up.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
import timeit
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.load import declaration, empty, serving, timed, write_file
from bench.sections import write_section
from kasparro.assembly.running import silent
from kasparro.cli.main import main as command
from kasparro.model.events import Emit, Event, Fetched, PageCommitted, PageRead, PagesShaped
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts
from kasparro.observe.logs import configure_logs
from kasparro.observe.metrics import Meter
from kasparro.observe.run_log import log_event
from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer
from kasparro.store.metrics import MetricWriter

EVERY = 5.0
"""Seconds between two times that a process writes its metrics down."""

LIMIT = 0.03
"""Share of the time that observability may cost."""

HEAD = "| what | records | off s | on s | cost | spread |\n|---|---:|---:|---:|---:|---:|"


@asynccontextmanager
async def unmetered(_database: Database, emit: Emit) -> AsyncIterator[Emit]:
    """Gather nothing."""
    yield emit


def run_unobserved(config: str) -> None:
    """Run the sources of a configuration with nobody listening, in this process."""
    with (
        patch("kasparro.assembly.running.metered", unmetered),
        patch("kasparro.cli.run.reporter", lambda **_: nullcontext(silent)),
        patch("sys.argv", ["kasparro", "run", "--config", config]),
    ):
        command()


@contextmanager
def collector() -> Iterator[str]:
    """Take traces, and throw them away; give the address."""

    class Takes(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def seconds(url: str, config: Path, *, on: bool, traces: str | None) -> float:
    """Time a first load into an empty database."""
    empty(url)
    more = {"DATABASE_URL": url, "ENVIRONMENT": "production"}
    if on and traces is not None:
        more["OTEL_EXPORTER_OTLP_ENDPOINT"] = traces
    observed = ["-m", "kasparro", "run", "--config", str(config)]
    unobserved = ["-m", "bench.observability", "--unobserved", str(config)]
    taken, _ = timed([sys.executable, *(observed if on else unobserved)], {**os.environ, **more})
    return taken


def compared(name: str, records: int, repeat: int, measure: Callable[[bool], float]) -> tuple[str, float, float]:
    """Measure off and on in turn, each first every other time; return a line, the cost as a share, and seconds off.

    The cost is the median of those of the pairs: a machine has better and worse minutes, and both of a pair are in one.
    """
    took: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(repeat):
        for on in (False, True) if turn % 2 == 0 else (True, False):
            took[on].append(measure(on))
    off, on_ = statistics.median(took[False]), statistics.median(took[True])
    costs = sorted(one / other - 1 for one, other in zip(took[True], took[False], strict=True))
    cost, spread = statistics.median(costs), f"{costs[0]:+.1%} to {costs[-1]:+.1%}"
    line = f"| {name} | {records:,} | {off:.2f} | {on_:.2f} | {cost:+.1%} | {spread} |"
    print(line, flush=True)
    return line, cost, off


def told_of_a_page() -> tuple[Event, ...]:
    """Return what is told of one page."""
    began: dict[str, float] = {"began": 0.0, "seconds": 0.1}
    of: dict[str, Any] = {"source": "s", "run_id": 1, "slice_name": "a", **began}
    return (
        Fetched(source="s", host="h", method="GET", status=200, bytes_read=1, **began),
        PageRead(records=100, bytes_read=1, **of),
        PagesShaped(pages=1, records=100, **of),
        PageCommitted(counts=Counts(), bytes_read=1, done=None, **of),
    )


def listening(times: int = 20_000) -> float:
    """Return the seconds that those who listen take for what is told of one page."""
    page, meter = told_of_a_page(), Meter()
    configure_logs(level="info", production=True, redact=Redactor([]))

    def told() -> None:
        for event in page:
            meter.emit(event)
            log_event(event)

    return timeit.timeit(told, number=times) / times


async def writing(url: str, times: int = 200) -> float:
    """Return the processor's seconds that it takes a process to write its metrics down once."""
    meter = Meter()
    async with Database(url) as database, database.connection() as connection:
        writer, since = MetricWriter(meter), time.process_time()
        for _ in range(times):
            for event in told_of_a_page():
                meter.emit(event)
            await writer.write(connection)
        return (time.process_time() - since) / times


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=2, help="how often the 336,776 flights are repeated in the file")
    parser.add_argument("--repeat", type=int, default=9, help="how often each is measured")
    parser.add_argument("--traces", action="store_true", help="send traces, too")
    parser.add_argument("--dry", action="store_true", help="leave the file of results as it is")
    parser.add_argument("--unobserved", metavar="CONFIG", help="only run these sources, with nobody listening")
    options = parser.parse_args()
    if options.unobserved is not None:
        run_unobserved(options.unobserved)
        return
    folder = Path(tempfile.mkdtemp(prefix="kasparro-bench-"))
    try:
        with EmbeddedServer(folder / "home") as server, collector() if options.traces else nullcontext() as traces:
            report(server.url, folder, options, traces)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(url: str, folder: Path, options: argparse.Namespace, traces: str | None) -> None:
    """Measure a file and a JSON API, and write what came out."""
    file, small, config = folder / "flights.csv", folder / "small.csv", folder / "kasparro.yaml"
    records, once = write_file(file, options.times), write_file(small, 1)
    print(HEAD, flush=True)
    config.write_text(declaration(str(file), dataset=True))

    def load(on: bool) -> float:  # noqa: FBT001 - one of two
        return seconds(url, config, on=on, traces=traces)

    found = [compared("first load, declared dataset", records, options.repeat, load)]
    for size in (1000, 100):
        with serving(small, size) as address:
            config.write_text(declaration(address, dataset=True, api=True))
            found.append(compared(f"JSON API, {size:,} a page", once, options.repeat, load))
    worst, off = max(cost for _, cost, _ in found), found[-1][2]
    listen, write = listening(), asyncio.run(writing(url))
    alone = once / 100 * listen + (off / EVERY + 1) * write
    said = [
        f"- On: production log, metrics{', traces' if options.traces else ''}. Off: nobody listens.",
        f"- The limit is {LIMIT:.0%}; the most that it costs is {worst:+.1%}.",
        f"- Timed alone: {listen * 1e6:.0f} microseconds a page for those who listen, {write * 1e3:.1f} ms each time",
        f"  that metrics are written down, every {EVERY:.0f} s: {alone / off:.1%} of the load at 100 a page.",
    ]
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores. Medians of {options.repeat}, in turn."
    print(*said, machine, sep="\n")
    if not options.dry:
        head = "Written by `python -m bench.observability`."
        lines = [head, "", *HEAD.splitlines(), *(line for line, _, _ in found), "", *said, "", machine]
        write_section("Observability", lines)


if __name__ == "__main__":
    main()
