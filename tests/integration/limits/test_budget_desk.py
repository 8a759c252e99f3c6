"""Budgets in a real PostgreSQL: what is shared, what it costs, and what a process that hangs can do to the others."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import httpx2
import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from kasparro.assembly.limiting import Limiting
from kasparro.errors import RateLimited, StoreBusy
from kasparro.model.events import Event
from kasparro.model.rate import Rate, RateLimit, read_rates
from kasparro.model.source import Declared
from kasparro.resilience.budget_values import Ask
from kasparro.sources.api import Api
from kasparro.sources.http import HttpClient
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.tools import Request
from kasparro.store.budgets import BudgetDesk
from kasparro.store.budgets_seen import forget_budgets, list_budgets
from kasparro.store.database import Database
from kasparro.store.queries import queries

HOST = "api.example.com"
URL = f"https://{HOST}/x"
TEN = (Rate(count=10, seconds=1.0),)


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[BudgetDesk]:
    """Give a desk."""
    made = BudgetDesk(database)
    yield made
    await made.close()


def unexpected() -> None:
    """Say that the clock is as it should be."""


async def fetch_all(
    database: Database, count: int, limit: RateLimit | None, status: int = 200, **headers: str
) -> list[Event]:
    """Fetch so many answers, one after the other, as a run does."""
    events: list[Event] = []
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers=named, stream=httpx2.ByteStream(b"{}"))

    declared = Declared(name="a", kind=Api(url=URL), rate_limit=limit)
    limiting = Limiting(database, {})
    client = HttpClient(
        source="a",
        home=URL,
        transport=httpx2.MockTransport(answer),
        turns=limiting.turns(declared, events.append),
        emit=events.append,
        options=HttpOptions(attempts=1),
    )
    try:
        async with client:
            for _ in range(count):
                await client.fetch(Request(url=URL))
    finally:
        await limiting.close()
    return events


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log everything, with a logger that was not used before: it would be kept as it was then, whatever is captured."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0), cache_logger_on_first_use=False)
    monkeypatch.setattr("kasparro.store.database._log", structlog.get_logger("kasparro.sql"))
    yield
    structlog.configure(**before)


def statements(logs: list[structlog.typing.EventDict]) -> list[str]:
    """Return the SQL that was executed for budgets."""
    return [one["statement"] for one in logs if one["event"] == "sql" and "rate_budget" in one["statement"]]


async def test_what_one_process_takes_another_does_not_get(database: Database, desk: BudgetDesk) -> None:
    other = BudgetDesk(database)
    first = await desk.settle(HOST, HOST, Ask(holder="a", want=8, rates=TEN), unexpected)
    second = await other.settle(HOST, HOST, Ask(holder="b", want=8, rates=TEN), unexpected)
    await other.close()
    counts = [sum(count for _, count in one.permits["declared 1.0"]) for one in (first, second)]
    assert counts == [8, 1]  # half of what is left, as both want more


async def test_only_what_counts_is_found(desk: BudgetDesk, database_url: str) -> None:
    before = await desk.look(HOST)
    await desk.settle(HOST, HOST, Ask(holder="a", rates=TEN), unexpected)
    during = await desk.look(HOST)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE rate_budget SET lasts = now() - interval '8 days'")
    after = await desk.look(HOST)
    await desk.settle("x", "x", Ask(holder="a", leaving=True), unexpected)
    assert (before, during, after) == (False, True, False)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT key FROM rate_budget").fetchall() == []


async def test_many_budgets_of_one_process_are_settled_side_by_side(desk: BudgetDesk, database_url: str) -> None:
    async def settled(number: int) -> bool:
        ask = Ask(holder="a", want=1, rates=TEN)
        return bool((await desk.settle(f"host{number}", f"host{number}", ask, unexpected)).permits)

    assert await asyncio.gather(*(settled(number) for number in range(12))) == [True] * 12
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM rate_budget").fetchall() == [(12,)]


async def test_an_exchange_that_is_given_up_harms_no_other(desk: BudgetDesk) -> None:
    for number in range(20):
        given_up = asyncio.ensure_future(desk.settle(HOST, HOST, Ask(holder="a", rates=TEN), unexpected))
        await asyncio.sleep(number * 0.0005)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert (await desk.settle(HOST, HOST, Ask(holder="b", want=1, rates=TEN), unexpected)).now > 0


async def test_a_connection_that_was_cut_off_is_told_and_the_next_exchange_works(
    desk: BudgetDesk, database_url: str
) -> None:
    await desk.settle(HOST, HOST, Ask(holder="a", rates=TEN), unexpected)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreBusy):
        await desk.settle(HOST, HOST, Ask(holder="a", rates=TEN), unexpected)
    grant = await desk.settle(HOST, HOST, Ask(holder="a2", want=1, rates=TEN), unexpected)
    assert grant.permits


@pytest.mark.slow
async def test_a_process_that_is_frozen_with_a_book_in_its_hands_does_not_keep_it(
    desk: BudgetDesk, database_url: str
) -> None:
    await desk.settle(HOST, HOST, Ask(holder="a", rates=TEN), unexpected)
    sql = queries("budgets")
    frozen = await psycopg.AsyncConnection.connect(database_url)
    await frozen.execute(sql["bounds"])
    await frozen.execute(sql["lock"], {"key": HOST})
    async with asyncio.timeout(30):
        grant = await desk.settle(HOST, HOST, Ask(holder="b", want=1, rates=TEN), unexpected)
    assert grant.permits
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        await frozen.execute("SELECT 1")
    await frozen.close()


async def test_a_host_without_a_limit_costs_no_statement_per_request(database_url: str) -> None:
    with capture_logs() as logs:
        async with Database(database_url, debug=True) as database:
            await fetch_all(database, 300, None)
    found = statements(logs)
    assert 1 <= len(found) <= 10
    assert all(one.startswith("SELECT EXISTS") for one in found)


async def test_a_limit_that_does_not_bind_costs_few_statements(database_url: str) -> None:
    with capture_logs() as logs:
        async with Database(database_url, debug=True) as database:
            await fetch_all(database, 300, RateLimit(rates=read_rates("100000/h")))
    assert len([one for one in statements(logs) if one.startswith("UPDATE")]) < 60


async def test_a_wait_that_was_asked_for_holds_for_the_next_process_too(database: Database, database_url: str) -> None:
    with pytest.raises(RateLimited):
        await fetch_all(database, 1, None, 429, retry_after="3600")
    with pytest.raises(RateLimited) as raised:
        await fetch_all(database, 1, None)
    assert raised.value.facts["park"] is True
    assert 3500 < (raised.value.retry_after or 0) <= 3600
    with psycopg.connect(database_url) as connection:
        ((key, held),) = connection.execute("SELECT key, hold_until > now() FROM rate_budget").fetchall()
    assert (key, held) == (HOST, True)


async def test_credentials_are_not_in_the_database(database: Database, database_url: str) -> None:
    headers = {"X-Api-Key": "a-very-secret-key"}
    declared = Declared(name="a", kind=Api(url=URL, headers=headers), rate_limit=RateLimit(rates=read_rates("5/s")))
    limiting = Limiting(database, {})
    turn = await limiting.turns(declared, lambda _event: None).before(HOST)
    turn.over(None)
    await limiting.close()
    with psycopg.connect(database_url) as connection:
        ((text,),) = connection.execute("SELECT rate_budget::text FROM rate_budget").fetchall()
    assert HOST in text
    assert "secret" not in text


@pytest.mark.parametrize("name", [HOST, f"{HOST} abc"], ids=["by host", "by budget"])
async def test_people_see_what_is_left_and_can_forget_it(database: Database, desk: BudgetDesk, name: str) -> None:
    hold = (time.time() + 100, "asked to wait")
    await desk.settle(f"{HOST} abc", HOST, Ask(holder="a", want=4, rates=TEN), unexpected)
    await desk.settle("other", "other", Ask(holder="a", hold=hold), unexpected)
    async with database.connection() as connection:
        limited, waiting = await list_budgets(connection)
        assert (limited.budget, limited.limit, limited.by, limited.left, limited.held, limited.processes) == (
            f"{HOST} abc",
            "10/s",
            "declared",
            6,
            4,
            1,
        )
        assert (waiting.limit, waiting.reason) == (None, "asked to wait")
        assert waiting.waits_until is not None
        assert await forget_budgets(connection, name) == 1
        assert [one.host for one in await list_budgets(connection)] == ["other"]


def test_nothing_of_it_is_loaded_before_a_request_is_sent() -> None:
    code = (
        "import sys, kasparro.cli.main, kasparro.assembly.running\n"
        "print([n for n in ('http_sf', 'kasparro.resilience.limits', 'kasparro.store.budgets') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
