"""What a machine may refuse: a home that cannot be written, no room for temporary files, a secret that is missing.

Root may write wherever a file system may be written. So folders are mounted read-only, in a namespace of the command.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psycopg
import pytest
from tests.integration.stories.conftest import Said, reply

Server = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]

SAMPLE = Path(__file__).parents[3] / "data" / "sample.csv"
READ_ONLY = 'mount --bind "{0}" "{0}" && mount -o remount,ro,bind "{0}"'
SMALL = 'mount -t tmpfs -o size=64k none "{0}"'
NOWHERE = 'mount --bind "{0}" "{0}" && mount -o remount,ro,bind "{0}"'
"""What is there stays readable: the Python that runs the tests may be below it."""


def may_mount() -> bool:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


mounting = pytest.mark.skipif(not may_mount(), reason="file systems cannot be mounted by this user")


def run(folder: Path, *arguments: str, mounts: str = "", **more: str) -> Said:
    """Run a command after mounting what only it sees."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "PYTHONPATH", "HOME"}}
    before = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"] if mounts else []
    done = subprocess.run(
        [*before, sys.executable, "-m", "kasparro", *arguments],
        env={**kept, **more},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


@mounting
def test_a_home_that_is_read_only_is_refused_by_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    closed = READ_ONLY.format(home)
    said = run(tmp_path, "run", str(SAMPLE), mounts=closed, HOME=str(home))
    assert said.code == 2
    assert f"The embedded PostgreSQL cannot use {home}" in said.err
    assert "Read-only file system. Set KASPARRO_HOME to a writable directory, or DATABASE_URL to a server." in said.err
    looked = run(tmp_path, "doctor", mounts=closed, HOME=str(home))
    assert looked.code == 1
    assert f"{home} cannot be written: Read-only file system" in looked.out
    assert "Set KASPARRO_HOME to a writable directory, or DATABASE_URL to a server." in looked.out


@mounting
def test_a_home_without_room_is_named_with_its_reason(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    small = f'mount -t tmpfs -o size=30m none "{home}"'
    for command in (("run", str(SAMPLE)), ("doctor",)):
        said = run(tmp_path, *command, mounts=small, KASPARRO_HOME=str(home))
        assert said.code == 1
        assert "The embedded PostgreSQL failed at initdb" in said.out + said.err
        assert "No space left on device" in said.out + said.err
        assert "removing" not in said.out + said.err


@mounting
def test_with_a_server_a_home_that_is_read_only_is_not_needed(tmp_path: Path, database_url: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    closed = READ_ONLY.format(home)
    said = run(tmp_path, "run", str(SAMPLE), mounts=closed, HOME=str(home), DATABASE_URL=database_url)
    assert said.code == 0, said.err
    with psycopg.connect(database_url) as connection:
        (row,) = connection.execute("SELECT count(*) > 0 FROM normalized_data").fetchall()
    assert row == (True,)


@pytest.mark.parametrize("home", ["/nonexistent", "relative", ""])
def test_a_home_that_is_no_place(tmp_path: Path, home: str) -> None:
    """As a user without an entry has it, in a container."""
    said = run(tmp_path, "version", HOME=home)
    assert said.code == 0
    looked = run(tmp_path, "check", HOME=home)
    assert looked.code == 2
    assert "There is no kasparro.yaml here" in looked.err


@mounting
def test_temporary_files_that_can_be_written_nowhere() -> None:
    closed = " && ".join(NOWHERE.format(one) for one in ("/tmp", "/var/tmp"))
    kept = {"TMPDIR": "/proc", "DATABASE_URL": "postgresql://u:x@127.0.0.1:1/d"}
    said = run(Path("/proc"), "preview", str(SAMPLE), mounts=closed, **kept)
    assert said.code == 2
    assert "Temporary files cannot be written" in said.err
    assert "set TMPDIR to another directory" in said.err
    looked = run(Path("/proc"), "doctor", "--json", mounts=closed, **kept)
    assert looked.code == 1
    assert '"subject":"temporary files","state":"problem"' in looked.out


@pytest.mark.parametrize("where", ["nowhere", "a file"])
def test_temporary_files_that_go_elsewhere_than_was_said(tmp_path: Path, database_url: str, where: str) -> None:
    """Python takes the next folder that it can write, and says nothing."""
    (tmp_path / "a file").touch()
    looked = run(tmp_path, "doctor", TMPDIR=str(tmp_path / where), DATABASE_URL=database_url)
    assert looked.code == 0
    assert f"temporary files: {tmp_path / where} cannot be written, so /tmp is used" in looked.out
    assert "cannot be written" not in run(tmp_path, "doctor", TMPDIR=str(tmp_path), DATABASE_URL=database_url).out


@mounting
def test_temporary_files_for_which_there_is_no_room(tmp_path: Path, server: Server, database_url: str) -> None:
    small = tmp_path / "small"
    small.mkdir()
    body = b"id,name\n" + b"".join(b"%d,n%d\n" % (n, n) for n in range(50_000))
    (tmp_path / "kasparro.yaml").write_text(
        f'sources:\n  s: {{type: csv, url: "{server(reply(200, body))}", primary_key: id}}\n'
    )
    said = run(tmp_path, "run", mounts=SMALL.format(small), TMPDIR=str(small), DATABASE_URL=database_url)
    assert said.code in {1, 2}
    assert "cannot be written: No space left on device; make room" in said.err
    looked = run(tmp_path, "doctor", mounts=SMALL.format(small), TMPDIR=str(small), DATABASE_URL=database_url)
    assert looked.code == 1
    assert f"GiB free at {small}" in looked.out
    again = run(tmp_path, "run", DATABASE_URL=database_url)
    assert again.code == 0, again.err
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM normalized_data").fetchone() == (50_000,)


def test_a_secret_that_is_missing_starts_nothing_and_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "kasparro.yaml").write_text(
        """\
sources:
  coins:
    type: api
    url: https://api.example.com/
    auth: {type: bearer, token: "${COINS_TOKEN}"}
  news:
    type: rss
    url: "https://example.com/${NEWS_FEED}"
"""
    )
    for command in ("run", "check", "worker", "up"):
        said = run(tmp_path, command, HOME=str(tmp_path))
        assert said.code == 2, (command, said.err)
        place = "kasparro.yaml:5: sources.coins.auth.token: the environment variable COINS_TOKEN is not set; set it"
        assert place in said.err, command
        assert "kasparro.yaml:8: sources.news.url: the environment variable NEWS_FEED is not set" in said.err
    assert not (tmp_path / ".local").exists(), "no server was started"
