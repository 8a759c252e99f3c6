"""Parts that live side by side: one that dies is begun anew, one that dies for ever ends all."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kasparro.assembly.up import Patience, supervised
from kasparro.errors import Broken, Misconfigured, StoreBusy, Unreachable
from kasparro.store.embedded import EmbeddedServer

QUICK = Patience(failures=4, first_wait=0.001, longest_wait=0.004)

Part = Callable[[], Awaitable[None]]


def living(stop: asyncio.Event, told: list[str]) -> Part:
    """A part that lives until it is told to stop, and takes a moment to end."""

    async def part() -> None:
        told.append("began")
        await stop.wait()
        await asyncio.sleep(0)
        told.append("ended")

    return part


def dying(deaths: list[BaseException | None], then: Part) -> Part:
    """A part that dies of these in order, and lives after that."""

    async def part() -> None:
        if not deaths:
            await then()
            return
        death = deaths.pop(0)
        if death is not None:
            raise death

    return part


def ending(stop: asyncio.Event) -> Part:
    async def part() -> None:
        await asyncio.sleep(0)
        stop.set()

    return part


async def test_a_part_that_dies_is_begun_anew_and_the_others_go_on() -> None:
    stop, told = asyncio.Event(), list[str]()
    deaths: list[BaseException | None] = [Unreachable("no answer"), None, RuntimeError("a bug")]
    with capture_logs() as logs:
        await supervised({"a": living(stop, told), "b": dying(deaths, ending(stop))}, stop, QUICK)
    assert told == ["began", "ended"]
    lines = [one for one in logs if "begun anew" in one["event"]]
    assert [(one["part"], one["failures"]) for one in lines] == [("b", 1), ("b", 2), ("b", 3)]
    assert [one["reason"] for one in lines] == ["no answer", "It ended by itself.", "RuntimeError: a bug"]
    assert [one["wait"] for one in lines] == [0.001, 0.002, 0.004]
    assert [one["exc_info"] for one in logs if one["event"] == "unforeseen error"] == [True]


async def test_a_part_that_dies_for_ever_ends_all_after_they_have_ended_well() -> None:
    stop, told = asyncio.Event(), list[str]()
    deaths: list[BaseException | None] = [Unreachable(f"death {n}.") for n in range(9)]
    with pytest.raises(Broken, match=r"The part b failed 4 times in a row, the last time as follows: death 3\."):
        await supervised({"a": living(stop, told), "b": dying(deaths, ending(stop))}, stop, QUICK)
    assert told == ["began", "ended"]
    assert len(deaths) == 5


async def test_what_the_operator_must_change_is_not_tried_again() -> None:
    stop, told = asyncio.Event(), list[str]()
    deaths: list[BaseException | None] = [Misconfigured("Set it.")]
    with pytest.raises(Misconfigured, match="Set it"):
        await supervised({"a": living(stop, told), "b": dying(deaths, ending(stop))}, stop, QUICK)
    assert told == ["began", "ended"]


async def test_a_database_that_is_away_is_waited_for_as_long_as_it_takes() -> None:
    stop = asyncio.Event()
    deaths: list[BaseException | None] = [StoreBusy("away") for _ in range(20)]
    await supervised({"b": dying(deaths, ending(stop))}, stop, QUICK)
    assert deaths == []


async def test_one_that_lived_for_a_while_has_its_failures_counted_anew() -> None:
    stop = asyncio.Event()
    deaths: list[BaseException | None] = [Unreachable("now and then") for _ in range(20)]
    await supervised({"b": dying(deaths, ending(stop))}, stop, Patience(failures=2, first_wait=0.001, well_after=0))
    assert deaths == []


async def test_a_stop_does_not_wait_for_a_part_to_be_begun_anew() -> None:
    stop = asyncio.Event()
    deaths: list[BaseException | None] = [Unreachable("x")]
    patience = Patience(first_wait=3600)
    async with asyncio.timeout(30):
        await supervised({"a": ending(stop), "b": dying(deaths, ending(stop))}, stop, patience)
    assert deaths == []


async def test_cancelled_it_leaves_no_part_behind() -> None:
    stop, told = asyncio.Event(), list[str]()
    before = asyncio.all_tasks()
    both = asyncio.create_task(supervised({"a": living(stop, told), "b": living(stop, told)}, stop, QUICK))
    while len(told) < 2:  # noqa: ASYNC110 - both have begun
        await asyncio.sleep(0)
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert told == ["began", "began"]


def test_a_server_without_a_process_is_not_alive(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    assert not server.is_alive()
    server.data.mkdir()
    (server.data / "postmaster.pid").write_text("not a number\n")
    assert not server.is_alive()
    (server.data / "postmaster.pid").write_text(f"{2**22 + 1}\n/data\n")
    assert not server.is_alive()
