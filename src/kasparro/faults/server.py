"""A PostgreSQL of chaos's own, in a temporary home: it may crash without harm to anybody else."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kasparro.errors import StoreBusy
from kasparro.store.embedded import EmbeddedServer

_PATIENCE = 30.0
_LOOK = 0.01


class PrivateServer:
    """A running embedded server that nobody else uses.

    Args:
        home: An empty folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server = EmbeddedServer(home)
        self._server.start()

    @property
    def url(self) -> str:
        """Connection string; it stays the same over crashes."""
        return self._server.url

    def crash(self) -> None:
        """Let the server end at once, without a word to its clients and without a checkpoint, and start it again.

        It recovers from its log as after any crash. Blocks.
        """
        file = self._server.data / "postmaster.pid"
        os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
        until = time.monotonic() + _PATIENCE
        while file.exists():
            if time.monotonic() > until:
                raise StoreBusy(f"The server of chaos did not end within {_PATIENCE:.0f} seconds.")
            time.sleep(_LOOK)
        again = EmbeddedServer(self._home)
        again.start()
        self._server.stop()  # it only counts itself out: the server has another user now
        self._server = again

    def stop(self) -> None:
        """Stop the server."""
        self._server.stop()


@contextmanager
def private_server() -> Iterator[PrivateServer]:
    """Start a server in a temporary folder; stop it and remove all it wrote afterwards."""
    with tempfile.TemporaryDirectory(prefix="kasparro-chaos-", ignore_cleanup_errors=True) as folder:
        server = PrivateServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()
