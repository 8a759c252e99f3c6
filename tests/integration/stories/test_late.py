"""A source that should have run and did not: found once, said everywhere, and over with the next good run."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro

from kasparro.assembly.lateness import find_late, watched
from kasparro.judge.late import expected, late
from kasparro.store.database import Database
from kasparro.store.lateness import Lateness, LateSource

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HABIT = 20


class World:
    """One database: what is in it, and what is found in it at some moment."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def ask(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), given)
            return cursor.fetchall() if cursor.description else []

    def findings(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT severity, run_id, facts FROM finding WHERE kind = 'source_late' ORDER BY id")

    def declare(self, schedule: object, name: str = "coins") -> None:
        (self.folder / f"{name}.csv").write_text("id,n\n1,2\n")
        source: dict[str, object] = {"type": "csv", "path": f"{name}.csv", "primary_key": "id"}
        if schedule is not None:
            source["schedule"] = schedule
        (self.folder / "kasparro.yaml").write_text(json.dumps({"sources": {name: source}}))

    def late(self, after: timedelta) -> list[LateSource]:
        """What is found so long after now."""
        found: list[LateSource] = self.do(lambda database: find_late(database, datetime.now(UTC) + after))
        return found

    def do(self, what: Callable[[Database], Awaitable[Any]]) -> Any:
        async def body() -> Any:
            async with Database(self.url, size=2) as database:
                return await what(database)

        return asyncio.run(body())


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> World:
    return World(database_url, tmp_path)


def test_one_lateness_is_one_finding_and_a_second_one_another(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    assert kasparro("run").code == 0
    assert world.late(HOUR) == []
    (late,) = world.late(HOUR + 20 * MINUTE)
    assert (late.source, late.severity) == ("coins", "warning")
    for minute in (21, 22):
        assert [one.finding_id for one in world.late(HOUR + minute * MINUTE)] == [late.finding_id]
    assert [one[:2] for one in world.findings()] == [("warning", None)]
    (worse,) = world.late(5 * HOUR)
    assert worse.severity == "critical"
    assert worse.finding_id == late.finding_id
    assert [one[0] for one in world.findings()] == ["critical"]

    assert kasparro("run").code == 0
    assert world.late(timedelta()) == []
    (first,) = world.findings()
    assert first[2]["over_by_run"] == 2
    (again,) = world.late(2 * HOUR)
    assert again.finding_id != late.finding_id
    assert len(world.findings()) == 2


def test_a_clock_that_was_set_back_finds_nothing_and_ends_nothing(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    assert world.late(-30 * DAY) == []
    (late,) = world.late(2 * HOUR)
    assert [one.finding_id for one in world.late(-30 * DAY)] == [late.finding_id]
    assert [one.finding_id for one in world.late(2 * HOUR)] == [late.finding_id]
    assert len(world.findings()) == 1


def test_channels_are_told_when_it_is_found_and_when_it_gets_worse(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    world.ask("INSERT INTO notification_channel (name, seen_at) VALUES ('ops', now())")
    told = "SELECT what, source, run_id, first_id = last_id FROM notification_event ORDER BY id"
    for _ in range(2):
        world.late(2 * HOUR)
    assert world.ask(told) == [("findings", "coins", None, True)]
    for _ in range(2):
        world.late(9 * HOUR)
    assert world.ask(told) == [("findings", "coins", None, True)] * 2


def test_only_a_good_run_that_reads_the_source_makes_it_well(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    assert len(world.late(2 * HOUR)) == 1
    assert kasparro("replay", "coins").code == 0
    (world.folder / "coins.csv").unlink()
    assert kasparro("run").code != 0
    assert len(world.late(2 * HOUR)) == 1
    (world.folder / "coins.csv").write_text("id,n\n1,2\n")
    assert kasparro("run").code == 0
    assert world.late(MINUTE) == []


def test_a_schedule_that_changed_is_another_promise(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    assert len(world.late(2 * HOUR)) == 1
    world.declare("1d")
    assert kasparro("late").code == 0
    assert world.late(2 * HOUR) == []
    assert len(world.late(2 * DAY)) == 1
    assert len(world.findings()) == 2
    world.declare("1d")
    kasparro("late")
    assert len(world.findings()) == 2


def test_a_source_that_never_ran_is_late_from_its_declaration_on(world: World, kasparro: Kasparro) -> None:
    world.declare({"every": "1h", "grace": "5m"})
    said = kasparro("late")
    assert (said.code, said.out) == (0, "No source is late.\n")
    assert world.late(HOUR) == []
    (late,) = world.late(HOUR + 6 * MINUTE)
    assert late.last_success_at is None
    assert late.message is not None
    assert late.message.startswith("The source never succeeded. By its schedule (every 1h)")
    kasparro("run")
    assert world.late(timedelta()) == []


def aged(world: World, hours: int) -> None:
    """Let so many hours pass: everything that was written down happened so much earlier."""
    back = f"interval '{hours} hours'"
    world.ask(f"UPDATE etl_run SET started_at = started_at - {back}, finished_at = finished_at - {back}")
    world.ask(f"UPDATE source_schedule SET since = since - {back}")
    world.ask(f"UPDATE etl_source SET declared_at = declared_at - {back}")


def test_the_command_is_for_people_and_for_monitoring(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    aged(world, 2)
    text = kasparro("late")
    assert text.code == 1
    assert "coins" in text.out
    assert "By its schedule (every 1h) a run was due at" in text.out
    plain = kasparro("late", "--json")
    row = json.loads(plain.out)
    assert (plain.code, row["source"], row["severity"]) == (1, "coins", "warning")
    listed = json.loads(kasparro("late", "--all", "--json").out)
    assert (listed["late"], listed["schedule"]) == (True, "every 1h")
    (world.folder / "kasparro.yaml").unlink()  # the schedule is known without the configuration
    assert kasparro("late").code == 1
    found = json.loads(kasparro("findings", "--kind", "source_late", "--json").out)
    assert found["run_id"] is None
    assert len(world.findings()) == 1


def test_a_source_that_was_given_up_by_hand_is_waited_for_no_more(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    aged(world, 2)
    assert kasparro("late").code == 1
    (world.folder / "kasparro.yaml").unlink()
    assert kasparro("late", "--forget", "coins").code == 0
    assert kasparro("late").code == 0
    unknown = kasparro("late", "--forget", "coin")
    assert unknown.code == 1
    assert "There is no source 'coin'" in unknown.err
    world.declare("1h")
    kasparro("run")
    assert len(world.late(2 * HOUR)) == 1


def test_a_habit_is_as_good_as_a_schedule_until_it_is_forgotten(world: World, kasparro: Kasparro) -> None:
    world.declare(None)
    kasparro("run")
    world.ask(
        "INSERT INTO etl_run (source, status, started_at, finished_at, holder, config_hash, code_version) "
        "SELECT 'coins', 'success', moment, moment, 'x', 'x', '0' "
        "FROM generate_series(now() - %s * interval '1 hour', now(), interval '1 hour') AS moment ORDER BY moment",
        HABIT,
    )
    world.ask("UPDATE etl_run SET started_at = now() - interval '21 hours' WHERE id = 1")
    world.ask(
        "UPDATE etl_source SET last_read_id = (SELECT max(id) FROM etl_run), declared_at = now() - interval '9 days'"
    )
    assert world.late(HOUR) == []
    (late,) = world.late(3 * HOUR)
    assert late.message is not None
    assert "ran every 60 minutes" in late.message
    assert world.late(10 * DAY) == []
    assert world.late(3 * HOUR) == []
    assert len(world.findings()) == 1
    assert kasparro("late", "--forget", "coins").code == 0
    assert world.late(3 * HOUR) == []


def test_a_run_by_hand_makes_no_habit(world: World, kasparro: Kasparro) -> None:
    world.declare(None)
    for _ in range(9):
        kasparro("run")
    assert world.late(DAY) == []


def test_two_processes_find_it_once(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    found: list[list[LateSource]] = []
    threads = [threading.Thread(target=lambda: found.append(world.late(2 * HOUR))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [len(one) for one in found] == [1, 1, 1, 1]
    assert len(world.findings()) == 1


def test_while_one_looks_another_need_not(world: World) -> None:
    async def body(database: Database) -> list[bool]:
        async with Lateness(database).turn(wait=False) as mine, Lateness(database).turn(wait=False) as other:
            return [mine is not None, other is not None]

    assert world.do(body) == [True, False]


def test_a_success_in_between_keeps_it_from_being_found(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")

    async def body(database: Database) -> int:
        async with Lateness(database, datetime.now(UTC) + 2 * HOUR).turn(wait=True) as turn:
            assert turn is not None
            (one,) = await turn.sources()
            world.ask("UPDATE etl_source SET last_read_id = 7")
            wait, finding = expected(one.past), late(one.past, turn.now)
            assert wait is not None
            assert finding is not None
            await turn.found(one, finding, wait.due)
            return len(await turn.late())

    assert world.do(body) == 0
    assert world.findings() == []


def test_a_server_looks_by_itself_and_goes_on_after_an_error(world: World, kasparro: Kasparro) -> None:
    world.declare("1h")
    kasparro("run")
    aged(world, 2)

    async def body() -> None:
        opened = watched(lambda: Database(world.url, size=2), first=0.0, every=0.05)
        async with opened():
            world.ask("ALTER TABLE source_lateness RENAME TO elsewhere")
            await asyncio.sleep(0.2)
            world.ask("ALTER TABLE elsewhere RENAME TO source_lateness")
            async with asyncio.timeout(10):
                while not world.findings():  # noqa: ASYNC110 - it is another task that is waited for
                    await asyncio.sleep(0.02)

    asyncio.run(body())
    assert [one[0] for one in world.findings()] == ["warning"]


@pytest.mark.parametrize(
    "schedule", ['{"cron": "99 * * * *", "timezone": "UTC", "jitter": 0, "catch_up": true, "grace": null}', '{"x": 1}']
)
def test_a_schedule_of_another_version_keeps_nobody_from_looking(
    world: World, kasparro: Kasparro, schedule: str
) -> None:
    world.declare("1h")
    kasparro("run")
    world.ask(
        "INSERT INTO source_schedule (source, schedule, since) VALUES ('alien', %s::json, now() - interval '9 days')",
        schedule,
    )
    (late,) = world.late(2 * HOUR)
    assert late.source == "coins"
