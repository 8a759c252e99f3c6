"""Keeps one line that repeats itself from drowning all others."""

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

_MOST_KEYS = 1000
"""Different lines that are counted at a time; when there are more, counting begins anew."""


@dataclass(slots=True)
class _Window:
    """Lines of one kind since a moment, and how many of them were left out."""

    since: float
    seen: int = 0
    left_out: int = 0


class Repetition:
    """Lets through so many lines of one kind in so many seconds; the first one after that says how many were left out.

    Lines are of one kind when their event, level and source are the same. Errors with a traceback always pass, and so
    do lines for `debug`: whoever asks for these wants all of them.

    Args:
        most: Lines of one kind.
        seconds: In so long.
        clock: Seconds from any start.
    """

    def __init__(self, most: int = 10, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._windows: dict[tuple[Any, ...], _Window] = {}

    def __call__(self, _logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Pass a line on, or drop it, as a structlog processor."""
        if "exc_info" in event or name == "debug":
            return event
        now = self._clock()
        key = (event.get("event"), name, event.get("source"))
        window = self._windows.get(key)
        if window is None or now - window.since >= self._seconds:
            left_out = 0 if window is None else window.left_out
            if len(self._windows) >= _MOST_KEYS:
                self._windows.clear()
            window = self._windows[key] = _Window(now)
            if left_out:
                event["left_out"] = left_out
        window.seen += 1
        if window.seen > self._most:
            window.left_out += 1
            raise structlog.DropEvent
        return event
