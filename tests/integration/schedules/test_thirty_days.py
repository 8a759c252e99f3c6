"""Thirty days of schedules in seconds: two schedulers that race, restart and are away, and runs that take their time.

What should have happened is found by looking at each minute and at what the clocks of the zones show, and by following
the documented rules one moment after the other. Nothing of that is taken from what is tested.
"""

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from kasparro.assembly.scheduling import Scheduler
from kasparro.config import Config, declare_sources
from kasparro.store.database import Database
from kasparro.store.ticks import Seen

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAYS = 30
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"

SPRING = datetime(2026, 3, 1, tzinfo=UTC)
"""Clocks are set forward on 8 March in New York, and on 29 March in Berlin."""

AUTUMN = datetime(2026, 10, 5, tzinfo=UTC)
"""They are set back on 25 October in Berlin, and on 1 November in New York."""

SCHEDULES: dict[str, dict[str, Any]] = {
    "hourly": {"cron": "20 * * * *", "timezone": BERLIN},
    "nightly": {"cron": "30 2 * * *", "timezone": BERLIN, "jitter": "10m"},
    "one_thirty": {"cron": "30 1 * * *", "timezone": NEW_YORK},
    "offices": {"cron": "0 9,17 * * MON-FRI", "timezone": NEW_YORK, "catch_up": False},
    "six_hours": {"every": "6h", "jitter": "1h"},
    "ninety": {"every": "90m", "catch_up": False},
    "slow": {"every": "2h"},
}
LENGTHS = {"slow": 5 * HOUR}
"""How long a run takes where that is more than a few minutes."""

SHORT = 3 * MINUTE
JITTERS = {"nightly": 10 * MINUTE, "six_hours": HOUR}


def length_of(source: str) -> timedelta:
    return LENGTHS.get(source, SHORT)


def naive(source: str, start: datetime) -> list[datetime]:
    """Every due moment of the thirty days, minute by minute."""
    minutes = [start + n * MINUTE for n in range(1, DAYS * 1440 + 1)]
    given = SCHEDULES[source]
    if "every" in given:
        length = {"6h": 360, "90m": 90, "2h": 120}[given["every"]]
        monday = datetime(1970, 1, 5, tzinfo=UTC)
        return [one for one in minutes if (one - monday) // MINUTE % length == 0]
    minute, hour, _, _, weekdays = given["cron"].split()
    shown = [(one, one.astimezone(ZoneInfo(given["timezone"]))) for one in minutes]
    if hour == "*":
        return [one for one, clock in shown if clock.minute == int(minute)]
    found: list[datetime] = []
    for wanted in (int(one) for one in hour.split(",")):
        of_day: dict[Any, datetime] = {}
        for one, clock in shown:
            # The first minute of a day at which the clock shows the time, or has gone past it.
            if (clock.hour, clock.minute) >= (wanted, int(minute)):
                of_day.setdefault(clock.date(), one)
        first = shown[0][1]
        if (first.hour, first.minute) > (wanted, int(minute)):
            of_day.pop(first.date())  # it was before the thirty days
        found += [one for day, one in of_day.items() if weekdays == "*" or day.weekday() < 5]
    return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """When nothing runs, and when a scheduler is begun anew."""

    away: tuple[tuple[datetime, datetime], ...]
    restarts: tuple[datetime, ...]

    def is_away(self, moment: datetime) -> bool:
        return any(first <= moment < last for first, last in self.away)

    def back(self, moment: datetime) -> datetime:
        """The moment itself, or the end of the downtime that it lies in."""
        return next((last for first, last in self.away if first <= moment < last), moment)


def weather(seed: int, start: datetime) -> Weather:
    """Ten downtimes of minutes to a day, not on top of each other, and sixty restarts."""
    rng = random.Random(seed)
    days = rng.sample(range(1, DAYS - 1), 10)
    away = []
    for number, day in enumerate(sorted(days)):
        first = start + day * DAY + timedelta(seconds=rng.randrange(0, 20_000))
        seconds = (rng.randrange(20, 110), rng.randrange(200, 6_000), rng.randrange(9_000, 60_000))[number % 3]
        away.append((first, first + timedelta(seconds=seconds)))
    restarts = sorted(start + timedelta(seconds=rng.randrange(DAYS * 86_400)) for _ in range(60))
    return Weather(away=tuple(away), restarts=tuple(restarts))


def expected(source: str, dues: list[datetime], sky: Weather, end: datetime) -> dict[datetime, str]:
    """What becomes of each due moment by the documented rules: `run`, `joined` or `missed`."""
    became: dict[datetime, str] = {}
    handled: list[tuple[datetime, datetime]] = []
    for later, group in _together(dues, sky):
        if later > end:
            break
        *before, last = group
        became.update(dict.fromkeys(before, "missed"))
        if later - last > 2 * MINUTE and not SCHEDULES[source].get("catch_up", True):
            became[last] = "missed"
        else:
            handled.append((later, last))
    free_at = datetime.min.replace(tzinfo=UTC)
    waits: datetime | None = None
    for moment, due in handled:
        # Whoever looks at the moment at which a run begins finds that it still waits.
        if waits is not None and sky.back(max(waits, free_at)) < moment:
            free_at, waits = sky.back(max(waits, free_at)) + length_of(source), None
        at = max(moment, jittered(source, due))
        became[due] = "run" if waits is None else "joined"
        waits = at if waits is None else min(waits, at)
    return became


def jittered(source: str, due: datetime) -> datetime:
    """The moment and its part of the jitter: a share of 2 ** 64 that a digest tells."""
    told = f"{source}\0{due:%Y-%m-%dT%H:%M:%S}+00:00"
    part = int(hashlib.sha256(told.encode()).hexdigest()[:16], 16)
    return due + timedelta(microseconds=JITTERS.get(source, timedelta()) // timedelta(microseconds=1) * part // 2**64)


def _together(dues: list[datetime], sky: Weather) -> Iterator[tuple[datetime, list[datetime]]]:
    """Due moments with the moment at which somebody sees to them."""
    seen: dict[datetime, list[datetime]] = defaultdict(list)
    for due in dues:
        seen[sky.back(due)].append(due)
    yield from sorted(seen.items())


@dataclass(kw_only=True)
class Hand:
    """Takes jobs from the queue as a worker does, at the moments that it is told."""

    connection: psycopg.AsyncConnection
    runs: list[tuple[str, datetime | None, datetime]] = field(default_factory=list)
    ends: dict[int, datetime] = field(default_factory=dict)

    async def work(self, now: datetime, *, away: bool) -> None:
        for job in [job for job, end in self.ends.items() if end <= now]:
            await self.connection.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [job])
            del self.ends[job]
        if away:
            return
        cursor = await self.connection.execute(
            "UPDATE procrastinate_jobs AS job SET status = 'doing' WHERE status = 'todo' "
            "AND coalesce(scheduled_at, '-infinity') <= %s AND NOT EXISTS (SELECT FROM procrastinate_jobs AS other "
            "WHERE other.lock = job.lock AND other.status = 'doing') RETURNING id, args",
            [now],
        )
        for job, args in await cursor.fetchall():
            due = None if args["due"] is None else datetime.fromisoformat(args["due"])
            assert args["by"] == "schedule"
            self.runs.append((args["source"], due, now))
            self.ends[job] = now + length_of(args["source"])

    async def next_at(self, now: datetime) -> datetime | None:
        cursor = await self.connection.execute(
            "SELECT min(scheduled_at) FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at > %s", [now]
        )
        row = await cursor.fetchone()
        return min([*self.ends.values(), *([row[0]] if row and row[0] else [])], default=None)


@dataclass(kw_only=True)
class Simulated:
    runs: list[tuple[str, datetime | None, datetime]]
    seen: list[Seen]
    looks: int


async def simulate(url: str, config: Config, start: datetime, sky: Weather) -> Simulated:
    """Go from one moment at which something happens to the next."""
    end = start + DAYS * DAY
    seen: list[Seen] = []
    looks = 0
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(Database(url, size=2, check=False)) for _ in range(2)]
        hand = Hand(connection=await psycopg.AsyncConnection.connect(url, autocommit=True))
        stack.push_async_callback(hand.connection.close)
        schedulers = [Scheduler(config, one) for one in databases]
        await schedulers[0].declare()
        await hand.connection.execute("UPDATE source_schedule SET since = %s", [start])
        known = sorted({*(edge for pair in sky.away for edge in pair), *sky.restarts})
        now, wakes, following = start, set(known), None
        while now <= end:
            away = sky.is_away(now)
            if now in sky.restarts:
                number = looks % 2
                schedulers[number] = Scheduler(config, databases[number])
                await schedulers[number].declare()
            if not away and (now in wakes or following is None or now >= following):
                looked = await asyncio.gather(*(one.tick(now) for one in schedulers))
                looks += len(looked)
                seen += [one for each in looked for one in each.seen]
                following = looked[0].following
            await hand.work(now, away=away)
            ahead = [
                None if away else following,
                await hand.next_at(now),
                next((one for one in known if one > now), None),
            ]
            now = min((one for one in ahead if one is not None), default=end + MINUTE)
    return Simulated(runs=hand.runs, seen=seen, looks=looks)


@pytest.mark.slow
@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
async def test_every_due_moment_of_thirty_days_is_seen_to_once(database_url: str, start: datetime) -> None:
    config = declare_sources(
        {name: {"type": "csv", "path": "x.csv", "schedule": given} for name, given in SCHEDULES.items()}, folder=Path()
    )
    sky = weather(start.month, start)
    done = await simulate(database_url, config, start, sky)
    end = start + DAYS * DAY

    began: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for source, due, moment in done.runs:
        assert due is not None
        began[source].append((due, moment))
    joined = [(one.source, one.due) for one in done.seen if one.was == "joined"]
    totals: dict[str, int] = defaultdict(int)
    for source in SCHEDULES:
        dues = naive(source, start)
        became = expected(source, dues, sky, end)
        ran = [due for due, _ in began[source]]
        assert len(ran) == len(set(ran)), f"{source}: a moment ran twice"
        queued = [one.due for one in done.seen if one.source == source and one.was == "queued" and one.due is not None]
        waited = set(queued) - set(ran)
        assert len(waited) <= 1, "one may still wait at the end"
        assert sorted({*ran, *waited}) == [due for due, what in became.items() if what == "run"], source
        assert sorted(due for name, due in joined if name == source and due is not None) == [
            due for due, what in became.items() if what == "joined"
        ], source
        check_starts(source, began[source], sky)
        for what in became.values():
            totals[what] += 1
        missed = sum(what == "missed" for what in became.values())
        made_up = sum(sky.back(due) - due > 2 * MINUTE for due, what in became.items() if what != "missed")
        assert sum(one.missed for one in done.seen if one.source == source) == missed + made_up, source
    # The thirty days had a bit of everything.
    print(f"{len(done.runs)} runs, {dict(totals)}, {done.looks} looks")
    assert totals["run"] > 1000
    assert totals["joined"] > 50
    assert totals["missed"] > 20
    assert [one for one in done.seen if one.was in {"healed", "resumed"}] == []
    await check_record(database_url, done)


def check_starts(source: str, began: list[tuple[datetime, datetime]], sky: Weather) -> None:
    """Runs begin at their moment or, with jitter, a while after it; two of one source never overlap."""
    near = range(-4, 62)  # a run that makes up for something may still be under way
    jitter = JITTERS.get(source, timedelta())
    delays = [moment - due for due, moment in began if not any(sky.is_away(due + n * MINUTE) for n in near)]
    assert all(delay >= timedelta() for delay in delays)
    if source in LENGTHS:
        assert all(later - earlier >= length_of(source) for (_, earlier), (_, later) in pairwise(began))
    elif jitter:
        assert all(delay <= jitter for delay in delays)
        assert len(set(delays)) == len(delays)
        assert max(delays) - min(delays) > jitter / 2
    else:
        assert set(delays) == {timedelta()}


async def check_record(url: str, done: Simulated) -> None:
    """What is written down of each source adds up to what happened."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT source, queued, joined, missed FROM schedule_tick ORDER BY source")
        kept = {source: tuple(counts) for source, *counts in await cursor.fetchall()}
    assert kept == {
        source: (
            sum(one.was == "queued" for one in done.seen if one.source == source),
            sum(one.was == "joined" for one in done.seen if one.source == source),
            sum(one.missed for one in done.seen if one.source == source),
        )
        for source in SCHEDULES
    }
