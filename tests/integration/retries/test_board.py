"""Circuit breakers of several processes, kept by PostgreSQL: changed by one at a time, whatever they do at once."""

import asyncio
from typing import Any

import pytest
from tests.integration.retries.conftest import Ask

from kasparro.resilience.breaker import BreakerPolicy, Circuit, Trouble, Verdict
from kasparro.resilience.breakers import Asking, Breakers, Entry, Refusal
from kasparro.store.breakers import PostgresBoard
from kasparro.store.database import Database

HOST = "api.example:8443"
POLICY = BreakerPolicy(failures=2, window=60, seconds=30, longest=50, probe_seconds=45)
DOWN = Trouble(failures=2, reason="the connection was refused")


@pytest.fixture
def board(database: Database) -> PostgresBoard:
    return PostgresBoard(database)


async def due(board: PostgresBoard, ask: Ask) -> None:
    """Open the breaker, and let its time be over."""
    await board.open(HOST, DOWN, POLICY)
    await asyncio.to_thread(ask, "UPDATE host_breaker SET retry_at = clock_timestamp()")


async def test_a_host_that_was_never_left_alone_is_closed_and_has_no_row(board: PostgresBoard, ask: Ask) -> None:
    assert await board.look(HOST) == Circuit()
    assert await board.probe(HOST, "a", POLICY) == Circuit()
    assert ask("SELECT count(*) FROM host_breaker") == [(0,)]


async def test_of_many_who_open_it_one_does(board: PostgresBoard) -> None:
    seen = await asyncio.gather(*(board.open(HOST, DOWN, POLICY) for _ in range(20)))
    assert sorted(one.ours for one in seen) == [False] * 19 + [True]
    assert {(one.state, one.openings, one.failures, one.reason) for one in seen} == {("open", 1, 2, DOWN.reason)}
    assert all(29 < one.seconds <= 30 for one in seen)


async def test_of_many_who_probe_it_one_does(board: PostgresBoard, ask: Ask) -> None:
    await due(board, ask)
    seen = await asyncio.gather(*(board.probe(HOST, f"p{n}", POLICY) for n in range(20)))
    assert sorted(one.ours for one in seen) == [False] * 19 + [True]
    assert {one.state for one in seen} == {"half_open"}


async def test_it_is_not_probed_before_its_time(board: PostgresBoard) -> None:
    await board.open(HOST, DOWN, POLICY)
    seen = await board.probe(HOST, "a", POLICY)
    assert (seen.state, seen.ours) == ("open", False)


async def test_a_probe_that_died_is_taken_over_and_says_nothing_any_more(board: PostgresBoard, ask: Ask) -> None:
    await due(board, ask)
    assert (await board.probe(HOST, "dead", POLICY)).ours
    assert not (await board.probe(HOST, "next", POLICY)).ours
    await asyncio.to_thread(ask, "UPDATE host_breaker SET retry_at = clock_timestamp()")
    assert (await board.probe(HOST, "next", POLICY)).ours
    for late in (
        board.close(HOST, "dead"),
        board.give_back(HOST, "dead"),
        board.open(HOST, Trouble(failures=9, reason="x", probe="dead"), POLICY),
    ):
        seen = await late
        assert (seen.state, seen.ours, seen.failures) == ("half_open", False, 2)
    assert (await board.close(HOST, "next")).ours
    assert await board.look(HOST) == Circuit()


async def test_each_probe_that_fails_makes_it_longer_up_to_the_longest(board: PostgresBoard, ask: Ask) -> None:
    await board.open(HOST, DOWN, POLICY)
    for openings, seconds in ((2, 50), (3, 50)):
        await asyncio.to_thread(ask, "UPDATE host_breaker SET retry_at = clock_timestamp()")
        await board.probe(HOST, "p", POLICY)
        seen = await board.open(HOST, Trouble(failures=3, reason="again", probe="p"), POLICY)
        assert (seen.ours, seen.openings, seen.reason) == (True, openings, "again")
        assert seconds - 1 < seen.seconds <= seconds
    await asyncio.to_thread(ask, "UPDATE host_breaker SET retry_at = clock_timestamp()")
    await board.probe(HOST, "p", POLICY)
    await board.close(HOST, "p")
    assert (await board.open(HOST, DOWN, POLICY)).openings == 1


@pytest.mark.parametrize("jump", ["1 day", "-1 day"])
async def test_a_clock_that_was_set_leaves_no_host_alone_for_ever(board: PostgresBoard, ask: Ask, jump: str) -> None:
    await board.open(HOST, DOWN, POLICY)
    await asyncio.to_thread(ask, f"UPDATE host_breaker SET retry_at = retry_at + interval '{jump}'")
    assert (await board.probe(HOST, "p", POLICY)).ours


class Process:
    """The breakers of one process, on a clock that is moved by hand."""

    def __init__(self, board: PostgresBoard) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.breakers = Breakers(board, clock=lambda: self.now)
        self.asking = Asking(policy=POLICY, changed=lambda _host, circuit: self.told.append(circuit.state))

    async def enter(self) -> Entry | Refusal:
        return await self.breakers.enter(HOST, self.asking)

    async def met(self, verdict: Verdict) -> None:
        entry = await self.enter()
        assert isinstance(entry, Entry)
        self.breakers.leave(entry, verdict, "503")
        await self.breakers.settled()


async def test_what_one_process_met_the_others_know(board: PostgresBoard, ask: Ask) -> None:
    first, second, third = (Process(board) for _ in range(3))
    await first.met("failed")
    await first.met("failed")
    await second.breakers.look(HOST)  # its run begins
    assert isinstance(await second.enter(), Refusal)
    await third.met("failed")  # it has not looked: it is told when it would open the breaker itself
    await third.met("failed")
    assert isinstance(await third.enter(), Refusal)
    assert (first.told, second.told, third.told) == (["open"], [], [])
    await asyncio.to_thread(ask, "UPDATE host_breaker SET retry_at = clock_timestamp()")
    for one in (first, second, third):
        one.now += 31
    probe = await second.enter()
    assert isinstance(probe, Entry)
    assert isinstance(await first.enter(), Refusal)
    second.breakers.leave(probe, "alive")
    await second.breakers.settled()
    first.now += 1
    assert isinstance(await first.enter(), Entry)
    assert isinstance(await third.enter(), Entry)
    assert (first.told, second.told, third.told) == (["open"], ["half_open", "closed"], [])


async def test_requests_ask_nobody(board: PostgresBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(PostgresBoard, "_asked", lambda *_args, **_facts: asked.append(1))
    process = Process(board)
    for _ in range(100):
        await process.met("alive")
        await process.met("failed")
    assert asked == []


async def test_hosts_that_nobody_has_asked_for_long_are_forgotten(board: PostgresBoard, ask: Ask) -> None:
    for host, ago in (("old", "31 days"), ("new", "29 days"), (HOST, "90 days")):
        await board.open(host, DOWN, POLICY)
        change = f"UPDATE host_breaker SET retry_at = clock_timestamp() - interval '{ago}' WHERE host = '{host}'"
        await asyncio.to_thread(ask, change)
    await board.probe(HOST, "p", POLICY)
    await board.open(HOST, Trouble(failures=3, reason="again", probe="p"), POLICY)
    assert await asyncio.to_thread(ask, "SELECT host FROM host_breaker ORDER BY host") == [(HOST,), ("new",)]
