"""Gathers in this process what is counted and timed, until it is added to the totals of all: see `store/metrics.py`."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import NamedTuple, assert_never

from kasparro.model.events import (
    BreakerChanged,
    Event,
    Fetched,
    PageCommitted,
    PageRead,
    PagesShaped,
    Retrying,
    RunFinished,
    RunJudged,
    RunStarted,
    SliceClosed,
    Throttled,
)
from kasparro.model.metrics import (
    BREAKER_CHANGES,
    COMMIT_DURATION,
    FETCH_DURATION,
    HTTP_DURATION,
    HTTP_REQUESTS,
    METRICS,
    READ_DURATION,
    RETRIES,
    RUN_DURATION,
    SHAPE_DURATION,
    THROTTLE_WAIT_SECONDS,
    THROTTLE_WAITS,
    Metric,
)


class Series(NamedTuple):
    """One series: the name of its metric, the values of its labels, and for a histogram `Metric.bounds`.

    A tuple of texts, as a scrape makes and looks up thousands of them.
    """

    name: str
    labels: tuple[str, ...] = ()
    bounds: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a series has come to: its value; of a histogram the sum of its values, and how many are in each bucket."""

    value: float = 0.0
    counts: tuple[int, ...] = ()

    def __add__(self, other: "Tally") -> "Tally":
        pairs = zip_longest(self.counts, other.counts, fillvalue=0)
        return Tally(self.value + other.value, tuple(one + more for one, more in pairs))


Readings = Mapping[Series, Tally]

_BOUNDS: Mapping[str, str] = MappingProxyType({metric.name: metric.bounds for metric in METRICS})


def added(parts: Iterable[Readings]) -> dict[Series, Tally]:
    """Return the sum of readings, series by series."""
    total: dict[Series, Tally] = {}
    for part in parts:
        for series, tally in part.items():
            known = total.get(series)
            total[series] = tally if known is None else known + tally
    return total


class Meter:
    """Counts and times. Told from one thread.

    It holds one entry per series, however much it is told: what waits while the database is away does not grow.
    """

    def __init__(self) -> None:
        self._values: dict[Series, float] = {}
        self._counts: dict[Series, list[int]] = {}

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        series = Series(metric.name, labels)
        self._values[series] = self._values.get(series, 0) + by

    def time(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add a value to a histogram. A clock that went back makes no negative one."""
        series, seconds = Series(metric.name, labels, _BOUNDS[metric.name]), max(seconds, 0.0)
        counts = self._counts.setdefault(series, [0] * (len(metric.buckets) + 1))
        counts[bisect_left(metric.buckets, seconds)] += 1
        self._values[series] = self._values.get(series, 0) + seconds

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note a request to the API that was answered."""
        self.count(HTTP_REQUESTS, route, method, str(status))
        self.time(HTTP_DURATION, seconds, route, method)

    def emit(self, event: Event) -> None:
        """Note what happens during runs."""
        match event:
            case Fetched():
                self.time(FETCH_DURATION, event.seconds, event.source)
            case PageRead():
                self.time(READ_DURATION, event.seconds, event.source)
            case PagesShaped():
                self.time(SHAPE_DURATION, event.seconds, event.source)
            case PageCommitted():
                self.time(COMMIT_DURATION, event.seconds, event.source)
            case Retrying() | Throttled() | BreakerChanged():
                self._held_up(event)
            case RunFinished(result=result):
                if result.run_id is not None:
                    self.time(RUN_DURATION, result.duration, result.source)
            case RunStarted() | SliceClosed() | RunJudged():
                pass  # counted in the transactions that record them
            case _:
                assert_never(event)

    def _held_up(self, event: Retrying | Throttled | BreakerChanged) -> None:
        match event:
            case Retrying():
                if event.sent:
                    self.count(RETRIES, event.source, event.code)
                if event.asked:
                    self._throttled(event.source, event.wait)
            case Throttled():
                self._throttled(event.source, event.seconds)
            case BreakerChanged():
                self.count(BREAKER_CHANGES, event.host, event.state)
            case _:
                assert_never(event)

    def _throttled(self, source: str, seconds: float) -> None:
        self.count(THROTTLE_WAITS, source)
        self.count(THROTTLE_WAIT_SECONDS, source, by=seconds)

    def look(self) -> dict[Series, Tally]:
        """Return what was gathered."""
        return {
            series: Tally(value, tuple(self._counts.get(series, ()))) for series, value in sorted(self._values.items())
        }

    def take(self) -> dict[Series, Tally]:
        """Return what was gathered, and begin anew."""
        found = self.look()
        self._values.clear()
        self._counts.clear()
        return found
