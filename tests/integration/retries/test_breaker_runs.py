"""A host that fails is left alone by every run and every process, and tried again by one request."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.conftest import environment
from tests.integration.retries.conftest import RECORDS, Ask, Declare, Provider, Reply
from tests.integration.stories.conftest import Kasparro

Start = Callable[..., "subprocess.Popen[str]"]

DOWN = Reply(status=500)
PATIENCE = 60.0


@pytest.fixture
def start(tmp_path: Path, database_url: str) -> Iterator[Start]:
    """Run the command line in a process of its own."""
    with ExitStack() as stack:

        def begin(*arguments: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-m", "kasparro", *arguments],
                cwd=tmp_path,
                env=environment(database_url),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def heard(process: "subprocess.Popen[str]") -> list[str]:
    """What a process writes, line by line, as it comes."""
    lines: list[str] = []
    assert process.stdout is not None
    threading.Thread(target=lines.extend, args=[process.stdout], daemon=True).start()
    return lines


def keys(ask: Ask) -> int:
    return int(ask("SELECT count(*) FROM normalized_data")[0][0])


def test_a_run_waits_until_the_host_is_tried_again_and_comes_to_its_end(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask
) -> None:
    provider.mood = lambda number, _page: DOWN if 3 <= number <= 6 else None
    declare({"coins": provider}, http={"attempts": 9, "breaker": {"failures": 3, "open_seconds": 0.5}})
    said = kasparro("run")
    assert said.code == 0, said.err
    assert keys(ask) == RECORDS
    assert provider.pages == [1, 2, 3, 3, 3, 3, 3, 4, 5, 6]
    times = [at for at, _ in provider.asked]
    assert times[5] - times[4] >= 0.5  # the first probe, which fails
    assert times[6] - times[5] >= 1.0  # the second
    assert f"coins: {provider.host} failed 3 times in a row (500 Internal Server Error): nobody asks it" in said.err
    assert f"coins: {provider.host} answers again" in said.err
    ((retries, waits, changes),) = ask("SELECT retries, waits, breaker_changes FROM etl_run")
    assert retries == 4  # each failure
    assert waits >= 6  # after each of them, and until the host may be tried
    assert changes == 5  # open, half-open, open, half-open, closed
    assert ask("SELECT state, openings, failures FROM host_breaker") == [("closed", 0, 0)]
    told: dict[str, float] = dict(
        ask("SELECT labels[2], value FROM metric WHERE name = 'kasparro_breaker_changes_total'")
    )
    assert told == {"open": 2, "half_open": 2, "closed": 1}


def test_a_host_that_is_left_alone_is_asked_by_no_run_and_no_source(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask
) -> None:
    provider.mood = lambda _number, _page: DOWN
    http = {"attempts": 3, "retry_seconds": 5, "breaker": {"failures": 3, "open_seconds": 600}}
    declare({"coins": provider, "stocks": provider}, http=http)
    assert kasparro("run", "coins").code == 1
    assert len(provider.asked) == 3
    said = kasparro("run", "stocks", "--json")
    assert said.code == 1
    assert len(provider.asked) == 3
    (result,) = json.loads(said.out.splitlines()[-1])["results"]
    assert (result["status"], result["error_code"]) == ("failed", "unreachable")
    assert f"{provider.host} is left alone by its circuit breaker, as it failed 3 times in a row" in result["error"]
    assert "500 Internal Server Error; it is asked again at " in result["error"]
    assert ask("SELECT retries, waits FROM etl_run WHERE source = 'stocks'") == [(0, 0)]


@pytest.mark.parametrize("breaker", [False, {"failures": 100}])
def test_without_a_breaker_each_failure_stands_for_itself(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask, breaker: object
) -> None:
    provider.mood = lambda _number, _page: DOWN
    declare({"coins": provider}, http={"attempts": 10, "breaker": breaker})
    assert kasparro("run").code == 1
    assert len(provider.asked) == 10
    assert ask("SELECT count(*) FROM host_breaker") == [(0,)]


def test_refused_connections_and_answers_cut_short_open_it_and_429_does_not(
    kasparro: Kasparro, provider: Provider, other: Provider, declare: Declare, ask: Ask
) -> None:
    gone, cut = other, provider
    gone.stop()
    cut.mood = lambda _number, _page: Reply(status=200, cut=True)
    http = {"attempts": 3, "retry_seconds": 1, "breaker": {"failures": 3}}
    declare({"gone": gone, "cut": cut}, http=http)
    assert kasparro("run").code == 1
    found: dict[str, str] = dict(ask("SELECT host, reason FROM host_breaker WHERE state = 'open'"))
    assert found == {gone.host: "the connection was refused", cut.host: "the answer was broken off"}
    ask("DELETE FROM host_breaker")
    cut.mood = lambda _number, _page: Reply(status=429)
    declare({"cut": cut}, http={**http, "retry_seconds": 300})
    kasparro("run")
    assert ask("SELECT count(*) FROM host_breaker") == [(0,)]


def due(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask, names: Sequence[str] = ("coins",)
) -> tuple[int, threading.Event]:
    """Leave the host of these sources alone, and let it be time to try it: it answers when the event is set.

    Returns how often it was asked so far, too.
    """
    provider.mood = lambda _number, _page: DOWN
    http = {"attempts": 3, "read_timeout": 2 * PATIENCE, "breaker": {"failures": 3, "open_seconds": 600}}
    declare(dict.fromkeys(names, provider), http=http)
    assert kasparro("run", names[0]).code == 1
    free = threading.Event()

    def slow(_number: int, _page: int) -> None:
        free.wait(PATIENCE)

    provider.mood = slow
    ask("UPDATE host_breaker SET retry_at = clock_timestamp()")
    return len(provider.asked), free


def test_one_of_several_processes_tries_the_host_again(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask, start: Start
) -> None:
    names = ("a", "b", "c")
    asked, free = due(kasparro, provider, declare, ask, names)
    runs = [start("run", name, "--json") for name in names]
    told = [heard(run) for run in runs]
    # Two of them have found out, twice each, that the third is trying the host.
    until(lambda: sum("is trying it now" in line for lines in told for line in lines) >= 4)
    assert len(provider.asked) == asked + 1
    free.set()
    assert [run.wait(PATIENCE) for run in runs] == [0, 0, 0]
    assert keys(ask) == 3 * RECORDS
    assert ask("SELECT state FROM host_breaker") == [("closed",)]
    assert ask(
        "SELECT value FROM metric WHERE name = 'kasparro_breaker_changes_total' AND labels[2] = 'half_open'"
    ) == [(1.0,)]


def test_a_process_that_is_killed_while_it_tries_the_host_keeps_nobody_from_it(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask, start: Start
) -> None:
    asked, free = due(kasparro, provider, declare, ask)
    dead = start("run")
    until(lambda: len(provider.asked) > asked)
    assert ask("SELECT state FROM host_breaker") == [("half_open",)]
    dead.kill()
    dead.wait(PATIENCE)
    free.set()
    provider.mood = lambda _number, _page: None
    ask("UPDATE host_breaker SET retry_at = clock_timestamp()")  # the lease of its probe is over
    assert kasparro("run").code == 0
    assert keys(ask) == RECORDS
    assert ask("SELECT state, openings FROM host_breaker") == [("closed", 0)]


def test_a_run_that_is_stopped_while_it_tries_the_host_lets_another_try(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask, start: Start
) -> None:
    asked, free = due(kasparro, provider, declare, ask)
    run = start("run")
    until(lambda: len(provider.asked) > asked)
    run.terminate()
    assert run.wait(PATIENCE) == 0
    free.set()
    assert ask("SELECT state, retry_at <= clock_timestamp() FROM host_breaker") == [("open", True)]
    assert ask("SELECT status FROM etl_run ORDER BY id DESC LIMIT 1") == [("stopped",)]
