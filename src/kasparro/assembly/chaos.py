"""Runs sources while they are killed, cut off and frozen, and checks that nothing was lost or doubled."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import assert_never

from kasparro.errors import Broken
from kasparro.faults.plan import Fault
from kasparro.store.witness import Witness, scratch_database, witness

_LIMIT = 120.0
"""Seconds after which a run that does not end is a failure."""

_WELL = frozenset({0, 3})
"""Exit codes of runs that came to their end, with or without rejects."""

_LOOK = 0.005
_PATIENCE = 3.0
"""Seconds a point is waited for; where a run does not come to it, the fault strikes anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """What is to be disturbed, and how.

    Attributes:
        arguments: Of `kasparro run`: configuration and sources.
        environment: Of the runs, apart from the database.
        plan: The faults, one after the other.
        disturb: Called between the undisturbed run and the faults: makes upstream fail.
        say: Takes one line for each thing that happens.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    plan: Sequence[Fault]
    disturb: Callable[[], None]
    say: Callable[[str], None]


async def run_chaos(chaos: Chaos, url: str) -> dict[str, str]:
    """Return each invariant with what is wrong with it; an empty text where it holds.

    Faults strike one run after another until nothing is left to read; then what came of it is judged, and the next
    faults strike in a fresh database.

    Raises:
        Broken: a run did not end, or an undisturbed one failed.
        Misconfigured: there may be no database beside the one at hand.
    """
    name = f"kasparro_chaos_{secrets.token_hex(4)}"
    async with scratch_database(url, f"{name}_calm") as calm:
        await _to_the_end(chaos, calm)
        async with witness(calm) as one:
            undisturbed = await one.facts()
    chaos.disturb()
    left, found, struck = list(chaos.plan), dict[str, str](), 0
    while left:
        async with scratch_database(url, name) as scratch, witness(scratch) as one:
            struck += await _strike_all(chaos, scratch, one, left)
            await _to_the_end(chaos, scratch)
            for invariant, wrong in (await one.broken(undisturbed)).items():
                found[invariant] = "; ".join(filter(None, (found.get(invariant, ""), wrong)))
            if any(found.values()):
                break
    chaos.say(f"{struck} of {len(chaos.plan)} faults struck a run.")
    return found


async def _strike_all(chaos: Chaos, url: str, one: Witness, left: list[Fault]) -> int:
    """Let faults strike until a run comes to its end, taking them off the list; return how many struck."""
    struck = 0
    while left:
        fault = left.pop(0)
        hit, over = await _strike(chaos, url, one, fault)
        struck += hit
        chaos.say(f"{fault}: {'struck' if hit else 'the run ended before it'}")
        if over:
            break
    return struck


@asynccontextmanager
async def _running(chaos: Chaos, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "kasparro", "run", "--json", *chaos.arguments),
        env={**chaos.environment, "DATABASE_URL": url},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ended(process: asyncio.subprocess.Process) -> int:
    try:
        return await asyncio.wait_for(process.wait(), _LIMIT)
    except TimeoutError as error:
        raise Broken(f"A run did not end within {_LIMIT:.0f} seconds.") from error


async def _to_the_end(chaos: Chaos, url: str) -> None:
    """Run until nothing is left to do: rejects are fine, failures are not."""
    async with _running(chaos, url) as process:
        code = await _ended(process)
    if code not in _WELL:
        raise Broken(f"An undisturbed run ended with exit code {code}. Run it by hand: kasparro run")


async def _strike(chaos: Chaos, url: str, one: Witness, fault: Fault) -> tuple[bool, bool]:
    """Begin a run and let a fault strike it; tell whether it did, and whether the run came to its end all the same."""
    async with _running(chaos, url) as process:
        pid = await _found(process, one, fault)
        if pid is None or process.returncode is not None:
            return False, True
        match fault.act:
            case "kill":
                process.kill()
            case "cut":
                await one.cut(pid)
            case "freeze":
                await _freeze(chaos, url, one, process)
            case _:
                assert_never(fault.act)
        code = await _ended(process)
    return True, code in _WELL


async def _freeze(chaos: Chaos, url: str, one: Witness, process: asyncio.subprocess.Process) -> None:
    """Stop a run, let another one take over, and wake the first: what it holds must not count any more."""
    process.send_signal(signal.SIGSTOP)
    try:
        await one.unlock()
        async with _running(chaos, url) as other:
            # Where the frozen one holds rows that the other needs, the other ends only after it is woken.
            await asyncio.wait({asyncio.ensure_future(other.wait())}, timeout=_PATIENCE)
            process.send_signal(signal.SIGCONT)
            await _ended(other)
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGCONT)


async def _found(process: asyncio.subprocess.Process, one: Witness, fault: Fault) -> int | None:
    """Wait until the run is at the point of the fault; return the process of PostgreSQL that is."""
    loop = asyncio.get_running_loop()
    while process.returncode is None and await one.at_point("random") is None:  # noqa: ASYNC110 - PostgreSQL sends no word
        await asyncio.sleep(_LOOK)
    await asyncio.sleep(fault.delay)
    until = loop.time() + _PATIENCE
    while process.returncode is None and loop.time() < until:
        pid = await one.at_point(fault.point)
        if pid is not None:
            return pid
        await asyncio.sleep(_LOOK)
    return None if process.returncode is not None else await one.at_point("random")
