"""What is written is read back with the parsers of prometheus-client, the strict one of OpenMetrics among them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain
from prometheus_client.samples import Sample

from kasparro.model.metrics import (
    BUILD_INFO,
    COMMIT_DURATION,
    DATABASE_UP,
    METRICS,
    PAGES,
    RECORDS,
    RUNS,
    THROTTLE_WAIT_SECONDS,
)
from kasparro.observe.metrics import Meter, Readings, Series, Tally
from kasparro.observe.metrics_text import completed, metrics_text

ALL: Readings = {
    Series(metric.name, tuple("x" for _ in metric.labels), metric.bounds): Tally(
        1.5, (1, *(0 for _ in metric.buckets)) if metric.buckets else ()
    )
    for metric in METRICS
}


def samples(readings: Readings, *, openmetrics: bool = False) -> list[Sample]:
    text = metrics_text(readings, openmetrics=openmetrics).decode()
    parse = parse_open if openmetrics else parse_plain
    return [sample for family in parse(text) for sample in family.samples]


@pytest.mark.parametrize("openmetrics", [True, False])
def test_every_metric_is_told_as_the_table_has_it(*, openmetrics: bool) -> None:
    text = metrics_text(ALL, openmetrics=openmetrics).decode()
    families = {family.name: family for family in (parse_open if openmetrics else parse_plain)(text)}
    assert len(families) == len(METRICS)
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(metric.labels)}
        if openmetrics and metric.unit in {"seconds", "bytes"}:
            assert family.unit == metric.unit


def test_both_formats_tell_the_same() -> None:
    def plain(found: list[Sample]) -> set[tuple[object, ...]]:
        return {(one.name, tuple(sorted(one.labels.items())), one.value) for one in found}

    assert plain(samples(ALL)) == plain(samples(ALL, openmetrics=True))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_any_name_of_a_source_comes_back(name: str) -> None:
    # Lines end at \n alone; the parsers cut at it too.
    meter = Meter()
    meter.time(COMMIT_DURATION, 0.1, name)
    readings = {Series(PAGES.name, (name,)): Tally(3), Series(BUILD_INFO.name, ("1",)): Tally(1), **meter.look()}
    for openmetrics in (True, False):
        found = {one.name: one for one in samples(readings, openmetrics=openmetrics)}
        assert found[PAGES.name].labels == {"source": name}
        assert found[PAGES.name].value == 3
        assert found[f"{COMMIT_DURATION.name}_count"].labels == {"source": name}
        assert found[f"{COMMIT_DURATION.name}_count"].value == 1


@pytest.mark.parametrize("value", [0, 1, 0.1, 1e-9, 1795707287.306659, 2**53, 2**53 - 1, 1e300, 123456789012345])
def test_numbers_come_back_exactly(value: float) -> None:
    assert [one.value for one in samples({Series(THROTTLE_WAIT_SECONDS.name, ("a",)): Tally(value)})] == [value]


def test_a_histogram_is_cumulative() -> None:
    meter = Meter()
    for seconds in (0.004, 0.004, 0.2, 99.0):
        meter.time(COMMIT_DURATION, seconds, "a")
    found = samples(meter.look(), openmetrics=True)
    heights = {one.labels["le"]: one.value for one in found if one.name.endswith("_bucket")}
    assert (heights["0.005"], heights["0.1"], heights["0.25"], heights["60.0"], heights["+Inf"]) == (2, 2, 3, 3, 4)
    rest = {one.name.rsplit("_", 1)[1]: one.value for one in found if not one.name.endswith("_bucket")}
    assert rest == {"count": 4, "sum": pytest.approx(99.208)}


def test_buckets_of_another_version_are_put_into_those_of_now() -> None:
    other = Series(COMMIT_DURATION.name, ("a",), "0.007 1.0 600.0")
    now = Series(COMMIT_DURATION.name, ("a",), COMMIT_DURATION.bounds)
    ours = tuple(int(place == 0) for place in range(len(COMMIT_DURATION.buckets) + 1))
    found = samples({other: Tally(10.0, (1, 2, 4, 8)), now: Tally(0.001, ours)}, openmetrics=True)
    heights = {one.labels["le"]: one.value for one in found if one.name.endswith("_bucket")}
    # What was at most 0.007 is at most 0.01 for sure; what was at most 600 may be above 60.
    assert (heights["0.005"], heights["0.01"], heights["1.0"], heights["60.0"], heights["+Inf"]) == (1, 2, 4, 4, 16)
    assert [one.value for one in found if one.name.endswith("_sum")] == [pytest.approx(10.001)]


def test_what_the_table_does_not_know_is_left_out() -> None:
    strange = {
        Series("kasparro_of_tomorrow_total", ("a",)): Tally(1),
        Series(RECORDS.name, ("a",)): Tally(1),
        Series(RECORDS.name, ("a", "b", "c")): Tally(1),
    }
    assert metrics_text(strange, openmetrics=False) == b"\n"
    assert metrics_text(strange, openmetrics=True) == b"# EOF\n"


def test_a_source_begins_with_zeros() -> None:
    told = completed({Series(PAGES.name, ("a",)): Tally(1), Series(RUNS.name, ("a", "failed")): Tally(2)})
    runs = {series.labels[1]: tally.value for series, tally in told.items() if series.name == RUNS.name}
    assert runs == {"success": 0, "partial": 0, "failed": 2, "stopped": 0, "parked": 0, "interrupted": 0}
    assert len(told) == 1 + 6 + 3 + 3 + 1 + 1 + 1


def test_sources_that_are_told_no_more_are_left_out() -> None:
    up = Series(DATABASE_UP.name)
    told = completed({Series(RUNS.name, ("gone", "failed")): Tally(2), up: Tally(1)})
    assert told == {up: Tally(1)}


def test_infinity_is_never_written() -> None:
    text = metrics_text(ALL, openmetrics=False).decode()
    values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")]
    assert all(math.isfinite(value) for value in values)
