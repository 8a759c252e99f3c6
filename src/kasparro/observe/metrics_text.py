"""Metrics as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0.0.

Written here and not by `prometheus-client`, which takes 0.3 to 0.5 s for the 24,000 lines of 200 sources. The tests
read them back with it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import accumulate, groupby
from operator import add
from typing import get_args

from kasparro.model.finding import Severity, Verdict
from kasparro.model.metrics import (
    FINDINGS,
    METRICS,
    OPEN_REJECTS,
    PAGES,
    RUNS,
    THROTTLE_WAIT_SECONDS,
    THROTTLE_WAITS,
    VERDICTS,
    Metric,
)
from kasparro.model.run import RunStatus
from kasparro.observe.metrics import Readings, Series, Tally

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_UNITS = frozenset({"seconds", "bytes"})
"""Units that stand at the end of the names, as OpenMetrics wants it of those that it is told."""

_EXACT = 2.0**53

_FROM_ZERO: tuple[tuple[Metric, tuple[tuple[str, ...], ...]], ...] = (
    (RUNS, tuple((status,) for status in get_args(RunStatus) if status != "running")),
    (FINDINGS, tuple((severity,) for severity in get_args(Severity))),
    (VERDICTS, tuple((verdict,) for verdict in get_args(Verdict))),
    (THROTTLE_WAITS, ((),)),
    (THROTTLE_WAIT_SECONDS, ((),)),
    (OPEN_REJECTS, ((),)),
)
"""Told as 0 for every source: a counter that comes into being with its first count shows no increase."""


def completed(readings: Readings) -> dict[Series, Tally]:
    """Return readings with zeros where nothing was counted yet, and without sources that are told no more."""
    sources = {series.labels[0] for series in readings if series.name == PAGES.name}
    named = {metric.name for metric in METRICS if metric.labels[:1] == ("source",)}
    zeros = {
        Series(metric.name, (source, *rest)): Tally()
        for metric, each in _FROM_ZERO
        for rest in each
        for source in sources
    }
    kept = {
        series: tally
        for series, tally in readings.items()
        if series.name not in named or (series.labels and series.labels[0] in sources)
    }
    return zeros | kept


def metrics_text(readings: Readings, *, openmetrics: bool) -> bytes:
    """Return readings as text.

    What the table of metrics does not know, as another version of Kasparro wrote it, is left out.
    """
    grouped: dict[str, list[tuple[Series, Tally]]] = {metric.name: [] for metric in METRICS}
    for series, tally in readings.items():
        if series.name in grouped:
            grouped[series.name].append((series, tally))
    lines, escapes = list[str](), _Escapes()
    for metric in METRICS:
        found = [pair for pair in grouped[metric.name] if len(pair[0].labels) == len(metric.labels)]
        if found:
            lines += _head(metric, openmetrics=openmetrics)
            rows = _buckets if metric.kind == "histogram" else _values
            lines += rows(metric, found, escapes)
    if openmetrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def _head(metric: Metric, *, openmetrics: bool) -> Iterator[str]:
    name = metric.name.removesuffix("_total") if openmetrics and metric.kind == "counter" else metric.name
    yield f"# HELP {name} {_escaped(metric.help)}" if openmetrics else f"# HELP {name} {metric.help}"
    yield f"# TYPE {name} {metric.kind}"
    if openmetrics and metric.unit in _UNITS and name.endswith(f"_{metric.unit}"):
        yield f"# UNIT {name} {metric.unit}"


def _values(metric: Metric, found: Iterable[tuple[Series, Tally]], escapes: "_Escapes") -> Iterator[str]:
    line = f"{metric.name}{{{_labels(metric)}}} %s" if metric.labels else f"{metric.name} %s"
    for series, tally in sorted(found):
        yield line % (*map(escapes.__getitem__, series.labels), _number(tally.value))


def _buckets(metric: Metric, found: Iterable[tuple[Series, Tally]], escapes: "_Escapes") -> Iterator[str]:
    now, bounds, labelled = metric.bounds, [*map(repr, metric.buckets), "+Inf"], _labels(metric)
    each = [f'{metric.name}_bucket{{%s,le="{bound}"}} %%s' for bound in bounds]
    lines = "\n".join([*each, f"{metric.name}_count{{%s}} %%s", f"{metric.name}_sum{{%s}} %%s"])
    places = len(bounds) + 2
    for labels, pairs in groupby(sorted(found), key=_by_labels):
        parts = [one if series.bounds == now else _rebinned(metric, series.bounds, one) for series, one in pairs]
        total = parts[0] if len(parts) == 1 else reduce(add, parts)
        heights = tuple(accumulate(total.counts))
        # The labels first, as they are the same in each line; a percent sign in them is text, and no place for a value.
        told = (labelled % tuple(map(escapes.__getitem__, labels))).replace("%", "%%")
        yield lines % ((told,) * places) % (*heights, heights[-1], _number(total.value))


def _by_labels(pair: tuple[Series, Tally]) -> tuple[str, ...]:
    return pair[0].labels


def _rebinned(metric: Metric, bounds: str, tally: Tally) -> Tally:
    """Return a tally of another version of Kasparro, which had other buckets, in those of now."""
    counts = [0] * (len(metric.buckets) + 1)
    for bound, count in zip((*map(float, bounds.split()), float("inf")), tally.counts, strict=True):
        counts[bisect_left(metric.buckets, bound)] += count
    return Tally(tally.value, tuple(counts))


def _labels(metric: Metric) -> str:
    return ",".join(f'{name}="%s"' for name in metric.labels)


class _Escapes(dict[str, str]):
    """Values of labels as they are written, each escaped once: a name of a source stands in a hundred lines."""

    def __missing__(self, label: str) -> str:
        self[label] = _escaped(label)
        return self[label]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    """Return a number: counts without a point, which both formats take."""
    return str(int(value)) if abs(value) < _EXACT and value == int(value) else repr(float(value))
