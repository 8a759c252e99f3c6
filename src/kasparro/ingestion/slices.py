"""Slices that are worked on at the same time, and how they end together: told to stop, or asked to wait."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Self

from kasparro.errors import KasparroError, Stopped
from kasparro.resilience.parking import parks


class Halt:
    """Ends all slices of a run after the commits in hand, when it is told to stop or one of them is to be parked.

    Attributes:
        event: Set then.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._parked: KasparroError | None = None
        self._stopped: KasparroError | None = None

    @classmethod
    @asynccontextmanager
    async def after(cls, stop: asyncio.Event) -> AsyncIterator[Self]:
        """Give one that is set when another event is, as long as the block takes."""
        made = cls()
        if stop.is_set():
            made.event.set()
        following = asyncio.create_task(made._follow(stop))
        try:
            yield made
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _follow(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.event.set()

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """Work on a slice in the block. One that parks, or was stopped, ends the others too. Raises what is neither."""
        try:
            yield
        except KasparroError as error:
            wait = parks(error)
            if wait is None and not isinstance(error, Stopped):
                raise
            if wait is None:
                self._stopped = self._stopped or error
            elif self._parked is None or wait > (parks(self._parked) or 0):
                self._parked = error
            self.event.set()

    def begin(self, source: str) -> None:
        """Raise Stopped where a slice would begin that the others are to end."""
        if self.event.is_set():
            raise Stopped(f"{source} was told to stop; the next run goes on from here.")

    def check(self) -> None:
        """Raise what has ended the slices: the longest of the waits that were asked for, or that they were stopped."""
        if self._parked is not None:
            raise self._parked
        if self._stopped is not None:
            raise self._stopped


async def all_of(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Wait for all; the first error ends the others, and is raised."""
    tasks = [asyncio.ensure_future(one) for one in works]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
