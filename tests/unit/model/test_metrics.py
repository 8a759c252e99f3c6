import re

import pytest

from kasparro.model.metrics import METRICS, Metric


def test_every_name_is_there_once() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names)) > 20


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"kasparro_[a-z_]+", metric.name)
    assert all(re.fullmatch(r"[a-z]+", label) and label not in {"le", "quantile", "job"} for label in metric.labels)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.unit != "seconds" or metric.name.removesuffix("_total").endswith("_seconds")
    assert metric.unit != "bytes" or metric.name.removesuffix("_total").endswith("_bytes")
    assert metric.help.endswith(".")
    assert not set(metric.help) & {"\n", "\\", "|", '"'}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_only_histograms_have_buckets(metric: Metric) -> None:
    assert (metric.buckets != ()) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
