"""A refresh or replay that is killed or frozen: nobody sees anything of it before its end, and it goes on."""

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
from tests.integration.conftest import LOCKS, environment

LINES = 60_000
Begin = Callable[..., "subprocess.Popen[str]"]

CONFIG = """\
sources:
  s: {type: csv, path: s.csv, primary_key: id, dataset: d, mapping: {name: {sql: "%s({name})"}}}
datasets:
  d: {fields: {id: integer, name: text}}
"""

LEASE = {"KASPARRO_LEASE_SECONDS": "4"}
HELD = f"SELECT pid {LOCKS}"

STATE = "SELECT count(*), min(name), max(name) FROM data.d"


def write(folder: Path, word: str, function: str = "lower") -> None:
    lines = "".join(f"{n},{word}{n:06d}\n" for n in range(LINES))
    (folder / "s.csv").write_text("id,name\n" + lines)
    (folder / "kasparro.yaml").write_text(CONFIG % function)


@pytest.fixture
def begin(tmp_path: Path, database_url: str) -> Iterator[Begin]:

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "kasparro", *arguments],
            env=environment(database_url, KASPARRO_PAGE_BYTES="65536", **LEASE),
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


def ended(process: "subprocess.Popen[str]") -> None:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]


def wait_for(url: str, lane: str, process: "subprocess.Popen[str]") -> None:
    """Wait until a refresh or replay has committed a few pages."""
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        question = "SELECT coalesce(max(pages), 0) FROM etl_checkpoint WHERE lane = %s"
        while connection.execute(question, [lane]).fetchall()[0][0] < 3:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.002)  # the other process works meanwhile


@pytest.mark.slow
@pytest.mark.parametrize(("command", "lane"), [("run s --full-refresh", "refresh"), ("replay s", "replay")])
def test_killed_in_the_middle_it_goes_on_and_takes_effect_at_once(
    begin: Begin, tmp_path: Path, database_url: str, command: str, lane: str
) -> None:
    write(tmp_path, "a")
    ended(begin("run"))
    write(tmp_path, "b" if lane == "refresh" else "a", "upper")
    for _ in range(2):
        process = begin(*command.split())
        wait_for(database_url, lane, process)
        assert ask(database_url, STATE) == [(LINES, "a000000", "a059999")]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    said, _ = begin(*command.split()).communicate(timeout=60)
    assert "going on from the last checkpoint" in said
    word = "B" if lane == "refresh" else "A"
    assert ask(database_url, STATE) == [(LINES, f"{word}000000", f"{word}059999")]
    assert ask(database_url, "SELECT sum(rows)::bigint FROM dataset_total") == [(LINES,)]
    runs = ask(database_url, f"SELECT sum(extracted)::bigint, sum(updated)::bigint FROM etl_run WHERE lane = '{lane}'")
    assert runs == [(LINES, LINES)]
    assert ask(database_url, "SELECT lane, finished FROM etl_checkpoint") == [("", True)]
    assert ask(database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'refresh'") == [(0,)]


@pytest.mark.slow
def test_frozen_while_another_run_takes_over_it_changes_nothing(
    begin: Begin, tmp_path: Path, database_url: str
) -> None:
    write(tmp_path, "a")
    ended(begin("run"))
    write(tmp_path, "b")
    frozen = begin("run", "s", "--full-refresh")
    wait_for(database_url, "refresh", frozen)
    frozen.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while ask(database_url, HELD):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the server ends a session that is silent for longer than its lease
    (tmp_path / "s.csv").write_text("id,name\n" + "".join(f"{n},c{n:06d}\n" for n in range(LINES + 5)))
    ended(begin("run"))
    frozen.send_signal(signal.SIGCONT)
    frozen.communicate(timeout=60)
    assert ask(database_url, STATE) == [(LINES + 5, "c000000", f"c{LINES + 4:06d}")]
    assert ask(database_url, "SELECT status FROM etl_run ORDER BY id") == [("success",), ("interrupted",), ("success",)]
