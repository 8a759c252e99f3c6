"""Lets a stage work ahead of the one behind it, by one item: reading, shaping and writing then overlap."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

Item = TypeVar("Item")

_END = object()


@asynccontextmanager
async def ahead(items: AsyncIterator[Item]) -> AsyncGenerator[AsyncIterator[Item], None]:
    """Give the items one by one while the next is already being made.

    An error of the maker comes out where its item would have. Leaving the block ends the maker, wherever it is.
    """
    queue: asyncio.Queue[tuple[object, BaseException | None]] = asyncio.Queue(maxsize=1)

    async def make() -> None:
        try:
            async for item in items:
                await queue.put((item, None))
        except Exception as error:  # noqa: BLE001 - handed over, not handled
            await queue.put((_END, error))
        else:
            await queue.put((_END, None))

    async def take() -> AsyncIterator[Item]:
        while True:
            item, error = await queue.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item  # type: ignore[misc] # the marker is the only thing in the queue that is no item

    maker = asyncio.create_task(make())
    try:
        yield take()
    finally:
        maker.cancel()
        with suppress(asyncio.CancelledError):
            await maker
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def until(stop: asyncio.Event, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """Give the items until told to stop, then end at once, also while waiting for the next."""
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            following = asyncio.ensure_future(anext(items, _END))
            await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
                return
            item = following.result()
            if item is _END:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.cancel()
