import asyncio
from collections.abc import AsyncIterator

import pytest

from kasparro.ingestion.ahead import until


async def test_a_reading_whose_run_has_ended_is_ended_too() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def reading() -> AsyncIterator[int]:
        began.set()
        try:
            await asyncio.Event().wait()  # for the turn of a request, say
            yield 1
        finally:
            ended.set()

    listening = asyncio.ensure_future(anext(until(asyncio.Event(), reading())))
    await began.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert ended.is_set()


async def test_who_is_told_to_stop_waits_for_no_item() -> None:
    stop = asyncio.Event()

    async def reading() -> AsyncIterator[int]:
        yield 1
        stop.set()
        await asyncio.Event().wait()

    assert [item async for item in until(stop, reading())] == [1]
