"""Breakers of a process that is alone, with a clock that is moved by hand. Shared ones: the integration tests."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import StoreBusy
from kasparro.resilience.breaker import BreakerPolicy, Circuit, Trouble, Verdict, opened
from kasparro.resilience.breakers import Asking, Breakers, Entry, Refusal

HOST = "api.example"
POLICY = BreakerPolicy(failures=3, window=60, seconds=30, longest=100, probe_seconds=45)


class World:
    """Breakers, their clock, and what was told of changes."""

    def __init__(self, board: object = None) -> None:
        self.now = 1000.0
        self.told: list[tuple[str, str, float]] = []
        self.breakers = Breakers(board, clock=lambda: self.now)  # type: ignore[arg-type]
        self.asking = Asking(policy=POLICY, changed=self._changed)

    def _changed(self, host: str, circuit: Circuit) -> None:
        self.told.append((host, circuit.state, circuit.seconds))

    async def enter(self) -> Entry | Refusal:
        return await self.breakers.enter(HOST, self.asking)

    async def met(self, *verdicts: Verdict) -> None:
        for verdict in verdicts:
            entry = await self.enter()
            assert isinstance(entry, Entry)
            self.breakers.leave(entry, verdict, "503 Service Unavailable" if verdict == "failed" else "")
        await self.breakers.settled()

    async def refused(self) -> Circuit:
        entry = await self.enter()
        assert isinstance(entry, Refusal)
        return entry.circuit


async def test_failures_in_a_row_open_it() -> None:
    world = World()
    await world.met("failed", "failed")
    assert world.told == []
    await world.met("failed")
    circuit = await world.refused()
    assert (circuit.state, circuit.seconds, circuit.failures) == ("open", 30, 3)
    assert circuit.reason == "503 Service Unavailable"
    assert world.told == [(HOST, "open", 30)]
    assert world.breakers.refusal("other.example") is None


async def test_an_answer_ends_the_row_and_one_that_asks_to_wait_does_not() -> None:
    world = World()
    await world.met("failed", "failed", "alive", "failed", "failed")
    assert world.told == []
    await world.met("answered", "unknown", "failed")
    assert [state for _, state, _ in world.told] == ["open"]


async def test_failures_of_long_ago_do_not_count() -> None:
    world = World()
    await world.met("failed", "failed")
    world.now += 61
    await world.met("failed", "failed")
    assert world.told == []


async def test_one_probe_closes_it() -> None:
    world = World()
    await world.met("failed", "failed", "failed")
    world.now += 30
    probe = await world.enter()
    assert isinstance(probe, Entry)
    assert probe.probe is not None
    others = [await world.refused() for _ in range(5)]
    assert {other.state for other in others} == {"half_open"}
    world.breakers.leave(probe, "alive")
    await world.breakers.settled()
    assert [state for _, state, _ in world.told] == ["open", "half_open", "closed"]
    await world.met("alive", "failed", "failed")
    assert len(world.told) == 3


async def test_an_answer_that_asks_to_wait_closes_it_too() -> None:
    world = World()
    await world.met("failed", "failed", "failed")
    world.now += 30
    await world.met("answered")
    assert world.told[-1][1] == "closed"


async def test_a_probe_that_fails_opens_it_for_longer_each_time() -> None:
    world = World()
    await world.met("failed", "failed", "failed")
    for seconds in (60, 100, 100):
        world.now += world.told[-1][2]
        await world.met("failed")
        assert (await world.refused()).seconds == seconds
    world.now += 100
    await world.met("alive")
    await world.met("failed", "failed", "failed")
    assert (await world.refused()).seconds == 30


async def test_a_probe_that_came_to_nothing_lets_another_try_at_once() -> None:
    world = World()
    await world.met("failed", "failed", "failed")
    world.now += 30
    await world.met("unknown")
    again = await world.enter()
    assert isinstance(again, Entry)
    assert again.probe is not None


async def test_what_was_sent_before_says_nothing_after() -> None:
    world = World()
    early = await world.enter()
    assert isinstance(early, Entry)
    await world.met("failed", "failed", "failed")
    world.breakers.leave(early, "alive")
    world.breakers.leave(early, "failed")
    await world.breakers.settled()
    assert (await world.refused()).state == "open"
    assert len(world.told) == 1


async def test_many_who_wait_make_one_probe() -> None:
    world = World()
    await world.met("failed", "failed", "failed")
    world.now += 30
    entries = await asyncio.gather(*(world.enter() for _ in range(50)))
    assert sum(isinstance(entry, Entry) for entry in entries) == 1


class Away:
    """A board that is away, or hangs."""

    def __init__(self, *, hangs: bool) -> None:
        self._hangs = hangs
        self.asked = 0

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Circuit]]:
        async def ask(*_: object) -> Circuit:
            self.asked += 1
            if self._hangs:
                await asyncio.Event().wait()
            raise StoreBusy("away")

        return ask


async def test_without_the_database_a_process_decides_for_itself() -> None:
    board = Away(hangs=False)
    world = World(board)
    await world.breakers.look(HOST)
    await world.met("failed", "failed", "failed")
    assert (await world.refused()).state == "open"
    world.now += 30
    await world.met("failed")
    assert (await world.refused()).seconds == 60
    world.now += 60
    await world.met("alive")
    assert [state for _, state, _ in world.told] == ["open", "half_open", "open", "half_open", "closed"]
    assert board.asked == 6  # a look, and once for each change: no request asks it


async def test_a_database_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kasparro.resilience.breakers._BOARD_SECONDS", 0.01)
    world = World(Away(hangs=True))
    await world.met("failed", "failed", "failed")
    assert (await world.refused()).state == "open"


@given(st.integers(0, 10**6), st.floats(0.1, 3600), st.floats(0.1, 3600))
def test_no_host_is_left_alone_for_longer_than_the_longest(openings: int, seconds: float, longest: float) -> None:
    policy = BreakerPolicy(seconds=seconds, longest=longest)
    circuit = opened(openings, Trouble(failures=1, reason=""), policy)
    assert 0 < circuit.seconds <= longest
    assert circuit.openings == openings + 1


async def test_what_a_listener_raises_comes_out() -> None:
    world = World()

    def raising(_host: str, _circuit: Circuit) -> None:
        raise StoreBusy("stop here")

    world.asking = Asking(policy=POLICY, changed=raising)
    await world.met("failed", "failed")
    with pytest.raises(StoreBusy, match="stop here"):
        await world.met("failed")
    await world.breakers.settled()
