"""Work that may hang, such as a file on a network drive that is gone, given up after so many seconds."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_time(seconds: float, work: Callable[[], T]) -> T:
    """Return what the work returns. The thread of work that hangs is left behind, and keeps no process from ending.

    Raises:
        TimeoutError: it took longer.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Callable[[], T]] = loop.create_future()

    def told(outcome: Callable[[], T]) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def body() -> None:
        outcome = _outcome(work)
        if not loop.is_closed():
            loop.call_soon_threadsafe(told, outcome)

    threading.Thread(target=body, daemon=True, name="in-time").start()
    async with asyncio.timeout(seconds):
        return (await ended)()


def _outcome(work: Callable[[], T]) -> Callable[[], T]:
    """Return what gives the result of the work, or raises what it raised."""
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - raised where it is awaited
        failed = error

        def fail() -> T:
            raise failed

        return fail
    return lambda: result
