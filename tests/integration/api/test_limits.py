"""What takes too long is cancelled, and told as 503 with a time to come back."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from kasparro.errors import StoreBusy
from kasparro.model.dataset import NORMALIZED
from kasparro.store.browse import Browser
from kasparro.store.browse_page import PageQuery, Shown
from kasparro.store.database import Database

QUERY = PageQuery(shown=Shown.of(NORMALIZED), limit=10)


async def test_slow_statement_is_cancelled_on_the_server(database: Database, database_url: str) -> None:
    browser = Browser(database, seconds=0.3)
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("LOCK TABLE normalized_data IN ACCESS EXCLUSIVE MODE")
        start = time.perf_counter()
        with pytest.raises(StoreBusy, match=r"did not answer within 0\.3 seconds"):
            await browser.page(QUERY)
        assert time.perf_counter() - start < 2
        waiting = await other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        assert await waiting.fetchone() == (0,)
    assert (await browser.page(QUERY)).total == 0


async def test_pool_is_exhausted(database_url: str) -> None:
    async with Database(database_url, size=1) as database:
        browser = Browser(database, wait=0.2)
        async with database.connection():
            with pytest.raises(StoreBusy):
                await browser.page(QUERY)
        pages = await asyncio.gather(*(browser.page(QUERY) for _ in range(5)))
        assert {page.total for page in pages} == {0}


async def test_restart_of_the_server_goes_unnoticed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unchecked(_connection: object) -> None: ...

    monkeypatch.setattr("kasparro.store.database.AsyncConnectionPool.check_connection", unchecked)
    async with Database(database_url, size=4) as database:
        browser = Browser(database)
        await asyncio.gather(*(browser.page(QUERY) for _ in range(20)))
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
            ended = await other.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert await ended.fetchone() == (4,)
        pages = await asyncio.gather(*(browser.page(QUERY) for _ in range(20)))
        assert {page.total for page in pages} == {0}


def test_database_that_is_gone_is_503(serve: Callable[..., TestClient], gate: Any) -> None:
    client = serve(gate.url)
    gate.shut()
    with ThreadPoolExecutor() as threads:
        *answers, page = threads.map(client.get, ["/data", "/data?offset=5", "/stats", "/data/sales", "/"])
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "store_busy"
        assert "127.0.0.1" not in answer.text
    assert page.status_code == 503
    assert "The database does not answer" in page.text
