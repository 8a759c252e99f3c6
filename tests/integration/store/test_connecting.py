"""Connections of our own are closed, also where whoever opens one is told to stop meanwhile."""

import asyncio
import gc
from contextlib import suppress

import psycopg
import pytest

from kasparro.store.database import connect


async def opened_and_stopped(url: str, steps: int) -> bool:
    """Stop opening a connection after so many steps of the event loop; False where it was open by then."""
    opening = asyncio.create_task(connect(url))
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    opening.cancel()
    with suppress(asyncio.CancelledError):
        opened = await opening
        await opened.close()
        return False
    return True


async def test_a_connection_whose_opening_is_stopped_is_closed(database_url: str) -> None:
    warned: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", lambda raised: warned.append(str(raised.exc_value)))
        steps = stopped = 0
        while await opened_and_stopped(database_url, steps):
            steps, stopped = steps + 1, stopped + 1
        gc.collect()
    assert stopped > 1, "it was opened before it could be stopped"
    assert warned == []
    deadline = asyncio.get_running_loop().time() + 20
    with psycopg.connect(database_url, autocommit=True) as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        while connection.execute(others).fetchall() != [(0,)]:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
