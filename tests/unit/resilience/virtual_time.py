"""An event loop whose time passes only while everybody waits: minutes take milliseconds, and are the same each time."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from kasparro.resilience.retry import Timing

T = TypeVar("T")

_START = 1_700_000_000.0


class _Selector(selectors.SelectSelector):
    """Does not wait: it says by how much the time has to move on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Move the time on, and look what is there."""
        if timeout is None:
            raise AssertionError("nothing will ever happen")
        self.now += max(timeout, 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in such a loop."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def timing() -> Timing:
    """Return the clock of the loop that is running."""
    loop = asyncio.get_running_loop()
    return Timing(
        sleep=asyncio.sleep, clock=loop.time, now=lambda: datetime.fromtimestamp(wall(), UTC), dice=lambda: 0.5
    )


def wall() -> float:
    """Return what the clocks on the wall show in such a loop."""
    return _START + asyncio.get_running_loop().time()
