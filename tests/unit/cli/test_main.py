"""A command loads what it needs and no more; the command line as a whole has them all."""

import subprocess
import sys

import pytest
from typer.main import get_command

from kasparro.cli.exits import INTERRUPTED
from kasparro.cli.main import command_line

HEAVY = {"numpy", "duckdb", "httpx2", "msgspec", "feedparser", "fastapi", "uvicorn"}
AT_ONCE = "Ended at once. What was committed stays; the next run goes on from there.\n"


def ended(code: str) -> subprocess.CompletedProcess[str]:
    """Return what became of a fresh interpreter that ran this."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)


def loaded_by(statements: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after these statements."""
    code = f"import sys\n{statements}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("command", ["run", "migrate", "sources", "runs"])
def test_a_command_loads_nothing_heavy_before_it_is_needed(command: str) -> None:
    statements = f"from kasparro.cli.main import command_line\ncommand_line([{command!r}])"
    assert loaded_by(statements) & HEAVY == set()


def test_a_csv_source_is_declared_without_the_other_kinds() -> None:
    statements = (
        "from kasparro.config import declare_sources\n"
        "declare_sources({'a': {'type': 'csv', 'path': 'a.csv', 'primary_key': 'id'}})"
    )
    names = loaded_by(statements)
    assert names & HEAVY == set()
    assert "kasparro.sources.csv" in names
    assert not {"kasparro.sources.api", "kasparro.sources.rss"} & names


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense"]])
def test_without_a_command_all_are_there(words: list[str]) -> None:
    whole = get_command(command_line(words))
    names = set(whole.commands)  # type: ignore[attr-defined]
    assert {"run", "preview", "check", "init", "serve", "runs", "checkpoint", "rejects", "psql", "version"} <= names


def test_a_command_named_first_stands_alone_and_version_with_it() -> None:
    names = set(get_command(command_line(["run", "a.csv"])).commands)  # type: ignore[attr-defined]
    assert names == {"run", "version"}


def test_ctrl_c_while_it_is_loaded_ends_it_without_a_traceback() -> None:
    code = (
        "import signal\nfrom kasparro.cli import main\n"
        "main.command_line = lambda words: signal.raise_signal(signal.SIGINT)\nmain.main()"
    )
    done = ended(code)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_the_second_signal_ends_a_command_at_once_and_says_so(second: str) -> None:
    code = (
        "import asyncio, signal, typer\n"
        "from kasparro.cli import main\n"
        "from kasparro.cli.context import run_async, with_stop\n"
        "async def body(stop):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    await stop.wait()\n"
        f"    signal.raise_signal(signal.{second})\n"
        "    await asyncio.sleep(60)\n"
        "def waits():\n"
        "    run_async(lambda: with_stop(body, lambda: print('Stopping')))\n"
        "def made(words):\n"
        "    app = typer.Typer()\n"
        "    app.command()(waits)\n"
        "    return app\n"
        "main.command_line = made\n"
        "main.main()"
    )
    done = ended(code)
    assert (done.returncode, done.stdout) == (INTERRUPTED, "Stopping\n")
    assert done.stderr == AT_ONCE


@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_sigterm_before_and_after_the_work_closes_what_is_open(when: str, *, ignored: bool) -> None:
    # A shell lets its background jobs ignore Ctrl-C.
    code = (
        "import asyncio, signal\n"
        f"signal.signal(signal.SIGINT, signal.SIG_IGN if {ignored} else signal.default_int_handler)\n"
        "from kasparro.cli.context import run_async, with_stop\n"
        "async def nothing(stop):\n"
        "    pass\n"
        "async def body():\n"
        "    try:\n"
        f"        if {when == 'after'}:\n"
        "            await with_stop(nothing, lambda: None)\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "        await asyncio.sleep(40)\n"
        "    finally:\n"
        "        print('closed')\n"
        "try:\n"
        "    run_async(body)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = ended(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\ninterrupted\n", "")


@pytest.mark.parametrize("third", ["SIGINT", "SIGTERM"])
def test_the_third_signal_waits_for_nothing_and_leaves_no_traceback(third: str) -> None:
    code = (
        "import asyncio, signal, time\n"
        "from kasparro.cli.context import run_async, with_stop\n"
        "async def body(stop):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    await stop.wait()\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        await asyncio.sleep(60)\n"
        "    finally:\n"
        "        await asyncio.sleep(0)\n"
        f"        signal.raise_signal(signal.{third})\n"
        "        time.sleep(60)\n"
        "run_async(lambda: with_stop(body, lambda: None))\n"
    )
    done = ended(code)
    assert done.returncode == INTERRUPTED
    assert done.stderr == AT_ONCE


def test_three_signals_at_the_same_moment_are_told_of_once() -> None:
    code = (
        "import asyncio, signal\n"
        "from kasparro.cli.context import run_async, with_stop\n"
        "async def body(stop):\n"
        "    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):\n"
        "        signal.raise_signal(number)\n"
        "    await asyncio.sleep(60)\n"
        "run_async(lambda: with_stop(body, lambda: print('Stopping', flush=True)))\n"
    )
    done = ended(code)
    assert (done.returncode, done.stdout) == (INTERRUPTED, "Stopping\n")
    assert done.stderr == AT_ONCE
