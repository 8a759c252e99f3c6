"""An application over a real, seeded database: one for all tests that only read, a fresh one for those that write."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo
from starlette.testclient import TestClient
from tests.integration.conftest import copied

from kasparro.api.main import create_app
from kasparro.api.settings import ApiSettings
from kasparro.dashboard.page import pages
from kasparro.store.database import Database

STATEMENTS = (Path(__file__).parent / "seed.sql").read_text(encoding="utf-8").split(";\n")
ROWS = {"coins": 250, "flights": 1200, "news": 7}

Serve = Callable[..., TestClient]
Seed = Callable[..., None]


def _seed(url: str, **rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for source, count in rows.items():
            with connection.transaction():
                for statement in STATEMENTS:
                    connection.execute(statement.encode(), {"source": source, "rows": count})
        connection.execute("VACUUM ANALYZE")


def _client(stack: ExitStack, url: str, **settings: Any) -> TestClient:
    given = {"version": "9.9", **settings}
    app = create_app(ApiSettings(**given), lambda: Database(url, size=4), pages=pages())
    return stack.enter_context(TestClient(app, base_url="http://localhost", raise_server_exceptions=False))


@pytest.fixture(scope="session")
def seed() -> Seed:
    """Fill a migrated database: so many rows of each source, a run for each, and totals that fit."""
    return _seed


@pytest.fixture(scope="session")
def shared_url(server_url: str, template: str) -> Iterator[str]:
    """URL of a seeded database that no test changes."""
    with copied(server_url, template, "shared") as url:
        _seed(url, **ROWS)
        yield url


@pytest.fixture
def seeded_url(database_url: str) -> str:
    """URL of a seeded database of one's own."""
    _seed(database_url, **ROWS)
    return database_url


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start an application on a database; called with its URL and what differs from the default settings."""
    with ExitStack() as stack:
        yield lambda url, **settings: _client(stack, url, **settings)


@pytest.fixture(scope="session")
def client(shared_url: str) -> Iterator[TestClient]:
    """An application with open reads over the shared database."""
    with ExitStack() as stack:
        yield _client(stack, shared_url)


class Gate:
    """A way to the database that can hang, or be shut, without touching the server itself."""

    def __init__(self, url: str) -> None:
        facts = conninfo.conninfo_to_dict(url)
        host, port = str(facts.get("host", "localhost")), int(facts.get("port") or 5432)
        self._target: Any = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = threading.Event()
        self._open.set()
        self._shut = False
        self._sockets = [self._listener]
        here = {"host": "127.0.0.1", "port": self._listener.getsockname()[1]}
        self.url = conninfo.make_conninfo(url, **here, sslmode="disable", gssencmode="disable")
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        """Let nothing through any more, and refuse nothing."""
        self._open.clear()

    def resume(self) -> None:
        """Let everything through again."""
        self._open.set()

    def shut(self) -> None:
        """Break all connections and refuse new ones."""
        self._shut = True
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
                far.connect(self._target)
                self._sockets += [near, far]
                if self._shut:  # a connection on its way while the gate was shut
                    self.shut()
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def gate(shared_url: str) -> Iterator[Gate]:
    """A way to the shared database."""
    made = Gate(shared_url)
    yield made
    made.shut()
