"""Work that hangs is given up, and keeps nobody waiting."""

import threading
import time

import pytest

from kasparro.assembly.in_time import in_time


async def test_what_is_done_in_time_is_returned_or_raised() -> None:
    assert await in_time(30, lambda: 42) == 42

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_time(30, fail)


async def test_what_hangs_is_left_behind() -> None:
    released, left = threading.Event(), list[threading.Thread]()

    def hang() -> None:
        left.append(threading.current_thread())
        released.wait(60)

    since = time.monotonic()
    with pytest.raises(TimeoutError):
        await in_time(0.05, hang)
    assert time.monotonic() - since < 30
    released.set()
    for one in left:  # none where it had not even begun
        assert one.daemon, "the process can end without it"
        one.join(10)
