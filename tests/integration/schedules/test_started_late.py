"""A run that began late after it was due is judged so; its rows are as good as others."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kasparro.assembly.asking import asked
from kasparro.assembly.running import run_config
from kasparro.config import declare_sources, load_settings
from kasparro.model.run import RunResult
from kasparro.model.schedule import Every, Schedule
from kasparro.scheduling.ticks import begins
from kasparro.store.database import Database

HOUR = timedelta(hours=1)
EARLIER = 6


class Hourly:
    """A source that ran every hour so far."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.lines = url, folder, 0
        for _ in range(EARLIER):
            self.run(None)
        with self.asking() as connection:
            connection.execute(
                "UPDATE etl_run SET facts = jsonb_set(facts::jsonb, '{started_at}', "
                "to_jsonb(now() - (%s - id) * interval '1 hour'))::json",
                [EARLIER + 1],
            )

    def asking(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)

    def run(self, due: datetime | None, jitter: str = "1s") -> RunResult:
        self.lines += 20
        (self.folder / "s.csv").write_text("id,n\n" + "".join(f"{n},{n % 7}\n" for n in range(self.lines)))
        source = {"type": "csv", "path": "s.csv", "primary_key": "id", "hold_on": "suspicious"}
        planned = {**source, "schedule": {"every": "1h", "jitter": jitter}}
        found = declare_sources({"s": planned}, folder=self.folder)

        async def body() -> RunResult:
            async with Database(self.url, size=8) as database:
                wrap = asked("schedule", due=due, job_id=7)
                return (await run_config(found, load_settings(), database=database, wrap=wrap))["s"]

        return asyncio.run(body())

    def findings(self, run_id: int | None) -> list[tuple[Any, ...]]:
        with self.asking() as connection:
            statement = "SELECT kind, severity, subject, facts FROM finding WHERE run_id = %s AND kind = 'source_late'"
            return connection.execute(statement, [run_id]).fetchall()


@pytest.fixture
def hourly(database_url: str, tmp_path: Path) -> Hourly:
    return Hourly(database_url, tmp_path)


def test_a_run_that_begins_late_is_odd_and_takes_effect(hourly: Hourly) -> None:
    due = datetime.now(UTC) - 2 * HOUR
    late = hourly.run(due)
    assert (late.status, late.verdict, late.held) == ("success", "suspicious", None)
    ((kind, severity, subject, facts),) = hourly.findings(late.run_id)
    assert (kind, severity, subject) == ("source_late", "warning", "run")
    assert 7190 < facts["seconds_late"] < 7300
    with hourly.asking() as connection:
        run = connection.execute("SELECT requested_by, due_at, job_id FROM etl_run ORDER BY id DESC LIMIT 1").fetchone()
        rows = connection.execute("SELECT count(*) FROM normalized_data").fetchone()
    assert run == ("schedule", due, 7)
    assert rows == (hourly.lines,)


def test_one_that_begins_in_time_or_within_its_jitter_is_not(hourly: Hourly) -> None:
    on_time = hourly.run(datetime.now(UTC) - timedelta(minutes=1))
    assert (on_time.verdict, hourly.findings(on_time.run_id)) == ("ok", [])
    # Half an hour is late, unless the jitter says that it begins then: the first due moment whose part is that long.
    half, moments = HOUR / 2, [datetime.now(UTC) - HOUR / 2 - n * timedelta(milliseconds=1) for n in range(4000)]
    wanted = next(one for one in moments if begins_after(one) > timedelta(minutes=25))
    spread = hourly.run(wanted, jitter="59m")
    assert (spread.verdict, hourly.findings(spread.run_id)) == ("ok", [])
    late = hourly.run(datetime.now(UTC) - half)
    assert [one[1] for one in hourly.findings(late.run_id)] == ["warning"]


def begins_after(due: datetime) -> timedelta:
    return begins("s", Schedule(when=Every(length=HOUR), jitter=timedelta(minutes=59)), due) - due


def test_one_by_hand_was_due_at_no_time(hourly: Hourly) -> None:
    by_hand = hourly.run(None)
    assert (by_hand.verdict, hourly.findings(by_hand.run_id)) == ("ok", [])
