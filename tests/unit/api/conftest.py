"""An application without a database: whoever asks for one is told that it is down."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from fastapi import APIRouter
from psycopg import AsyncConnection
from starlette.testclient import TestClient

from kasparro.api.main import create_app
from kasparro.api.settings import ApiSettings
from kasparro.errors import StoreBusy


class NoDatabase:
    """Stands where the database would, and is down."""

    place = "db.internal/kasparro"

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Refuse."""
        raise StoreBusy("The database db.internal/kasparro cannot be reached.")

    own_connection = connection


@asynccontextmanager
async def no_database() -> AsyncIterator[Any]:
    """Open it."""
    yield NoDatabase()


Serve = Callable[..., TestClient]


@contextmanager
def serving() -> Iterator[Serve]:
    """Give what starts an application; called with routes of its own and what differs from the default settings."""
    with ExitStack() as stack:

        def start(pages: APIRouter | None = None, caller: str = "127.0.0.1", **settings: Any) -> TestClient:
            app = create_app(ApiSettings(**settings), no_database, pages=pages)
            client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False, client=(caller, 50000))
            return stack.enter_context(client)

        yield start


@pytest.fixture
def serve() -> Iterator[Serve]:
    """What starts an application, as `serving` tells."""
    with serving() as start:
        yield start


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """An application with default settings. The tests of a file share it: its OpenAPI document is dear to make."""
    with serving() as start:
        yield start()
