"""The seam between the HTTP client and whatever says when a host may be asked: rate limits, and what is like them.

Each exchange, each hop of a redirect among them, takes a turn at its host before it is sent, and ends it when its
answer is read.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from kasparro.sources.http_url import origin

_USUAL_PORTS = frozenset({80, 443})


class Turn(Protocol):
    """One exchange with a host."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer, as soon as it is there."""
        ...

    def over(self, error: BaseException | None) -> None:
        """The exchange has ended: well, or by this error, of the HTTP library or of ours. Called once."""
        ...


class Turns(Protocol):
    """Says when the hosts of one source may be asked. Hosts are written as in the event `Fetched`."""

    async def before(self, host: str) -> Turn:
        """Wait until the host may be asked.

        Raises:
            RateLimited: it would take longer than it may; `facts["retry_after"]` seconds, and `facts["park"]`.
        """
        ...


class FreeTurn:
    """A turn that nobody counts."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn nothing."""

    def over(self, error: BaseException | None) -> None:
        """Do nothing."""


class FreeTurns:
    """Every host may be asked at any time."""

    async def before(self, host: str) -> Turn:  # noqa: ARG002 - the seam
        """Wait for nothing."""
        return FreeTurn()


def host_of(url: str) -> str:
    """Return `host`, with the port where it is no usual one. Raises Misconfigured when it is no http(s) address."""
    to = origin(url)
    return to.host if to.port in _USUAL_PORTS else f"{to.host}:{to.port}"


class Visit:
    """One attempt: its hops, and the time it may take. Waits for turns are not part of that time.

    Use it as an async context manager; it raises TimeoutError as `asyncio.timeout` does.

    Args:
        turns: Asked before each hop.
        seconds: For all hops and the body.
        clock: Seconds that only grow.

    Attributes:
        waited: Seconds for turns.
        hops: Turns that were given; where it is 0 nothing was sent.
        status: Of the last answer; 0 before there is one.
    """

    def __init__(self, turns: Turns, seconds: float, clock: Callable[[], float]) -> None:
        self.waited = 0.0
        self.hops = 0
        self.status = 0
        self._turns = turns
        self._clock = clock
        self._limit = asyncio.timeout(seconds)
        self._turn: Turn | None = None

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        finally:
            # Where the time is up, what came out of the block is only that it was cancelled.
            self._leave(TimeoutError() if self._limit.expired() else error)

    async def turn(self, url: str) -> None:
        """End the turn of the hop before, and wait for one at the host of this address. Raises as `Turns.before`."""
        self._leave(None)
        self.status = 0
        loop, since = asyncio.get_running_loop(), self._clock()
        ends = self._limit.when()
        left = None if ends is None else ends - loop.time()
        self._limit.reschedule(None)
        try:
            self._turn = await self._turns.before(host_of(url))
            self.hops += 1
        finally:
            self.waited += self._clock() - since
            self._limit.reschedule(None if left is None else loop.time() + left)

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer."""
        self.status = status
        if self._turn is not None:
            self._turn.answered(status, headers)

    def _leave(self, error: BaseException | None) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.over(error)
