import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.judge.anomaly import anomalies
from kasparro.model.facts import FieldFacts, RunFacts
from kasparro.model.finding import Finding, verdict_of

MONDAY = datetime(2026, 3, 2, 2, tzinfo=UTC)
SWAY = (0, 3, -2, 1, -4, 2, 4, -1, -3, 0, 2)


def swayed(value: float, index: int, share: float = 0.01) -> float:
    return value * (1 + share * SWAY[index % len(SWAY)])


def run_at(index: int, records: float = 1000, step: timedelta = timedelta(days=1), **more: Any) -> RunFacts:
    count = round(records)
    plain = RunFacts(started_at=MONDAY + index * step, seconds=swayed(60, index), records=count, bytes_read=count * 100)
    return replace(plain, **more)


def steady(runs: int = 30, **more: Any) -> list[RunFacts]:
    return [run_at(index, swayed(1000, index), **more) for index in range(runs)]


def kinds(findings: Sequence[Finding]) -> list[str]:
    return [one.kind for one in findings]


def test_a_run_like_the_others_is_sound() -> None:
    assert anomalies(steady(), run_at(30)) == ()


def test_a_monday_is_held_against_mondays() -> None:
    history = [run_at(index, swayed(200 if index % 7 >= 5 else 10_000, index)) for index in range(98)]
    (one,) = anomalies(history, run_at(98, 200))
    assert (one.kind, one.severity, one.subject) == ("row_count_low", "critical", "run")
    assert one.message.startswith("The run read 200 records; from 70 earlier runs on working days 9,000 to 11,0")
    assert anomalies(history[:96], run_at(96, 200)) == ()
    assert kinds(anomalies(history[:96], run_at(96, 10_000))) == ["row_count_high"]


def test_each_weekday_has_its_own_level() -> None:
    history = [run_at(index, swayed(1000 * (1 + index % 7), index)) for index in range(98)]
    (one,) = anomalies(history, run_at(98, 5000))
    assert "from 14 earlier Mondays" in one.message
    assert one.expected["low"] < 1000 < one.expected["high"] < 2000


def test_an_hour_is_held_against_its_hour() -> None:
    hour = timedelta(hours=1)
    history = [run_at(index, swayed(50 if index % 24 < 8 else 2000, index), hour) for index in range(190)]
    assert history[-1].started_at.hour == 23
    (one,) = anomalies(history, run_at(206, 50, hour))
    assert one.kind == "row_count_low"
    assert "earlier runs about 16:00" in one.message
    assert anomalies(history, run_at(192, 50, hour)) == ()


def test_the_hour_is_that_of_the_runs_own_clock_and_may_begin_a_second_early() -> None:
    zone = timezone(timedelta(hours=5))
    history = [run_at(index, 0 if index % 2 else 2000, timedelta(hours=12)) for index in range(60)]
    run = run_at(60, 2000, timedelta(hours=12))
    assert anomalies(history, replace(run, started_at=run.started_at.astimezone(zone) - timedelta(seconds=1))) == ()
    assert kinds(anomalies(history, replace(run, records=0))) == ["row_count_zero"]


def test_a_trend_is_followed() -> None:
    history = [run_at(index, swayed(1000 * 1.03**index, index, 0.005)) for index in range(60)]
    assert anomalies(history, run_at(60, 1000 * 1.03**60)) == ()
    assert kinds(anomalies(history, run_at(60, 1000 * 1.03**45))) == ["row_count_low"]


def test_a_new_level_is_the_usual_one_after_some_runs() -> None:
    history, odd = steady(60), 0
    for index in range(60, 72):
        run = run_at(index, swayed(3000, index))
        odd += bool(anomalies(history, run))
        history.append(run)
    assert 3 <= odd <= 6
    assert anomalies(history, run_at(72, 3000)) == ()


def test_no_rows_where_there_were_always_some() -> None:
    (one,) = anomalies(steady(), run_at(30, 0))
    assert (one.kind, one.severity, one.observed) == ("row_count_zero", "critical", 0)
    assert one.message.startswith("The run read no records; from 30 earlier runs 8")
    assert verdict_of([one]) == "bad"


def test_no_rows_stay_odd_for_as_long_as_they_last() -> None:
    history = [*steady(), *(run_at(30 + index, 0) for index in range(20))]
    (one,) = anomalies(history, run_at(50, 0))
    assert one.facts["runs_in_a_row"] == 21


def test_a_source_that_is_often_empty_may_be_empty() -> None:
    history = [run_at(index, 0 if index % 3 else 40) for index in range(60)]
    assert anomalies(history, run_at(60, 0)) == ()
    assert anomalies(history, run_at(60, 3)) == ()
    assert kinds(anomalies(history, run_at(60, 60_000))) == ["row_count_high"]


def test_a_source_that_is_often_empty_may_not_be_so_for_ever() -> None:
    history = [run_at(index, 0 if index % 3 else 40) for index in range(60)]
    silent = [*history, *(run_at(60 + index, 0) for index in range(40))]
    (one,) = anomalies(silent, run_at(100, 0))
    assert (one.kind, one.severity) == ("row_count_zero", "warning")
    assert one.message.startswith("The last 43 runs read no records; from 58 earlier runs at most 2 in a row")


def test_a_short_history_tells_only_that_there_is_nothing() -> None:
    assert anomalies([], run_at(0, 0)) == ()
    assert anomalies(steady(2), run_at(2, 0)) == ()
    assert kinds(anomalies(steady(3), run_at(3, 0))) == ["row_count_zero"]
    assert anomalies([run_at(index, 25 * 4**index) for index in range(4)], run_at(4, 0)) == ()
    assert anomalies(steady(6), run_at(6, 90_000)) == ()
    assert kinds(anomalies(steady(7), run_at(7, 90_000))) == ["row_count_high"]


def test_after_a_pause_more_may_come_and_soon_after_a_run_less() -> None:
    history = [run_at(index, swayed(1000, index, 0.05)) for index in range(40)]
    assert kinds(anomalies(history, run_at(40, 5000))) == ["row_count_high"]
    assert anomalies(history, run_at(44, 5000)) == ()
    again = replace(run_at(0, 50), started_at=history[-1].started_at + timedelta(minutes=30))
    assert anomalies(history, again) == ()
    assert anomalies(history, replace(again, records=0, bytes_read=0)) == ()
    table = [run_at(index, 1000) for index in range(40)]
    assert kinds(anomalies(table, replace(again, records=0))) == ["row_count_zero"]


def test_a_table_that_did_not_grow_in_earlier_pauses_may_not_in_this_one() -> None:
    history = [run_at(index, swayed(1000, index, 0.05)) for index in range(60) if index % 10]
    assert anomalies(history, run_at(63, 1000)) == ()
    assert kinds(anomalies(history, run_at(63, 2500))) == ["row_count_high"]


def test_a_collapse_of_rows_is_not_told_again_by_fields_and_bytes() -> None:
    fields = {f"f{index}": FieldFacts(distinct=900, records=1000) for index in range(5)}
    few = {name: FieldFacts(distinct=1, null_share=0.9, records=10) for name in fields}
    assert kinds(anomalies(steady(fields=fields), run_at(30, 10, fields=few))) == ["row_count_low"]


@pytest.mark.parametrize(
    ("change", "kind", "severity"),
    [
        ({"seconds": 400.0}, "duration_long", "warning"),
        ({"seconds": 40_000.0}, "duration_long", "critical"),
        ({"bytes_read": 30_000}, "bytes_low", "warning"),
        ({"bytes_read": 300_000}, "bytes_high", "warning"),
        ({"rejected": 80}, "reject_share_high", "warning"),
        ({"rejected": 1000}, "reject_share_high", "critical"),
        ({"newest": 20_000.0}, "stale_records", "warning"),
        ({"newest": 864_000.0}, "stale_records", "critical"),
    ],
)
def test_rules_of_the_run(change: dict[str, Any], kind: str, severity: str) -> None:
    history = [run_at(index, swayed(1000, index), newest=swayed(7200, index)) for index in range(30)]
    assert anomalies(history, run_at(30, newest=7200.0)) == ()
    (one,) = anomalies(history, run_at(30, **{"newest": 7200.0, **change}))
    assert (one.kind, one.severity, one.subject) == (kind, severity, "run")
    assert one.expected["low"] <= one.expected["high"]
    assert not one.expected["low"] <= one.observed <= one.expected["high"]


def test_bytes_of_a_bursty_source_are_those_of_a_record() -> None:
    history = [run_at(index, 50 * 3 ** (index * 7 % 5)) for index in range(40)]
    assert anomalies(history, run_at(40, 500)) == ()
    assert kinds(anomalies(history, run_at(40, 500, bytes_read=250_000))) == ["bytes_high"]


PRICES = (1.0, 2.0, 3.0, 5.0, 9.0)


def priced(index: int, **more: Any) -> RunFacts:
    plain = FieldFacts(
        null_share=0.05 + 0.002 * SWAY[index % len(SWAY)],
        distinct=round(swayed(500, index)),
        quantiles=tuple(swayed(one, index) for one in PRICES),
        records=1000,
    )
    return run_at(index, swayed(1000, index), fields={"price": replace(plain, **more)})


@pytest.mark.parametrize(
    ("change", "kind", "severity"),
    [
        ({"null_share": 0.4}, "null_share_high", "warning"),
        ({"null_share": 1.0, "distinct": 0, "quantiles": ()}, "null_share_high", "critical"),
        ({"null_share": 0.0}, "null_share_low", "info"),
        ({"distinct": 100}, "distinct_low", "warning"),
        ({"distinct": 1, "quantiles": (3.0,) * 5}, "distinct_low", "critical"),
        ({"distinct": 900}, "distinct_high", "warning"),
        ({"quantiles": tuple(one * 1000 for one in PRICES)}, "distribution_shifted", "critical"),
        ({"quantiles": tuple(one * 2 for one in PRICES)}, "distribution_shifted", "warning"),
        ({"quantiles": (0.05, 1.0, 3.0, 8.0, 200.0)}, "distribution_shifted", "warning"),
        ({"quantiles": tuple(-one for one in reversed(PRICES))}, "distribution_shifted", "warning"),
    ],
)
def test_rules_of_a_field(change: dict[str, Any], kind: str, severity: str) -> None:
    history = [priced(index) for index in range(40)]
    assert anomalies(history, priced(40)) == ()
    (one,) = anomalies(history, priced(40, **change))
    assert (one.kind, one.severity, one.subject) == (kind, severity, "price")
    assert "`price`" in one.message
    assert not one.expected["low"] <= one.observed <= one.expected["high"]


def test_a_field_that_is_absent_and_one_that_always_was_now_and_then() -> None:
    plain = FieldFacts(distinct=40, records=1000)
    often = [run_at(index, fields={"a": plain, **({"b": plain} if index % 4 else {})}) for index in range(40)]
    (one,) = anomalies(often, run_at(40, fields={"b": plain}))
    assert (one.kind, one.subject, one.severity, one.observed) == ("null_share_high", "a", "critical", 1.0)
    assert anomalies(often, run_at(40, fields={"a": plain})) == ()
    assert anomalies(often, run_at(40, fields={"a": plain, "b": plain, "new": plain})) == ()


def test_few_records_prove_little() -> None:
    def small(index: int, share: float, records: int) -> RunFacts:
        return run_at(index, records, fields={"a": FieldFacts(null_share=share, distinct=5, records=records)})

    history = [small(index, 0.1, 20) for index in range(40)]
    assert anomalies(history, small(40, 0.3, 20)) == ()
    assert kinds(anomalies(history, small(40, 0.9, 20))) == ["null_share_high"]


def test_a_run_that_starts_late() -> None:
    run = run_at(30)
    assert anomalies(steady(), run, due=run.started_at - timedelta(hours=5)) == ()
    assert anomalies(steady(2), run_at(2), due=run_at(1).started_at) == ()
    (one,) = anomalies(steady(), run, due=run.started_at - timedelta(hours=8))
    assert (one.kind, one.severity) == ("source_late", "warning")
    assert one.message.startswith("The run started 8 hours after it was due at 2026-03-31 18:00+00:00")
    (one,) = anomalies(steady(), run, due=run.started_at - timedelta(days=4))
    assert one.severity == "critical"


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 100)
fields = st.builds(
    FieldFacts,
    null_share=st.floats(0, 1) | numbers,
    distinct=numbers,
    quantiles=st.just(()) | st.lists(numbers, min_size=5, max_size=5).map(sorted).map(tuple) | st.just((1.0,)),
    records=st.integers(0, 10**6),
)
runs = st.builds(
    RunFacts,
    started_at=st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    seconds=numbers,
    records=st.integers(0, 30) | st.integers(0, 10**12),
    rejected=st.integers(0, 30) | st.integers(0, 10**12),
    bytes_read=st.integers(0, 2**62),
    newest=st.none() | numbers,
    fields=st.dictionaries(st.sampled_from("abc"), fields),
)


def plain_numbers(value: object) -> list[float]:
    match value:
        case dict():
            return [number for one in value.values() for number in plain_numbers(one)]
        case int() | float():
            return [value]
        case _:
            return []


@given(st.lists(runs, max_size=30), runs)
def test_any_history_can_be_judged(history: list[RunFacts], run: RunFacts) -> None:
    found = anomalies(history, run, due=run.started_at)
    assert found == anomalies(history, run, due=run.started_at)
    assert len({(one.kind, one.subject) for one in found}) == len(found)
    for one in found:
        assert "nan" not in one.message
        assert all(math.isfinite(n) for n in [*plain_numbers(one.expected), *plain_numbers(one.observed)])


@given(runs, st.integers(1, 40), st.integers(0, 10**6))
def test_identical_runs_are_sound(run: RunFacts, times: int, step: int) -> None:
    history = [replace(run, started_at=run.started_at - timedelta(seconds=step * (times - i))) for i in range(times)]
    assert anomalies(history, run) == ()


@given(st.lists(st.integers(10**6, 10**7), min_size=7, max_size=40), st.integers(10**5, 10**8))
def test_ten_times_the_counts_are_the_same_verdict(counts: list[int], now: int) -> None:
    def judged(times: int) -> list[str]:
        history = [run_at(index, count * times) for index, count in enumerate(counts)]
        return kinds(anomalies(history, run_at(len(counts), now * times)))

    assert judged(1) == judged(10)
