"""A real PostgreSQL for the tests: `TEST_DATABASE_URL` where it is set (CI matrix), the embedded one otherwise.

One server for the session, one database for each test that asks for it: made from a migrated template, so it is cheap.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer

SESSIONS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
LOCKS = (
    "FROM pg_locks WHERE locktype = 'advisory' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""Of the database of a test alone: with `TEST_DATABASE_URL`, tests that run beside it are on the same server."""


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a database on the server that tests may make databases on."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    home: Path = tmp_path_factory.mktemp("home")
    with EmbeddedServer(home) as server:
        # The machine is not unplugged during a test, and hundreds of databases are made: what survives a crash of the
        # server itself is tested in store/test_embedded.py, with fsync on.
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.url


def environment(url: str = "", **more: str) -> dict[str, str]:
    """Return the environment of a process: nothing of ours but the database, where there is one, and what is given."""
    ours = ("KASPARRO_", "DATABASE_", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **({"DATABASE_URL": url} if url else {}), **more}


@contextmanager
def nobody() -> Iterator[int]:
    """Give a port that nobody listens on, and that no one else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def url_of(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    parts = urlsplit(url)
    # An empty host must keep its slashes: postgresql://postgres@/name?host=...
    return urlunsplit(parts._replace(path=f"/{name}"))


@contextmanager
def copied(server_url: str, template: str, prefix: str = "test") -> Iterator[str]:
    """Give the URL of a new database, a copy of another one, that is gone afterwards."""
    name = f"{prefix}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        # Files are the quicker to copy, unless they have to reach the disk.
        strategy = "wal_log" if connection.execute("SHOW fsync").fetchone() == ("on",) else "file_copy"
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY {strategy}'.encode())
        try:
            yield url_of(server_url, name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """Name of a migrated database to copy."""
    with copied(server_url, "template1", "template") as url:

        async def build() -> None:
            async with Database(url, size=1):
                pass

        asyncio.run(build())
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """URL of a fresh database without a schema."""
    with copied(server_url, "template0") as url:
        yield url


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """URL of a fresh, migrated database."""
    with copied(server_url, template) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh, migrated database."""
    async with Database(database_url) as opened:
        yield opened
