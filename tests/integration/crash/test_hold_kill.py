"""A run with a gate, and its release, killed and raced: nothing is visible unjudged, nothing is put in twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.conftest import LOCKS, SESSIONS, environment

LINES = 60_000
OLD = 1_000
Begin = Callable[..., "subprocess.Popen[str]"]

STATE = "SELECT count(*), count(amount) FROM data.d"


def write(folder: Path, *, lines: int, amounts: bool) -> None:
    """Write the file: without amounts it looks wrong; every tenth key comes again at the end with another name."""
    last = ",amount" if amounts else ""
    rows = [(n, f"n{n}") for n in range(lines)] + [(n, f"m{n}") for n in range(0, lines, 10)]
    text = f"id,name{last}\n" + "".join(f"{n},{name}{f',{n}' if amounts else ''}\n" for n, name in rows)
    (folder / "s.csv").write_text(text)


@pytest.fixture
def begin(tmp_path: Path, database_url: str) -> Iterator[Begin]:
    source = {"type": "csv", "path": "s.csv", "primary_key": "id", "dataset": "d", "hold_on": "suspicious"}
    dataset = {"fields": {"id": "integer", "name": "text", "amount": "numeric"}}
    (tmp_path / "kasparro.yaml").write_text(json.dumps({"sources": {"s": source}, "datasets": {"d": dataset}}))

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "kasparro", *arguments],
            env=environment(database_url, KASPARRO_PAGE_BYTES="65536"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )
        stack.enter_context(process)
        stack.callback(process.kill)
        return process

    with ExitStack() as stack:
        yield start


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    said, _ = process.communicate(timeout=120)
    assert process.returncode == code, said
    return said


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]


def until(url: str, question: str, process: "subprocess.Popen[str] | None" = None) -> None:
    """Wait until a question has a true answer."""
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute(question).fetchall()[0][0]:  # type: ignore[arg-type,unused-ignore]
            assert process is None or process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.002)  # the other process works meanwhile


@pytest.fixture
def held(begin: Begin, tmp_path: Path, database_url: str) -> int:
    """Number of a held run: 1,000 rows lose their amounts, and as many come."""
    write(tmp_path, lines=OLD, amounts=True)
    ended(begin("run"))
    write(tmp_path, lines=2 * OLD, amounts=False)
    ended(begin("run"), 3)
    return int(ask(database_url, "SELECT id FROM etl_run WHERE held = 'held'")[0][0])


@pytest.mark.slow
def test_killed_in_the_lane_it_goes_on_and_is_judged_as_a_whole(
    begin: Begin, tmp_path: Path, database_url: str
) -> None:
    write(tmp_path, lines=OLD, amounts=True)
    ended(begin("run"))
    write(tmp_path, lines=LINES, amounts=False)
    for round_ in range(2):
        process = begin("run")
        staged = f"SELECT count(*) >= {3 * (round_ + 1)} FROM staged_page"
        until(database_url, staged, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert ask(database_url, STATE) == [(OLD, OLD)]
    said = ended(begin("run"), 3)
    assert "going on from the last checkpoint" in said
    assert f"{LINES - OLD:,} new" in said.replace("\u202f", ",")
    assert ask(database_url, STATE) == [(OLD, OLD)]
    assert ask(database_url, "SELECT array_agg(status ORDER BY id) FROM etl_run") == [
        (["success", "interrupted", "interrupted", "success"],)
    ]
    ended(begin("runs", "release", "4"))
    assert ask(database_url, STATE) == [(LINES, 0)]
    assert ask(database_url, "SELECT count(*) FROM data.d WHERE name LIKE 'm%'") == [(LINES // 10,)]
    assert ask(database_url, "SELECT extracted, inserted FROM etl_run WHERE id = 4") == [
        (LINES + LINES // 10, LINES - OLD)
    ]
    assert ask(database_url, "SELECT sum(rows)::bigint FROM dataset_total") == [(LINES,)]
    assert ask(database_url, "SELECT lane, finished FROM etl_checkpoint") == [("", True)]
    again = ended(begin("run"))
    assert "success" in again


@pytest.mark.slow
def test_a_release_that_is_killed_has_changed_nothing(begin: Begin, database_url: str, held: int) -> None:
    everything = (
        "SELECT md5(string_agg(row::text, '' ORDER BY record_key)) FROM data.d AS row",
        "SELECT id, status, held, extracted, inserted FROM etl_run ORDER BY id",
        "SELECT lane, slice, bookmark::text, pages FROM etl_checkpoint ORDER BY lane",
        "SELECT max(version) FROM source_schema",
        "SELECT rows, changes FROM dataset_total ORDER BY shard",
    )
    before = [ask(database_url, one) for one in everything]
    with psycopg.connect(database_url) as blocking:
        blocking.execute("SELECT FROM etl_source FOR UPDATE")  # the release comes here when the rows are written
        process = begin("runs", "release", str(held))
        until(database_url, f"SELECT count(*) > 0 {SESSIONS} AND wait_event_type = 'Lock'", process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert [ask(database_url, one) for one in everything] == before
    until(database_url, f"SELECT count(*) = 0 {LOCKS}")
    assert [ask(database_url, one) for one in everything] == before
    ended(begin("runs", "release", str(held)))
    assert ask(database_url, STATE) == [(2 * OLD, 0)]


@pytest.mark.slow
def test_two_releases_at_once_put_the_rows_in_once(begin: Begin, database_url: str, held: int) -> None:
    with psycopg.connect(database_url) as blocking:
        blocking.execute("SELECT FROM etl_source FOR UPDATE")
        first = begin("runs", "release", str(held))
        until(database_url, f"SELECT count(*) > 0 {SESSIONS} AND wait_event_type = 'Lock'", first)
        for command in (("runs", "release", str(held)), ("runs", "drop", str(held)), ("run",)):
            said = ended(begin(*command), 1)
            assert "under way" in said
        looking = begin("runs", "held", str(held))
        until(database_url, f"SELECT count(*) > 1 {SESSIONS} AND wait_event_type = 'Lock'", looking)
    assert "was released already" in ended(looking, 1)
    assert f"Released run {held} of s" in ended(first)
    assert "was released already" in ended(begin("runs", "release", str(held)), 1)
    assert ask(database_url, STATE) == [(2 * OLD, 0)]
    counts = "SELECT inserted, updated + unchanged + duplicates FROM etl_run WHERE id = 2"
    assert ask(database_url, counts) == [(OLD, OLD + 2 * OLD // 10)]
    assert ask(database_url, "SELECT sum(rows)::bigint FROM dataset_total") == [(2 * OLD,)]


@pytest.mark.slow
def test_what_could_not_be_judged_stays_invisible_and_is_judged_by_the_next_run(
    begin: Begin, tmp_path: Path, database_url: str
) -> None:
    write(tmp_path, lines=OLD, amounts=True)
    ended(begin("run"))
    write(tmp_path, lines=2 * OLD, amounts=False)
    ask(database_url, "SELECT 1")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE finding RENAME TO elsewhere")
        said = ended(begin("run"), 1)
        connection.execute("ALTER TABLE elsewhere RENAME TO finding")
    assert "finding" in said
    assert ask(database_url, STATE) == [(OLD, OLD)]
    assert "going on from the last checkpoint" in ended(begin("run"), 3)
    assert ask(database_url, STATE) == [(OLD, OLD)]
    assert ask(database_url, "SELECT status, held FROM etl_run ORDER BY id") == [
        ("success", None),
        ("failed", None),
        ("success", "held"),
    ]


@pytest.mark.slow
def test_a_lane_without_an_end_is_given_up_by_a_run_without_a_gate(
    begin: Begin, tmp_path: Path, database_url: str
) -> None:
    write(tmp_path, lines=OLD, amounts=True)
    ended(begin("run"))
    write(tmp_path, lines=LINES, amounts=False)
    process = begin("run")
    until(database_url, "SELECT count(*) >= 3 FROM staged_page", process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = ask(database_url, STATE)
    ended(begin("replay", "s"))  # pages that were not judged are not put in by a replay either
    assert ask(database_url, STATE) == before
    config = (tmp_path / "kasparro.yaml").read_text()
    (tmp_path / "kasparro.yaml").write_text(config.replace(', "hold_on": "suspicious"', ""))
    ended(begin("run"))
    assert ask(database_url, STATE) == [(LINES, 0)]
    assert ask(database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'refresh'") == [(0,)]
    assert ask(database_url, "SELECT (SELECT count(*) FROM staged_page), (SELECT count(*) FROM etl_refresh)") == [
        (0, 0)
    ]
