"""Temporary folders that do not outlive a killed process for long: whoever starts next removes them."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kasparro.errors import Misconfigured


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder of this process, and remove it afterwards; remove also those of dead processes.

    Raises:
        Misconfigured: there is no room for one, or somebody else has taken its place.
    """
    where = "the folders of the system"
    try:
        where = tempfile.gettempdir()  # fails where none of those that it knows can be written
        root = Path(where) / f"kasparro-scratch-{os.geteuid()}"
        root.mkdir(mode=0o700, exist_ok=True)
        _check_ours(root)
        for left in root.iterdir():
            if not _alive(left.name.split("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
    except OSError as error:
        raise Misconfigured(
            f"Temporary files cannot be written below {where}: {error.strerror or error}. "
            "Free space there, or set TMPDIR to another directory."
        ) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_ours(folder: Path) -> None:
    """Where all may write, another user may have made the folder first, to read or exchange what is put into it."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Misconfigured(
            f"{folder} is not a folder of this user alone. Remove it, or set TMPDIR to a directory of your own."
        )


def _alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    with suppress(ProcessLookupError):
        try:
            os.kill(int(pid), 0)
        except PermissionError:
            return True
        return True
    return False
