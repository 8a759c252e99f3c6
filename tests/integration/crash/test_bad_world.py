"""Connections that are cut off, disks that fill, clocks that jump: a run goes on, or says why and what to do."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from tests.integration.conftest import environment, url_of

from kasparro.store.embedded import EmbeddedServer

LINES = 60_000
LARGE = 800 * 1024**2
SMALL = {"KASPARRO_PAGE_BYTES": "65536"}
CONFIG = """\
sources:
  s: {{type: csv, path: s.csv, primary_key: id, dataset: d{more}}}
datasets:
  d: {{fields: {{id: integer, name: text}}}}
"""

Ask = Callable[[str], list[tuple[Any, ...]]]


def ask_of(url: str) -> Ask:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type,unused-ignore]
            return cursor.fetchall() if cursor.description else []

    return ask


@pytest.fixture
def ask(database_url: str) -> Ask:
    return ask_of(database_url)


def write(folder: Path, count: int, word: str = "n", more: str = "") -> None:
    (folder / "kasparro.yaml").write_text(CONFIG.format(more=more))
    (folder / "s.csv").write_text("id,name\n" + "".join(f"{n},{word}{n:040d}\n" for n in range(count)))


def start(url: str, folder: Path, *arguments: str, before: Sequence[str] = (), **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*before, sys.executable, "-m", "kasparro", *arguments],
        env=environment(url, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    said, _ = process.communicate(timeout=180)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


def all_is_there(ask: Ask, count: int, word: str = "n") -> None:
    """The rows are those of the file, each once, and every sum agrees."""
    named = f"bool_and(name = '{word}' || lpad(id::text, 40, '0'))"
    assert ask(f"SELECT count(*), count(DISTINCT id), min(id), max(id), {named} FROM data.d") == [
        (count, count, 0, count - 1, True)
    ]
    assert ask("SELECT sum(rows)::bigint FROM dataset_total") == [(count,)]
    wrong = "SELECT id FROM etl_run WHERE extracted <> inserted + updated + unchanged + duplicates + rejected"
    assert ask(wrong) == []


class Cutter(threading.Thread):
    """Cuts off every connection to a database, again and again, from the first commit on, while a process runs.

    It waits so many seconds, and each time longer: what takes effect in one transaction at the end needs some peace,
    the more of it the slower the machine.
    """

    def __init__(self, server_url: str, url: str, process: "subprocess.Popen[str]", seconds: float) -> None:
        super().__init__(daemon=True)
        self._server_url, self._url, self._process, self._seconds = server_url, url, process, seconds
        self.cuts = 0
        self._over = threading.Event()

    def run(self) -> None:
        name = psycopg.conninfo.conninfo_to_dict(self._url)["dbname"]
        cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        while not self._any("status = 'running' AND pages > 0") and not self._over.wait(0.02):
            pass
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            failed = False
            while self._process.poll() is None and not self._over.is_set():
                self.cuts += connection.execute(cut, [name]).fetchall()[0][0] > 0
                # One that was between two commits may not notice: until one has, it is cut off at shorter distances.
                failed = failed or self._any("status IN ('failed', 'interrupted')")
                self._over.wait(self._seconds if failed else 0.1)
                self._seconds *= 1.25 if failed else 1

    def _any(self, which: LiteralString) -> bool:
        """Tell whether there are such runs."""
        try:
            with psycopg.connect(self._url) as connection:
                return bool(connection.execute(f"SELECT count(*) FROM etl_run WHERE {which}").fetchall()[0][0])
        except psycopg.errors.UndefinedTable:
            return False

    def stop(self) -> None:
        self._over.set()
        self.join()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "seconds"), [("run", 0.4), ("run s --full-refresh", 1.5), ("replay s", 1.5)])
def test_a_database_that_loses_its_connections_again_and_again(  # noqa: PLR0917
    server_url: str, database_url: str, ask: Ask, tmp_path: Path, command: str, seconds: float
) -> None:
    word, first = "n", int(command != "run")
    write(tmp_path, LINES)
    if first:
        ended(start(database_url, tmp_path, "run"))
        word = "m" if "refresh" in command else "N"
        write(tmp_path, LINES, word, more="" if word == "m" else ', mapping: {name: {sql: "upper({name})"}}')
    process = start(database_url, tmp_path, *command.split(), **SMALL)
    cutter = Cutter(server_url, database_url, process, seconds)
    cutter.start()
    try:
        said = ended(process)
    finally:
        cutter.stop()
    assert cutter.cuts > 0
    all_is_there(ask, LINES, word)
    runs = "SELECT count(*) > 1, bool_and(status IN ('failed', 'interrupted')), sum(extracted)::bigint FROM etl_run"
    ((several, only_failed, read),) = ask(f"{runs} WHERE id > {first}")
    assert (several, only_failed) == (True, False)
    assert f"{read:,}" in said  # what all attempts have read together
    # One that had taken effect, and was cut off before it knew, is done once more.
    assert read == LINES if command == "run" else (read >= LINES and read % LINES == 0)
    assert ask("SELECT status FROM etl_run ORDER BY id DESC LIMIT 1") == [("success",)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A database on a disk of its own, which is as large as it is told to be."""

    url: str
    folder: Path
    resize: Callable[[int], None]

    def leave(self, room: int) -> None:
        """Let so many bytes be free."""
        self.resize(shutil.disk_usage(self.folder).used + room)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A server of its own, with a database on a small file system: whatever happens to it, no other test is harmed."""
    if os.geteuid() != 0:
        pytest.skip("a small disk is a mount, which only root can make")
    with ExitStack() as held:
        home = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="kasparro-disk-")))
        home.chmod(0o711)
        small = home / "small"
        small.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(small)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting is not allowed here")
        held.callback(subprocess.run, ["umount", "--lazy", str(small)], check=True)
        server = held.enter_context(EmbeddedServer(home / "server"))  # stopped before its disk goes

        def resize(size: int) -> None:
            subprocess.run(["mount", "-o", f"remount,size={size}", str(small)], check=True)

        held.callback(resize, LARGE)  # the last checkpoint needs room too
        space = small / "space"
        space.mkdir(mode=0o700)
        shutil.chown(space, "kasparro", "kasparro")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'".encode())
            connection.execute("CREATE DATABASE full_disk TEMPLATE template0 TABLESPACE small")
        yield Disk(url=url_of(server.url, "full_disk"), folder=small, resize=resize)


ROOM_TO_ASK = 2_000_000
"""Bytes: a new connection to PostgreSQL may have to write a list of its system tables first."""


def is_full(said: str) -> None:
    assert "The disk of the database" in said
    assert "is full" in said
    assert "Free space, then run again" in said


@pytest.mark.slow
def test_a_disk_that_fills_during_a_first_load(disk: Disk, tmp_path: Path) -> None:
    ask = ask_of(disk.url)
    write(tmp_path, 300_000)
    is_full(ended(start(disk.url, tmp_path, "run", KASPARRO_PAGE_BYTES="1048576"), code=1))
    disk.leave(ROOM_TO_ASK)
    ((rows, counted, runs),) = ask(
        "SELECT (SELECT count(*) FROM data.d), (SELECT sum(rows)::bigint FROM dataset_total), sum(inserted)::bigint"
        " FROM etl_run"
    )
    assert 0 < rows == counted == runs < 300_000
    disk.resize(LARGE)
    ended(start(disk.url, tmp_path, "run"))
    all_is_there(ask, 300_000)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "room"), [("run", 0.1), ("run s --full-refresh", 0.1), ("replay s", 1.3)])
def test_a_disk_that_fills_while_there_are_rows_changes_none_of_them(
    disk: Disk, tmp_path: Path, command: str, room: float
) -> None:
    """`room`: as a part of the table's size. A replay has room for its rows, and then none to let them take effect."""
    ask = ask_of(disk.url)
    disk.resize(LARGE)
    write(tmp_path, 60_000)
    ended(start(disk.url, tmp_path, "run"))
    state = "SELECT count(*), sum(hashtextextended(d::text, 0)) FROM data.d"
    before = ask(state)
    word, mapping = ("N", ', mapping: {name: {sql: "upper({name})"}}') if command == "replay s" else ("m", "")
    write(tmp_path, 60_000, word, mapping)
    disk.leave(int(ask("SELECT pg_total_relation_size('data.d')")[0][0] * room))
    is_full(ended(start(disk.url, tmp_path, *command.split(), KASPARRO_PAGE_BYTES="8388608"), code=1))
    disk.leave(ROOM_TO_ASK)
    assert ask(state) == before
    assert ask("SELECT sum(rows)::bigint FROM dataset_total") == [(60_000,)]
    assert ask("SELECT status, error_code FROM etl_run ORDER BY id DESC LIMIT 1") == [("failed", "broken")]
    if command == "replay s":
        assert ask("SELECT finished FROM etl_checkpoint WHERE lane = 'replay'") == [(True,)]
    disk.resize(LARGE)
    ended(start(disk.url, tmp_path, *command.split()))
    all_is_there(ask, 60_000, word)


def test_the_time_of_a_file_is_only_asked_whether_it_is_the_same(database_url: str, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    for word, at in (("a", 0), ("b", 4_102_444_800), ("c", -1_000_000_000)):
        write(tmp_path, 100, word)  # as long as it was before
        os.utime(file, (at, at))
        ended(start(database_url, tmp_path, "run"))
        all_is_there(ask, 100, word)
    write(tmp_path, 100, "d")
    os.utime(file, (at, at))  # neither longer nor of another time: not looked into, as documented
    ended(start(database_url, tmp_path, "run"))
    all_is_there(ask, 100, "c")
    ended(start(database_url, tmp_path, "run", "s", "--full-refresh"))
    all_is_there(ask, 100, "d")


FAKETIME = shutil.which("faketime")
needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="the program faketime is not installed")


@needs_faketime
@pytest.mark.parametrize("shift", ["-1h", "+30y"])
def test_a_clock_that_is_wrong_here_changes_nothing(database_url: str, ask: Ask, tmp_path: Path, shift: str) -> None:
    wrong = (FAKETIME or "", "-f", shift)
    write(tmp_path, 2_000)
    ended(start(database_url, tmp_path, "run", before=wrong, **SMALL))
    all_is_there(ask, 2_000)
    write(tmp_path, 3_000, "m")
    ended(start(database_url, tmp_path, "run", **SMALL))
    write(tmp_path, 3_100, "m")
    ended(start(database_url, tmp_path, "run", before=wrong, **SMALL))
    all_is_there(ask, 3_100, "m")
    moments = "SELECT bool_and(abs(extract(epoch FROM now() - finished_at)) < 600), count(*) FROM etl_run"
    assert ask(moments) == [(True, 3)]
    ((seconds,),) = ask("SELECT seconds FROM etl_source")
    assert 0 <= seconds < 600


def page_count(ask: Ask) -> int:
    return int(ask("SELECT count(*) FROM raw_page")[0][0])


@needs_faketime
@pytest.mark.parametrize(("shift", "left"), [("-1y", 1), ("+30y", 1), ("+0", 0)])
def test_raw_pages_go_only_when_no_clock_calls_them_young(
    database_url: str, ask: Ask, tmp_path: Path, shift: str, left: int
) -> None:
    write(tmp_path, 10, more=", raw_retention: 1d")
    ended(start(database_url, tmp_path, "run"))
    if shift != "+30y":  # by the database's clock the page is young there, and old by ours
        ask("UPDATE raw_page SET last_at = last_at - interval '2 days'")
    ended(start(database_url, tmp_path, "prune", before=(FAKETIME or "", "-f", shift)))
    assert page_count(ask) == left
    all_is_there(ask, 10)


@pytest.fixture
def clock(database_url: str, ask: Ask) -> Callable[[str], None]:
    """Set what statements of the database are told of the time; defaults of columns keep the true one."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]

    def shifted(by: str) -> None:
        ask("CREATE SCHEMA IF NOT EXISTS clock")
        for function in ("now", "clock_timestamp"):
            ask(
                f"CREATE OR REPLACE FUNCTION clock.{function}() RETURNS timestamptz LANGUAGE sql STABLE"
                f" AS $$ SELECT pg_catalog.{function}() + interval '{by}' $$"
            )
        ask(f'ALTER DATABASE "{name}" SET search_path = public, clock, pg_catalog')

    return shifted


def test_a_database_whose_clock_jumps_ahead_lets_go_of_no_young_raw_page(
    database_url: str, ask: Ask, tmp_path: Path, clock: Callable[[str], None]
) -> None:
    write(tmp_path, 10, more=", raw_retention: 1d")
    ended(start(database_url, tmp_path, "run"))
    clock("10 years")
    assert "0 raw pages" in ended(start(database_url, tmp_path, "prune"))
    ended(start(database_url, tmp_path, "replay", "s"))
    assert page_count(ask) == 1
    all_is_there(ask, 10)


def test_a_run_that_ends_before_it_began_lasted_no_time(
    database_url: str, ask: Ask, tmp_path: Path, clock: Callable[[str], None]
) -> None:
    write(tmp_path, 10)
    clock("-2 hours")
    ended(start(database_url, tmp_path, "run"))
    assert ask("SELECT status, finished_at - started_at = interval '0' FROM etl_run") == [("success", True)]
    assert ask("SELECT seconds FROM etl_source") == [(0.0,)]
    all_is_there(ask, 10)


def test_after_a_clock_was_set_back_a_rewind_to_a_moment_reads_rather_too_much(
    database_url: str, ask: Ask, tmp_path: Path
) -> None:
    for count in (10, 20, 30):
        write(tmp_path, count)
        ended(start(database_url, tmp_path, "run"))
    for run_id, at in enumerate(("10:00", "12:00", "11:00"), start=1):
        moment = f"timestamptz '2024-05-01 {at}Z'"
        ask(f"UPDATE etl_run SET started_at = {moment}, finished_at = {moment} WHERE id = {run_id}")
    said = ended(start(database_url, tmp_path, "checkpoint", "rewind", "s", "--to", "2024-05-01T11:30Z"))
    assert "About 20 records would be read again" in said
    ended(start(database_url, tmp_path, "run"))
    assert ask("SELECT extracted, unchanged FROM etl_run ORDER BY id DESC LIMIT 1") == [(20, 20)]
    all_is_there(ask, 30)
