"""A real PostgreSQL for the tests: `TEST_DATABASE_URL` where it is set (CI matrix), the embedded one otherwise.

One server for the session, one database for each test that asks for it: made from a migrated template, so it is cheap.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer


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


def url_of(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    parts = urlsplit(url)
    # An empty host must keep its slashes: postgresql://postgres@/name?host=...
    return urlunsplit(parts._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """Name of a migrated database to copy."""

    name = f"template_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')

    async def build() -> None:
        async with Database(url_of(server_url, name), size=1):
            pass

    asyncio.run(build())
    return name


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """URL of a fresh database without a schema."""
    yield from _database(server_url, "template0")


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """URL of a fresh, migrated database."""
    yield from _database(server_url, template)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh, migrated database."""
    async with Database(database_url) as opened:
        yield opened


def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        yield url_of(server_url, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
