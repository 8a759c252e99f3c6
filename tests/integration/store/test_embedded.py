"""The embedded server: started, shared, stopped, and recovered after a kill."""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from kasparro.assembly.storage import open_url
from kasparro.config import load_settings
from kasparro.errors import Misconfigured
from kasparro.store.embedded import EmbeddedServer, binaries

USER = """
import sys
from pathlib import Path
from kasparro.store.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def running(home: Path) -> bool:
    return (home / "postgres" / "postmaster.pid").exists() and EmbeddedServer(home)._runs()  # noqa: SLF001


def user(home: Path, before: Sequence[str] = ()) -> "subprocess.Popen[str]":
    command = [*before, sys.executable, "-c", USER, str(home)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate("")
    assert process.returncode == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("embedded")
    yield folder
    with EmbeddedServer(folder):
        pass
    assert not running(folder)


def test_it_keeps_data_and_stops_after_its_last_user(home: Path) -> None:
    with EmbeddedServer(home) as first:
        assert first.started_here
        with psycopg.connect(first.url) as connection:
            settings = connection.execute("SELECT current_setting('fsync'), current_setting('server_version_num')::int")
            assert settings.fetchall()[0][0] == "on"
            connection.execute("CREATE TABLE kept (n int)")
        with EmbeddedServer(home) as second:
            assert not second.started_here
            assert second.url == first.url
        assert running(home)
    assert not running(home)
    with EmbeddedServer(home) as again, psycopg.connect(again.url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchall() == [(0,)]


def test_others_cannot_reach_it(home: Path) -> None:
    with EmbeddedServer(home) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT current_setting('listen_addresses')").fetchall() == [("",)]
        folder = Path(connection.info.host)
        assert (folder / f".s.PGSQL.{connection.info.port}").is_socket()
        assert folder.stat().st_mode & 0o077 == 0
        if os.geteuid() == 0:
            done = subprocess.run(["ls", str(folder)], user="nobody", capture_output=True, check=False)
            assert done.returncode != 0


def test_two_processes_share_it_and_a_killed_one_does_not_keep_it_alive(home: Path) -> None:
    killed, polite = user(home), user(home)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert running(home)
    end(polite)
    assert not running(home)


def test_a_server_that_was_left_behind_is_used_and_then_stopped(home: Path) -> None:
    lonely = user(home)
    lonely.send_signal(signal.SIGKILL)
    lonely.communicate()
    assert running(home)
    with EmbeddedServer(home) as server:
        assert not server.started_here
    assert not running(home)


def test_it_recovers_after_the_server_itself_was_killed(home: Path) -> None:
    process = user(home)
    with psycopg.connect(EmbeddedServer(home).url, autocommit=True) as connection:
        connection.execute("CREATE TABLE survived (n int)")
    pid = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while running(home):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the kernel takes its time
    with EmbeddedServer(home) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT count(*) FROM survived").fetchall() == [(0,)]
    end(process)


def test_half_a_cluster_of_a_kill_while_it_was_made_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedServer(tmp_path) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert not (tmp_path / "postgres.new").exists()


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with EmbeddedServer(deep) as server:
        assert str(deep) not in server.url
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_folder_for_its_socket_that_others_may_enter(tmp_path: Path) -> None:
    """Somebody else could have made it before us, where all may write."""
    server = EmbeddedServer(tmp_path / ("d" * 60) / ("e" * 60))
    folder = Path(server.url.partition("host=")[2])
    folder.mkdir()
    folder.chmod(0o777)
    try:
        with pytest.raises(Misconfigured, match="belongs to somebody else, or others may enter it"):
            server.start()
    finally:
        folder.rmdir()


def test_also_the_folder_for_temporary_files_may_be_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with EmbeddedServer(deep / "home") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        folder = Path(server.url.partition("host=")[2])
        assert folder.is_dir()
    assert not folder.exists()


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="Set KASPARRO_HOME to a writable directory"):
        EmbeddedServer(tmp_path / "file" / "home").start()


def test_without_the_binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(Misconfigured, match=r'pip install "kasparro\[embedded\]"'):
        EmbeddedServer(tmp_path).start()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for the server")


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that others may pass through, which pytest's own folder may not be."""
    with tempfile.TemporaryDirectory(prefix="kasparro-home-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "home"


@needs_root
@pytest.mark.parametrize("lacking", ["dac_read_search", "setpcap", "dac_read_search,-setpcap"])
def test_root_of_a_container_that_lacks_rights(lacking: str, open_home: Path) -> None:
    if not all(folder.stat().st_mode & 0o001 for folder in binaries().parents):
        pytest.skip("the binaries lie below a folder that is closed to others")
    command = ["setpriv", f"--bounding-set=-{lacking}", f"--inh-caps=-{lacking}"]
    process = user(open_home, before=command)
    with psycopg.connect(EmbeddedServer(open_home).url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    end(process)


@needs_root
def test_root_with_binaries_below_a_folder_that_is_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = binaries().parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, closed / folder.name)
    monkeypatch.syspath_prepend(closed)
    assert binaries().is_relative_to(closed)
    with EmbeddedServer(tmp_path / "home") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


@needs_root
def test_root_without_setpriv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Misconfigured, match="setpriv"):
        EmbeddedServer(tmp_path).start()


async def test_whoever_is_told_to_end_while_it_starts_leaves_none_behind(home: Path) -> None:
    settings = load_settings({"KASPARRO_HOME": str(home)}, None)
    opened = AsyncExitStack()
    opening = asyncio.create_task(opened.enter_async_context(open_url(settings)))
    await asyncio.sleep(0)  # it has begun
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.get_running_loop().shutdown_default_executor()  # whatever still starts it has done so
    assert not running(home)
