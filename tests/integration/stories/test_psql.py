"""`psql` has the terminal, and is not left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

COMMAND = [sys.executable, "-m", "kasparro", "psql", "--", "-qAt"]
SLEEPS = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'"


@pytest.fixture
def session(database_url: str) -> Iterator["subprocess.Popen[str]"]:
    """A session that reads what it is to do."""
    with subprocess.Popen(
        COMMAND,
        env={**os.environ, "DATABASE_URL": database_url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def answer(session: "subprocess.Popen[str]", question: str) -> str:
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(f"{question};\n")
    session.stdin.flush()
    return session.stdout.readline().strip()


def test_ctrl_c_is_its_own(session: "subprocess.Popen[str]") -> None:
    assert answer(session, "SELECT 6 * 7") == "42"
    for number in range(3):
        session.send_signal(signal.SIGINT)
        assert answer(session, f"SELECT {number}") == str(number)
    out, err = session.communicate(timeout=60)
    assert (session.returncode, out, err) == (0, "", "")


def test_sigterm_ends_it_with_what_it_does(session: "subprocess.Popen[str]", database_url: str) -> None:
    assert answer(session, "SELECT 6 * 7") == "42"
    assert session.stdin is not None
    session.stdin.write("SELECT pg_sleep(600);\n")
    session.stdin.flush()
    with psycopg.connect(database_url, autocommit=True) as connection:
        until(connection, f"SELECT count(*) = 1 {SLEEPS}")
        session.send_signal(signal.SIGTERM)
        out, err = session.communicate(timeout=60)
        assert (session.returncode, out, err) == (130, "", "")
        connection.execute(f"SELECT pg_terminate_backend(pid) {SLEEPS}")


def until(connection: "psycopg.Connection[tuple[object, ...]]", question: str) -> None:
    deadline = time.monotonic() + 60
    while connection.execute(question.encode()).fetchall() != [(True,)]:
        assert time.monotonic() < deadline, question
        time.sleep(0.05)  # the session works meanwhile
