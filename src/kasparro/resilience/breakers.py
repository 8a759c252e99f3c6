"""The circuit breakers of a process, as `breaker` draws them.

Each process counts the failures that it meets. That a host is left alone, and who tries it next, is known to all: a
`Board` keeps it, written when it changes and read when a run begins to ask a host or a probe is due. Without a board,
or while it is away, a process decides for itself.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

import structlog

from kasparro.errors import KasparroError
from kasparro.resilience.breaker import LONGEST_OPEN, Board, BreakerPolicy, Circuit, State, Trouble, Verdict, opened

T = TypeVar("T")

_LOOK_AGAIN = 1.0
"""Seconds between two looks at a host that somebody is probing."""

_BOARD_SECONDS = 2.0
"""How long the board is waited for."""

_log = structlog.get_logger("kasparro.http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One who asks hosts: when it leaves them alone, and what is told of a change that it makes."""

    policy: BreakerPolicy
    changed: Callable[[str, Circuit], None] = lambda _host, _circuit: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request that may be sent. `probe`: it is the one by which the host is tried."""

    host: str
    asking: Asking
    probe: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that may not be sent: its host is left alone for `circuit.seconds` from now."""

    host: str
    circuit: Circuit


@dataclass(slots=True, kw_only=True)
class _Host:
    """What this process knows of a host. `until`: by the clock of the process."""

    state: State = "closed"
    until: float = 0.0
    openings: int = 0
    failures: int = 0
    reason: str = ""
    probing: bool = False
    failed_at: deque[float] = field(default_factory=deque)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Breakers:
    """The breakers of a process.

    Args:
        board: What all processes know; None: this one is alone.
        clock: Seconds that only grow.
    """

    def __init__(self, board: Board | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._away = False
        self._writing: set[asyncio.Task[object]] = set()

    async def look(self, host: str) -> None:
        """Learn what other processes know of a host; for the beginning of a run."""
        one = self._host(host)
        seen = None if one.probing else await self._asked(lambda board: board.look(host))
        if seen is not None and seen.state != "closed" and not one.probing:
            self._adopt(one, seen)

    def refusal(self, host: str) -> Refusal | None:
        """Return why a host may not be asked, where that is known without asking anybody."""
        one = self._hosts.get(host)
        if one is None or one.state == "closed" or self._clock() >= one.until:
            return None
        return self._refused(host, one)

    async def enter(self, host: str, asking: Asking) -> Entry | Refusal:
        """Let a request be sent, or not. `leave` is to be told what came of one that is."""
        one = self._host(host)
        if one.state == "closed":
            return Entry(host=host, asking=asking)
        async with one.turn:
            # Others may have looked while this one waited.
            return self.refusal(host) or await self._due(host, one, asking)

    async def _due(self, host: str, one: _Host, asking: Asking) -> Entry | Refusal:
        """Try a host whose time is over, unless somebody else does."""
        if one.state == "closed":
            return Entry(host=host, asking=asking)
        if one.probing:
            one.until = self._clock() + _LOOK_AGAIN
            return self._refused(host, one)
        probe = uuid.uuid4().hex
        alone = Circuit(state="half_open", openings=one.openings, failures=one.failures, reason=one.reason, ours=True)
        seen = await self._asked(lambda board: board.probe(host, probe, asking.policy)) or alone
        self._adopt(one, seen)
        if seen.state == "closed":
            return Entry(host=host, asking=asking)
        if not seen.ours:
            return self._refused(host, one)
        one.probing = True
        asking.changed(host, seen)
        return Entry(host=host, asking=asking, probe=probe)

    def leave(self, entry: Entry, verdict: Verdict, reason: str = "") -> None:
        """Note what an exchange says of its host. What follows is written down in the background: see `settled`.

        Args:
            entry: What `enter` returned.
            verdict: What it says.
            reason: The failure in a few words, without secrets.
        """
        one = self._host(entry.host)
        if entry.probe is not None:
            self._probed(one, entry, entry.probe, verdict, reason)
        elif verdict == "alive":
            one.failed_at.clear()
        elif verdict == "failed" and one.state == "closed":
            self._failed(one, entry, reason)

    async def settled(self) -> None:
        """Wait until every change is written down, or the board is found to be away: a few seconds at most.

        Raises what one who was told of a change has raised.
        """
        writing = set(self._writing)
        if writing:
            await asyncio.wait(writing)
        for task in writing & self._writing:
            self._writing.discard(task)
            task.result()

    def _failed(self, one: _Host, entry: Entry, reason: str) -> None:
        now, policy = self._clock(), entry.asking.policy
        one.failed_at.append(now)
        while one.failed_at[0] < now - policy.window:
            one.failed_at.popleft()
        if len(one.failed_at) >= policy.failures:
            trouble = Trouble(failures=len(one.failed_at), reason=reason)
            one.failed_at.clear()
            self._open(one, entry, trouble)

    def _probed(self, one: _Host, entry: Entry, probe: str, verdict: Verdict, reason: str) -> None:
        one.probing = False
        host = entry.host
        match verdict:
            case "failed":
                self._open(one, entry, Trouble(failures=one.failures + 1, reason=reason, probe=probe))
            case "alive" | "answered":
                self._write(one, entry, Circuit(ours=True), lambda board: board.close(host, probe))
            case "unknown":
                one.state, one.until = "open", self._clock()
                self._begin(self._asked(lambda board: board.give_back(host, probe)))
            case _:
                assert_never(verdict)

    def _open(self, one: _Host, entry: Entry, trouble: Trouble) -> None:
        policy = entry.asking.policy
        now = opened(one.openings, trouble, policy)
        self._write(one, entry, now, lambda board: board.open(entry.host, trouble, policy))

    def _write(self, one: _Host, entry: Entry, now: Circuit, ask: Callable[[Board], Awaitable[Circuit]]) -> None:
        """Hold to a change at once, so that nobody goes by what was before, and write it down."""
        self._adopt(one, now)

        async def written() -> None:
            seen = await self._asked(ask)
            if seen is not None:
                self._adopt(one, seen)  # another process may have decided meanwhile
            if seen is None or seen.ours:
                entry.asking.changed(entry.host, now if seen is None else seen)

        self._begin(written())

    def _begin(self, work: Coroutine[None, None, object]) -> None:
        self._writing.add(asyncio.ensure_future(work))

    def _host(self, host: str) -> _Host:
        return self._hosts.setdefault(host, _Host())

    def _adopt(self, one: _Host, seen: Circuit) -> None:
        one.state, one.openings, one.failures, one.reason = seen.state, seen.openings, seen.failures, seen.reason
        longest = _LOOK_AGAIN if seen.state == "half_open" else LONGEST_OPEN
        one.until = self._clock() + min(seen.seconds, longest)

    def _refused(self, host: str, one: _Host) -> Refusal:
        left = max(one.until - self._clock(), 0.0)
        known = Circuit(state=one.state, seconds=left, openings=one.openings, failures=one.failures, reason=one.reason)
        return Refusal(host=host, circuit=known)

    async def _asked(self, ask: Callable[[Board], Awaitable[T]]) -> T | None:
        """Ask the board; None where there is none, or it is away. A run goes on without it."""
        board = self._board
        if board is None:
            return None
        try:
            async with asyncio.timeout(_BOARD_SECONDS):
                answer = await ask(board)
        except (KasparroError, TimeoutError) as error:
            if not self._away:
                _log.warning("circuit breakers are of this process alone", reason=str(error) or "the database hangs")
            self._away = True
            return None
        self._away = False
        return answer
