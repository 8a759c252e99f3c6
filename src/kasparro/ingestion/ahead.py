"""Lets the stages of a slice work at the same time: reading ahead, gathering, several at once but in order."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

_END = object()

_WHOLE = 1_000_000

Ready = tuple[object, BaseException | None]


@asynccontextmanager
async def gathered(
    items: AsyncIterator[Item], *, room: Callable[[list[Item], Item], bool], size: Callable[[Item], int], linger: float
) -> AsyncGenerator[AsyncIterator[list[Item]], None]:
    """Give lists of the items that came close together, reading ahead of whoever takes them.

    An error of the maker comes out where its item would have. Leaving the block ends the maker, wherever it is.

    Args:
        items: Read ahead by one, or by as many as have the size 1 together.
        room: Whether an item may be added to the list.
        size: Share of all that may be held, in millionths.
        linger: Seconds from the first item of a list until it is given anyway.
    """
    queue: asyncio.Queue[Ready] = asyncio.Queue()
    taken = asyncio.Condition()
    held = 0

    async def fill() -> None:
        nonlocal held
        try:
            async for item in items:
                async with taken:
                    await taken.wait_for(lambda: held == 0 or held + size(item) <= _WHOLE)  # noqa: B023 - used at once
                    held += size(item)
                queue.put_nowait((item, None))
        except Exception as error:  # noqa: BLE001 - handed over, not handled
            queue.put_nowait((_END, error))
        else:
            queue.put_nowait((_END, None))

    async def get() -> Ready:
        nonlocal held
        item, error = await queue.get()
        if item is not _END:
            async with taken:
                held -= size(item)  # type: ignore[arg-type] # only the marker is no item
                taken.notify_all()
        return item, error

    async with _ending(asyncio.create_task(fill()), items):
        yield _lists(get, room, linger)


async def _lists(
    get: Callable[[], Awaitable[Ready]], room: Callable[[list[Item], Item], bool], linger: float
) -> AsyncIterator[list[Item]]:
    loop = asyncio.get_running_loop()
    coming = asyncio.ensure_future(get())
    try:
        while True:
            item, error = await coming
            if error is not None:
                raise error
            if item is _END:
                return
            found: list[Item] = [item]  # type: ignore[list-item]
            deadline = loop.time() + linger
            while True:
                coming = asyncio.ensure_future(get())
                await asyncio.wait({coming}, timeout=max(deadline - loop.time(), 0))
                if not coming.done() or coming.result()[0] is _END or not room(found, coming.result()[0]):  # type: ignore[arg-type]
                    break
                found.append(coming.result()[0])  # type: ignore[arg-type]
            yield found
    finally:
        coming.cancel()


@asynccontextmanager
async def in_order(
    items: AsyncIterator[Item], make: Callable[[Item], Awaitable[Made]], width: int
) -> AsyncGenerator[AsyncIterator[Made], None]:
    """Give what is made of the items, in their order, while up to `width` are being made or wait to be taken."""
    queue: asyncio.Queue[asyncio.Task[Made] | None] = asyncio.Queue()
    free = asyncio.Semaphore(width)
    tasks: set[asyncio.Task[Made]] = set()

    async def start() -> None:
        try:
            async for item in items:
                await free.acquire()
                task = asyncio.ensure_future(make(item))
                tasks.add(task)
                await queue.put(task)
        except Exception as error:  # noqa: BLE001 - handed over, not handled
            await queue.put(asyncio.ensure_future(_raising(error)))
        else:
            await queue.put(None)

    async def take() -> AsyncIterator[Made]:
        while (task := await queue.get()) is not None:
            made = await task
            tasks.discard(task)
            yield made
            del made
            free.release()

    try:
        async with _ending(asyncio.create_task(start()), items):
            yield take()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(stop: asyncio.Event, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """Give the items until told to stop, then end at once, also while waiting for the next, which ends too."""
    stopped = asyncio.create_task(stop.wait())
    following: asyncio.Future[object] | None = None
    try:
        while not stop.is_set():
            following = asyncio.ensure_future(anext(items, _END))
            await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            item = following.result()
            if item is _END:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.cancel()
        if following is not None and not following.done():
            following.cancel()  # or a request that waits for its turn would be sent after the run has ended
            with suppress(asyncio.CancelledError):
                await following


async def _raising(error: Exception) -> Made:
    raise error


@asynccontextmanager
async def _ending(maker: asyncio.Task[None], items: AsyncIterator[object]) -> AsyncGenerator[None, None]:
    """End the maker with the block, and close what it took from."""
    try:
        yield
    finally:
        maker.cancel()
        with suppress(asyncio.CancelledError):
            await maker
        if isinstance(items, AsyncGenerator):
            await items.aclose()
