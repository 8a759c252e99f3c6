"""Runs sources while they are disturbed in all ways that a plan knows, and checks that nothing was lost or doubled."""

import asyncio
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import assert_never

from kasparro.errors import Broken
from kasparro.faults.plan import Fault, Seam
from kasparro.store.witness import Witness, scratch_database, witness

_LIMIT = 240.0
"""Seconds after which a run that does not end is a failure; a run waits for its database for half of that."""

_WELL = frozenset({0, 3})
"""Exit codes of runs that came to their end, with or without rejects."""

_UNUSABLE = 2
"""Exit code of runs that the operator must do something about; no fault asks for that."""

_LOOK = 0.005
_PATIENCE = 3.0
"""Seconds a point is waited for; where a run does not come to it, the fault strikes anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """What is to be disturbed, and how.

    Attributes:
        command: Arguments of Python that run the sources, with this seam disturbed by dice of this seed; such a run
            prints a line when it was.
        environment: Of the runs, apart from the database.
        append: Sources of which each record becomes a row of its own.
        plan: The faults, one after the other.
        disturb: Called between the undisturbed run and the faults: makes upstream fail.
        restart: Lets the server of the database crash, and returns when it answers again.
        say: Takes one line for each thing that happens.
    """

    command: Callable[[Seam | None, int], Sequence[str]]
    environment: Mapping[str, str]
    append: Collection[str]
    plan: Sequence[Fault]
    disturb: Callable[[], None]
    restart: Callable[[], Awaitable[None]]
    say: Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What was found by now, by invariant, and how often each act struck."""

    found: dict[str, str] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)

    def add(self, judged: Mapping[str, str], when: str) -> None:
        """Add what was wrong at a time; what is wrong already is not told again."""
        for invariant, wrong in judged.items():
            before = self.found.setdefault(invariant, "")
            if wrong and not before:
                self.found[invariant] = f"{when}: {wrong}"

    @property
    def whole(self) -> bool:
        """Whether nothing was wrong."""
        return not any(self.found.values())


async def run_chaos(chaos: Chaos, url: str) -> dict[str, str]:
    """Return each invariant with what is wrong with it; an empty text where it holds.

    Faults strike one run after another until nothing is left to read; then what came of it is judged, and the next
    faults strike in a fresh database.

    Raises:
        Broken: a run did not end, or an undisturbed one failed.
        Misconfigured: there may be no database beside the one at hand.
    """
    name, tally, left = f"kasparro_chaos_{secrets.token_hex(4)}", _Tally(), list(chaos.plan)
    async with scratch_database(url, f"{name}_calm") as calm:
        await _to_the_end(chaos, calm)
        async with witness(calm, chaos.append) as one:
            undisturbed = await one.facts()
            tally.add(await one.broken(undisturbed), "without any fault")
    chaos.disturb()
    while left and tally.whole:
        async with scratch_database(url, name) as scratch, witness(scratch, chaos.append) as one:
            # A run that came to its end is not followed by another one: that might mend what is wrong.
            if not await _strike_all(chaos, scratch, one, left, tally):
                await _to_the_end(chaos, scratch)
            tally.add(await one.broken(undisturbed), "at the end")
    each = ", ".join(f"{act} {times}" for act, times in sorted(tally.struck.items()))
    chaos.say(f"{tally.struck.total()} of {len(chaos.plan) - len(left)} faults struck a run: {each or 'none'}.")
    return tally.found


async def _strike_all(chaos: Chaos, url: str, one: Witness, left: list[Fault], tally: _Tally) -> bool:
    """Let faults strike, taking them off the list, until a run comes to its end or something is wrong.

    Returns whether the last run came to its end.
    """
    over = False
    while left and tally.whole and not over:
        fault = left.pop(0)
        hit, over = await _strike(chaos, url, one, fault)
        tally.struck[fault.act] += hit
        tally.add(await one.standing(), f"after {fault}")
        chaos.say(f"{len(chaos.plan) - len(left)}. {fault}: {'struck' if hit else 'the run ended before it'}")
    return over


@asynccontextmanager
async def _running(
    chaos: Chaos, url: str, seam: Seam | None = None, seed: int = 0
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *chaos.command(seam, seed),
        env={**chaos.environment, "DATABASE_URL": url},
        stdout=asyncio.subprocess.DEVNULL if seam is None else asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _ended(process: asyncio.subprocess.Process) -> tuple[bool, bytes]:
    """Wait for the end of a run; return whether it came to its own, and what it said."""
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _LIMIT)
    except TimeoutError as error:
        raise Broken(f"A run did not end within {_LIMIT:.0f} seconds.") from error
    if process.returncode == _UNUSABLE:
        raise Broken("A run ended with exit code 2: something has to be changed first. Run it by hand: kasparro run")
    return process.returncode in _WELL, said or b""


async def _to_the_end(chaos: Chaos, url: str) -> None:
    """Run until nothing is left to do: rejects are fine, failures are not."""
    async with _running(chaos, url) as process:
        well, _ = await _ended(process)
    if not well:
        raise Broken(f"An undisturbed run ended with exit code {process.returncode}. Run it by hand: kasparro run")


async def _strike(chaos: Chaos, url: str, one: Witness, fault: Fault) -> tuple[bool, bool]:
    """Begin a run and let a fault strike it; tell whether it did, and whether the run came to its end all the same."""
    match fault.act:
        case "delay" | "truncate" | "double" | "reorder" | "lose":
            async with _running(chaos, url, fault.act, fault.seed) as process:
                well, said = await _ended(process)
            return said != b"", well
        case "kill" | "cut" | "freeze" | "restart":
            pass
        case _:
            assert_never(fault.act)
    async with _running(chaos, url, fault.beside, fault.seed) as process:
        pid = await _found(process, one, fault)
        if pid is None or process.returncode is not None:
            well, _ = await _ended(process)
            return False, well
        match fault.act:
            case "kill":
                process.kill()
            case "cut":
                await one.cut(pid)
            case "freeze":
                await _freeze(chaos, url, one, process)
            case "restart":
                await chaos.restart()
            case _:
                assert_never(fault.act)
        well, _ = await _ended(process)
    return True, well


async def _freeze(chaos: Chaos, url: str, one: Witness, process: asyncio.subprocess.Process) -> None:
    """Stop a run, let another one take over, and wake the first: what it holds must not count any more."""
    process.send_signal(signal.SIGSTOP)
    try:
        await one.unlock()
        async with _running(chaos, url) as other:
            # Where the frozen one holds rows that the other needs, the other ends only after it is woken.
            await asyncio.wait({asyncio.ensure_future(other.wait())}, timeout=_PATIENCE)
            await one.remember()
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
