"""What `kasparro doctor` looks at on this machine: versions, disks, folders, the clock's zones."""

import errno
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kasparro.config import Settings, read_environment
from kasparro.model.diagnosis import Diagnosis, ok, problem, warning
from kasparro.version import __version__

LITTLE, TOO_LITTLE = 2 * 1024**3, 200 * 1024**2
"""Bytes free of a disk below which it is a warning, a problem."""

FEW_FILES = 10_000
"""Files that may still be made on a disk, below which it is a warning."""

_SHOWN = ("psycopg", "duckdb", "pydantic", "fastapi", "httpx2", "numpy")
"""Libraries whose version is told: what a report of a fault should name."""

_DOTENV = Path(".env")

_NAMES = ("TMPDIR", "TEMP", "TMP")
"""Variables that name a folder for temporary files, as `tempfile` takes them."""


def versions() -> Iterator[Diagnosis]:
    """Tell what runs, and whether what it needs is installed."""
    known = ", ".join(f"{name} {_version(name) or 'missing'}" for name in _SHOWN)
    yield ok("versions", "kasparro", f"Kasparro {__version__}, Python {platform.python_version()}; {known}")
    absent = sorted(name for name in _required() if _version(name) is None)
    if absent:
        remedy = "Install Kasparro anew: pip install --force-reinstall kasparro"
        yield problem("versions", "libraries", f"not installed: {', '.join(absent)}", remedy)


def zones() -> Diagnosis:
    """Tell whether time zones are known here, which schedules and timestamps need."""
    try:
        ZoneInfo("Europe/Berlin")
    except (ZoneInfoNotFoundError, OSError):
        return problem("machine", "time zones", "their data is missing", "Install it: pip install tzdata")
    return ok("machine", "time zones", "their data is there")


def folders(settings: Settings) -> Iterator[Diagnosis]:
    """Tell whether there is room, and whether what must be written can be written."""
    yield from _temporary()
    if settings.database_url is not None:
        yield ok("machine", "home", f"{settings.home} is not used, as DATABASE_URL names a server")
        return
    yield from _room("home", settings.home, "Free space there, or set KASPARRO_HOME to another directory.")
    remedy = "Set KASPARRO_HOME to a writable directory, or DATABASE_URL to a server."
    yield _writable("home", settings.home, remedy)


def _temporary() -> Iterator[Diagnosis]:
    subject, remedy = "temporary files", "Free space there, or set TMPDIR to another directory."
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        says = f"no folder for them can be written: {error.strerror or error}"
        yield problem("machine", subject, says, "Set TMPDIR to a directory that this user may write.")
        return
    wanted = next((found for name in _NAMES if (found := read_environment(dotenv=None).get(name))), None)
    if wanted is not None and folder != Path(wanted).absolute():
        yield warning("machine", subject, f"{wanted} cannot be written, so {folder} is used", remedy)
    yield from _room(subject, folder, remedy)
    yield _writable(subject, folder, remedy)


def dotenv() -> Iterator[Diagnosis]:
    """Tell whether others may read the secrets in `.env`."""
    try:
        mode = _DOTENV.stat().st_mode
    except OSError:
        return  # there is none, or it cannot be seen: reading it is told of by the settings
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        says = ".env may be read by other users of this machine"
        yield warning("environment", ".env", says, "Close it: chmod 600 .env")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _required() -> Iterator[str]:
    """Yield the names of what Kasparro cannot do without; what is of an extra is not."""
    try:
        stated = requires("kasparro") or []
    except PackageNotFoundError:  # run from a checkout that was not installed
        return
    for line in stated:
        name, _, condition = line.partition(";")
        if "extra" not in condition:
            yield _until_version(name)


def _until_version(text: str) -> str:
    for place, letter in enumerate(text):
        if letter in "[<>=!~ (":
            return text[:place]
    return text


def _room(what: str, folder: Path, remedy: str) -> Iterator[Diagnosis]:
    subject = f"room for {what}"
    there = _nearest(folder)
    try:
        free, files = shutil.disk_usage(there).free, os.statvfs(there)
    except OSError as error:
        says = f"the disk of {folder} cannot be looked at: {error.strerror or error}"
        yield warning("machine", subject, says, remedy)
        return
    says = f"{free / 1024**3:.1f} GiB free at {folder}"
    if free < TOO_LITTLE:
        yield problem("machine", subject, says, remedy)
    elif free < LITTLE:
        yield warning("machine", subject, says, remedy)
    else:
        yield ok("machine", subject, says)
    if files.f_files > 0 and files.f_favail < FEW_FILES:
        says = f"only {files.f_favail:,} more files can be made at {folder} (inodes)"
        yield warning("machine", subject, says, "Delete files that nobody needs on that disk.")


def _writable(subject: str, folder: Path, remedy: str) -> Diagnosis:
    """Try it: modes say little about a file system that is mounted read-only, and nothing to root."""
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        says = f"{there} {'is full' if full else 'cannot be written'}: {error.strerror or error}"
        return problem("machine", subject, says, remedy)
    return ok("machine", subject, f"{folder} can be written")


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.exists() or one == one.parent)
