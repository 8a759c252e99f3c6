"""Temporary folders that do not outlive a killed process for long: whoever starts next removes them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kasparro.errors import Misconfigured


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder of this process, and remove it afterwards; remove also those of dead processes.

    Raises:
        Misconfigured: there is no room for one.
    """
    root = Path(tempfile.gettempdir()) / f"kasparro-scratch-{os.geteuid()}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        for left in root.iterdir():
            if not _alive(left.name.split("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
    except OSError as error:
        raise Misconfigured(
            f"Temporary files cannot be written below {root.parent}: {error.strerror or error}. "
            "Free space there, or set TMPDIR to another directory."
        ) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


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
