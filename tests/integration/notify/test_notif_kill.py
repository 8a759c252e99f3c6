"""Nothing that happened is lost when the process is killed: between its commit and the message, and while it sends."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.conftest import LOCKS, environment
from tests.integration.notify.conftest import Ask, Hook, reply

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, database_url: str, hook: Hook) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []
    ops = {"type": "webhook", "url": hook.url, "group_for": "1s"}
    document = {"sources": {"bad": {"type": "csv", "path": "bad.csv"}}, "notifications": {"ops": ops}}
    (tmp_path / "kasparro.yaml").write_text(json.dumps(document))

    def command(*words: str) -> "subprocess.Popen[str]":
        made = subprocess.Popen(
            [sys.executable, "-m", "kasparro", *words],
            env=environment(database_url),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )
        started.append(made)
        return made

    yield command
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def wait_until(ready: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def done(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def test_killed_between_the_end_of_the_run_and_the_message(
    start: Start, hook: Hook, database_url: str, ask: Ask
) -> None:
    lock = "hashtextextended('kasparro.notification.' || 'ops', 0)"
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(f"SELECT pg_advisory_lock({lock})")  # nobody can make messages now
        process = start("run")
        waits = f"SELECT count(*) {LOCKS} AND NOT granted"
        wait_until(lambda: ask(waits) == [(1,)])
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert ask("SELECT status FROM etl_run") == [("failed",)]
    assert ask("SELECT what FROM notification_event") == [("failure",)]
    assert hook.bodies == []
    assert done(start("notifications", "send"))[0] == 0
    assert hook.kinds == [["run_failed"]]
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]


def test_killed_while_it_sends(start: Start, hook: Hook, ask: Ask) -> None:
    hook.answers = [hook.hang, reply(200)]
    process = start("run")
    wait_until(hook.came.is_set)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert ask("SELECT status, attempts, lease IS NULL FROM notification") == [("waiting", 1, False)]
    assert done(start("notifications", "send"))[1].startswith("Sent 0,"), "the dead process may still be at it"
    assert len(hook.bodies) == 1
    ask("UPDATE notification SET lease_until = now()")  # as if a minute had passed
    assert done(start("notifications", "send"))[1].startswith("Sent 1,")
    assert [body["id"] for body in hook.bodies] == [hook.bodies[0]["id"]] * 2
    assert ask("SELECT status, attempts FROM notification") == [("sent", 2)]


def test_a_server_sends_what_others_have_left_and_stops_politely(start: Start, hook: Hook, ask: Ask) -> None:
    hook.answers = [reply(500)]
    assert done(start("run"))[0] == 1
    hook.answers = [reply(200)]
    ask("UPDATE notification SET next_at = now()")
    process = start("serve", "--port", "0")
    wait_until(lambda: ask("SELECT status FROM notification") == [("sent",)])
    hook.came.clear()
    hook.answers = [hook.hang]
    ask(
        "WITH run AS (INSERT INTO etl_run (source, holder, config_hash, code_version, status, finished_at)"
        " VALUES ('x', 'x', 'x', '0', 'failed', now()) RETURNING id)"
        " INSERT INTO notification_event (channel, what, source, run_id) SELECT 'ops', 'failure', 'x', id FROM run"
    )
    wait_until(hook.came.is_set)
    process.send_signal(signal.SIGTERM)
    code, out = done(process)
    assert code == 0, out
    assert ask("SELECT status, lease FROM notification ORDER BY id DESC LIMIT 1") == [("waiting", None)]


def test_mistakes_in_the_file_do_not_keep_the_api_from_being_served(start: Start, tmp_path: Path) -> None:
    (tmp_path / "kasparro.yaml").write_text("sources: 7\n")
    process = start("serve", "--port", "0")
    assert process.stdout is not None
    lines: list[Any] = []
    while not lines or "Serving on " not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    assert any("sends no notifications" in line for line in lines)
    address = lines[-1].split()[2]
    with urllib.request.urlopen(f"{address}/livez", timeout=30) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert done(process)[0] == 0
    assert done(start("serve", "--config", "kasparro.yaml", "--port", "0"))[0] == 2
