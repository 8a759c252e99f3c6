from collections.abc import Mapping
from typing import Any

import pytest

from kasparro.model.events import (
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
from kasparro.model.metrics import COMMIT_DURATION, RETRIES
from kasparro.model.run import Counts, RunResult
from kasparro.observe.metrics import Meter, Series, Tally, added

STEP: Mapping[str, Any] = {"source": "coins", "run_id": 7, "slice_name": "all", "began": 0.0}


def named(meter: Meter) -> Mapping[str, float]:
    return {
        f"{series.name} {' '.join(series.labels)}": sum(tally.counts) or tally.value
        for series, tally in meter.take().items()
    }


def finished(run_id: int | None) -> RunFinished:
    return RunFinished(result=RunResult(source="coins", status="success", counts=Counts(), duration=2.0, run_id=run_id))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            Fetched(source="coins", host="a", method="GET", status=200, bytes_read=1, began=0, seconds=0.1),
            {"kasparro_fetch_duration_seconds coins": 1},
        ),
        (PageRead(**STEP, records=1, bytes_read=1, seconds=0.1), {"kasparro_read_duration_seconds coins": 1}),
        (PagesShaped(**STEP, records=1, pages=3, seconds=0.1), {"kasparro_shape_duration_seconds coins": 1}),
        (
            PageCommitted(**STEP, counts=Counts(), bytes_read=1, done=None, pages=3, seconds=0.1),
            {"kasparro_commit_duration_seconds coins": 1},
        ),
        (
            Retrying(source="coins", place="a", attempt=1, wait=3, reason="r", code="unreachable"),
            {"kasparro_retries_total coins unreachable": 1},
        ),
        (
            Retrying(source="coins", place="a", attempt=1, wait=2.5, reason="r", code="rate_limited", asked=True),
            {
                "kasparro_retries_total coins rate_limited": 1,
                "kasparro_throttle_wait_seconds_total coins": 2.5,
                "kasparro_throttle_waits_total coins": 1,
            },
        ),
        (
            Throttled(source="coins", host="h", seconds=1.5, reason="the rate limit is spent"),
            {"kasparro_throttle_wait_seconds_total coins": 1.5, "kasparro_throttle_waits_total coins": 1},
        ),
        (finished(7), {"kasparro_run_duration_seconds coins": 1}),
        (finished(None), {}),  # it could not begin
        (RunStarted(source="coins", run_id=7, slices=1, resumed=False), {}),
        (SliceClosed(source="coins", run_id=7, slice_name="all"), {}),
        (RunJudged(source="coins", run_id=7, verdict="ok", findings=()), {}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_gathered_of_an_event(event: Event, expected: dict[str, float]) -> None:
    meter = Meter()
    meter.emit(event)
    assert named(meter) == expected
    assert named(meter) == {}


def test_a_value_on_a_bound_is_not_above_it() -> None:
    meter = Meter()
    for seconds in (-1.0, 0.0, 0.005, 0.0051, 60.0, 61.0):
        meter.time(COMMIT_DURATION, seconds, "coins")
    ((series, tally),) = meter.look().items()
    assert series == Series("kasparro_commit_duration_seconds", ("coins",), COMMIT_DURATION.bounds)
    assert (tally.counts[0], tally.counts[1], tally.counts[-2], tally.counts[-1]) == (3, 1, 1, 1)
    assert tally.value == pytest.approx(0.005 + 0.0051 + 121)


def test_it_does_not_grow_with_what_it_is_told() -> None:
    meter = Meter()
    for number in range(10_000):
        meter.count(RETRIES, "coins", "unreachable")
        meter.time(COMMIT_DURATION, number / 1000, "coins")
    assert len(meter.look()) == 2


def test_readings_are_added_series_by_series() -> None:
    one, other = Series("a", ("x",)), Series("b", (), "1.0")
    total = added([{one: Tally(1)}, {one: Tally(2), other: Tally(0.5, (1, 0))}, {other: Tally(2.0, (0, 1))}])
    assert total == {one: Tally(3), other: Tally(2.5, (1, 1))}
