"""What happens becomes messages: once, grouped, not repeated too often, and nothing is lost when somebody dies."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.integration.notify.conftest import NOON, Ask, World, later, low

from kasparro.model.notification import MOST_ITEMS, Wishes
from kasparro.model.redact import Redactor
from kasparro.store.database import Database
from kasparro.store.notifications import LEASE, Notifications, list_statement
from kasparro.store.outbox import Outbox
from kasparro.store.queries import queries

ALL = Wishes(severity="info")
At = Callable[[datetime], Outbox]


@pytest.fixture
def at(database: Database) -> At:
    return lambda now: Outbox(database, instance="here", redact=Redactor({"sesame-secret"}), now=now)


@pytest.fixture
async def known(database: Database) -> None:
    await Outbox(database).register(["ops"])


def said(ask: Ask) -> list[list[tuple[str, str, int]]]:
    """Of each message, oldest first: source, kind and how often it was met meanwhile."""
    rows = ask("SELECT items FROM notification ORDER BY id")
    return [[(one["source"], one["kind"], one["again"]) for one in items] for (items,) in rows]


async def test_nothing_is_written_down_where_nobody_is_to_be_told(world: World, ask: Ask) -> None:
    await world.run("coins", "failed", low())
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]


@pytest.mark.usefixtures("known")
async def test_a_run_writes_down_what_there_is_to_tell_and_nothing_else(world: World, ask: Ask) -> None:
    await world.run("coins")
    await world.run("coins", "stopped")
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]
    run = await world.run("coins", "failed", low(), low("price"))
    await world.run("coins")
    await world.run("coins")
    assert ask("SELECT channel, what, source, run_id FROM notification_event ORDER BY id") == [
        ("ops", "findings", "coins", run),
        ("ops", "failure", "coins", run),
        ("ops", "recovery", "coins", run + 1),
        ("ops", "recovery", "coins", run + 2),  # whoever reads them knows that the first one said it
    ]


@pytest.mark.usefixtures("known")
async def test_a_transaction_that_is_rolled_back_tells_nothing(world: World, database: Database, ask: Ask) -> None:
    run = await world.run("coins")
    names = ("kinds", "severities", "subjects", "messages", "expected", "observed", "facts")
    row = dict(zip(names, (["a"], ["info"], ["b"], ["c"], ["1"], ["2"], ["{}"]), strict=True))
    async with database.connection() as connection, connection.transaction(force_rollback=True):
        await connection.execute(queries("watch")["found"], {"source": "coins", "run_id": run, **row})
        cursor = await connection.execute("SELECT count(*) FROM notification_event")
        assert await cursor.fetchone() == (1,)
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]
    assert ask("SELECT count(*) FROM finding") == [(0,)]


@pytest.mark.usefixtures("known")
async def test_a_run_that_died_is_told_by_the_next_one(world: World, at: At, ask: Ask) -> None:
    await world.run("coins")
    ask("INSERT INTO etl_run (source, holder, config_hash, code_version) VALUES ('coins', 'x', 'x', '0')")
    await world.run("coins")
    await at(NOON).gather("ops", ALL)
    assert said(ask) == [[("coins", "run_interrupted", 0), ("coins", "recovered", 0)]]
    assert ask("SELECT counts FROM notification")[0][0]["recoveries"] == 1


@pytest.mark.usefixtures("known")
async def test_what_comes_together_is_one_message(world: World, at: At, ask: Ask) -> None:
    await world.run("coins", "failed")
    await at(NOON).gather("ops", ALL)
    await world.run("news", "success", low(severity="critical"), low("price", "info"))
    await at(later(seconds=29)).gather("ops", ALL)
    assert said(ask) == [[("coins", "run_failed", 0), ("news", "row_count_low", 0), ("news", "row_count_low", 0)]]
    assert ask("SELECT counts FROM notification") == [
        ({"failures": 1, "recoveries": 0, "critical": 1, "warning": 0, "info": 1},)
    ]
    await world.run("rates", "partial")
    await at(later(seconds=31)).gather("ops", ALL)
    assert said(ask)[1] == [("rates", "run_partial", 0)]


@pytest.mark.usefixtures("known")
async def test_the_same_thing_is_not_repeated_before_its_time(world: World, at: At, ask: Ask) -> None:
    wishes = replace(ALL, repeat_every=timedelta(hours=6), recoveries=False)
    moments = [later(hours=hours) for hours in (0, 1, 5.9, 6.1, 12)]
    for moment in moments:
        await world.run("coins", "failed", low(), low("price"))
        await at(moment).gather("ops", wishes)
    assert [sorted(one) for one in said(ask)] == [
        sorted([("coins", "run_failed", again), *[("coins", "row_count_low", again)] * 2]) for again in (0, 2)
    ]
    assert ask("SELECT made_at FROM notification ORDER BY id") == [(moments[0],), (moments[3],)]


@pytest.mark.usefixtures("known")
async def test_what_has_become_worse_is_told_at_once(world: World, at: At, ask: Ask) -> None:
    for minute, severity in enumerate(("warning", "info", "critical", "critical", "warning")):
        await world.run("coins", "success", low(severity=severity))
        await at(later(minutes=minute)).gather("ops", ALL)
    assert [items[0]["severity"] for (items,) in ask("SELECT items FROM notification ORDER BY id")] == [
        "warning",
        "critical",
    ]


@pytest.mark.usefixtures("known")
async def test_a_failure_after_a_recovery_is_a_new_one(world: World, at: At, ask: Ask) -> None:
    for minute, status in enumerate(("failed", "failed", "success", "success", "failed")):
        await world.run("coins", status)
        await at(later(minutes=minute)).gather("ops", ALL)
    assert said(ask) == [[("coins", kind, 0)] for kind in ("run_failed", "recovered", "run_failed")]
    since = ask("SELECT items FROM notification ORDER BY id")[1][0][0]["message"]
    assert "Runs had failed since " in since


@pytest.mark.usefixtures("known")
async def test_a_recovery_is_told_to_whom_the_failure_was_told(
    world: World, at: At, ask: Ask, database: Database
) -> None:
    await Outbox(database).register(["silent", "quiet"])
    for status in ("failed", "success"):
        await world.run("coins", status)
        await at(NOON).gather("ops", replace(ALL, group_for=timedelta(0)))
        await at(NOON).gather("silent", replace(ALL, failures=False))
        await at(NOON).gather("quiet", replace(ALL, sources=("news", "c?")))
    assert said(ask) == [[("coins", "run_failed", 0)], [("coins", "recovered", 0)]]
    assert ask("SELECT DISTINCT channel FROM notification") == [("ops",)]
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]


@pytest.mark.usefixtures("known")
async def test_a_replay_says_nothing_of_how_the_source_is(world: World, at: At, ask: Ask) -> None:
    await world.run("coins", "failed")
    await world.run("coins", "success", trigger="replay")
    await world.run("coins", "failed", trigger="replay")
    await at(NOON).gather("ops", ALL)
    assert said(ask) == [[("coins", "run_failed", 0), ("coins", "run_failed", 0)]]
    subjects = [one["subject"] for one in ask("SELECT items FROM notification")[0][0]]
    assert subjects == ["unreachable", "replay: unreachable"]


@pytest.mark.usefixtures("known")
async def test_only_what_a_channel_wishes_is_told(world: World, at: At, ask: Ask) -> None:
    findings = (low(severity="info"), low("price"), low("name", kind="field_removed"), low("x", "critical"))
    await world.run("coins", "failed", *findings)
    await world.run("sales-eu", "failed", *findings)
    wishes = Wishes(severity="warning", kinds=("row_count_low",), sources=("sales-*",), failures=False)
    await at(NOON).gather("ops", wishes)
    rows = ask("SELECT items FROM notification")[0][0]
    assert [(one["source"], one["subject"]) for one in rows] == [("sales-eu", "x"), ("sales-eu", "price")]


@pytest.mark.usefixtures("known")
async def test_ten_thousand_findings_are_one_short_message(world: World, at: At, ask: Ask) -> None:
    many = [low(f"field_{number}", "info") for number in range(9_999)]
    await world.run("coins", "success", *many, low("last", "critical"))
    await at(NOON).gather("ops", ALL)
    ((items, counts, size),) = ask("SELECT items, counts, length(items::text) FROM notification")
    assert (len(items), items[0]["subject"]) == (MOST_ITEMS, "last")
    assert counts == {"failures": 0, "recoveries": 0, "critical": 1, "warning": 0, "info": 9_999}
    assert size < 50_000
    await world.run("coins", "success", *many)
    await at(later(hours=1)).gather("ops", ALL)
    assert ask("SELECT count(*) FROM notification") == [(1,)], "those that were only counted were told as well"


@pytest.mark.usefixtures("known")
async def test_texts_are_on_one_line_bounded_and_without_secrets(world: World, at: At, ask: Ask) -> None:
    odd = "a\r\nBcc: x@y.z\x1b[31m\u202e" + "ä" * 5000
    finding = replace(
        low(odd, kind="field_added"), message=f"sesame-secret {odd}", expected=[odd], observed="sesame-secret"
    )
    await world.run("coins", "success", finding)
    await at(NOON).gather("ops", ALL)
    ((item,),) = [items for (items,) in ask("SELECT items FROM notification")]
    assert item["subject"].startswith("a Bcc: x@y.z [31mä")
    assert (len(item["subject"]), len(item["message"])) == (200, 1000)
    assert item["message"].startswith("**** a Bcc")
    assert item["observed"] == "****"
    assert len(item["expected"]) == 300
    assert "sesame-secret" not in str(item)


@pytest.mark.usefixtures("known")
async def test_runs_that_could_not_begin_are_told(at: At, ask: Ask, world: World) -> None:
    await at(NOON).refused("coins", "misconfigured", "coins has 3 rows by another key: sesame-secret")
    await at(NOON).gather("ops", ALL)
    ((item,),) = [items for (items,) in ask("SELECT items FROM notification")]
    assert (item["kind"], item["run_id"], item["severity"]) == ("run_refused", None, "critical")
    assert item["message"] == "coins has 3 rows by another key: ****"
    await world.run("coins")
    await at(later(minutes=5)).gather("ops", ALL)
    assert said(ask)[1] == [("coins", "recovered", 0)]


@pytest.mark.usefixtures("known")
async def test_two_processes_make_each_message_once(world: World, database: Database, ask: Ask) -> None:
    for number in range(30):
        await world.run(f"source{number}", "failed")
    await asyncio.gather(*(Outbox(database).gather("ops", ALL) for _ in range(6)))
    told = [source for items in said(ask) for source, _, _ in items]
    assert sorted(told) == sorted(f"source{number}" for number in range(30))


@pytest.mark.usefixtures("known")
async def test_a_clock_that_was_set_back_silences_nothing(world: World, at: At, ask: Ask, database: Database) -> None:
    wrong = later(days=400)
    await world.run("coins", "failed")
    await at(wrong).gather("ops", replace(ALL, recoveries=False))
    await world.run("coins", "failed")
    await at(NOON).gather("ops", replace(ALL, recoveries=False))
    assert len(said(ask)) == 2
    first = await Notifications(database, now=NOON).lease("ops")
    assert first is not None, "made by the clock that was wrong, and due nevertheless"
    second = await Notifications(database, now=wrong).lease("ops")
    assert second is not None
    assert second.id != first.id
    again = await Notifications(database, now=later(minutes=2)).lease("ops", after=first.id)
    assert again is not None, "a lease that ends in a year is none"


async def test_a_lease_keeps_others_away_until_it_ends(world: World, database: Database) -> None:
    await Outbox(database).register(["ops"])
    await world.run("coins", "failed")
    await Outbox(database, now=NOON).gather("ops", ALL)
    due = later(seconds=31)
    assert await Notifications(database, now=NOON).lease("ops") is None, "its group is still open"
    leased = await asyncio.gather(*(Notifications(database, now=due).lease("ops") for _ in range(8)))
    (first,) = [one for one in leased if one is not None]
    after = due + timedelta(seconds=LEASE + 1)
    second = await Notifications(database, now=after).lease("ops")
    assert second is not None
    assert (second.id, second.key, second.attempts) == (first.id, first.key, 2)
    assert not await Notifications(database, now=after).end(first, "sent", "200"), "its lease is another's by now"
    assert await Notifications(database, now=after).end(second, "sent", "200")
    assert await Notifications(database, now=later(days=2)).lease("ops", "all") is None


async def test_a_message_that_is_sent_gets_nothing_more(world: World, at: At, database: Database, ask: Ask) -> None:
    await Outbox(database).register(["ops"])
    await world.run("coins", "failed")
    await at(NOON).gather("ops", ALL)
    assert await Notifications(database, now=NOON).lease("ops", "fresh") is not None
    await world.run("news", "failed")
    await at(later(seconds=1)).gather("ops", ALL)
    assert said(ask) == [[("coins", "run_failed", 0)], [("news", "run_failed", 0)]]


async def test_a_channel_that_nobody_names_any_more(world: World, at: At, database: Database, ask: Ask) -> None:
    await at(NOON).register(["ops", "old"])
    ask("UPDATE notification_channel SET seen_at = now()")
    await world.run("coins", "failed")
    await at(NOON).gather("old", ALL)
    ask("UPDATE notification_channel SET seen_at = %s", NOON)
    await at(later(hours=23)).register(["ops"])
    assert ask("SELECT status FROM notification") == [("waiting",)]
    await at(later(hours=25)).register(["ops"])
    ((status, answer),) = ask("SELECT status, answer FROM notification")
    assert status == "failed"
    assert "No configuration names this channel" in answer
    await at(later(days=8)).register(["ops"])
    assert ask("SELECT name FROM notification_channel") == [("ops",)]
    assert await Notifications(database).retry(1) == "old"
    assert ask("SELECT status, attempts FROM notification") == [("waiting", 0)]


async def test_a_channel_that_nobody_has_named_for_a_week_gets_nothing_more(world: World, at: At, ask: Ask) -> None:
    await at(NOON).register(["ops"])
    ask("UPDATE notification_channel SET seen_at = now() - interval '8 days'")
    await world.run("coins", "failed", low())
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]


async def test_what_is_old_is_forgotten(world: World, at: At, database: Database, ask: Ask) -> None:
    await Outbox(database).register(["ops"])
    await world.run("coins", "failed", low())
    await at(NOON).gather("ops", ALL)
    message = await Notifications(database, now=later(minutes=1)).lease("ops")
    assert message is not None
    await Notifications(database, now=later(minutes=1)).end(message, "sent", "200")
    await at(later(days=30)).register(["ops"])
    assert ask("SELECT (SELECT count(*) FROM notification), (SELECT count(*) FROM notification_told)") == [(1, 2)]
    await at(later(days=32)).register(["ops"])
    assert ask("SELECT (SELECT count(*) FROM notification), (SELECT count(*) FROM notification_told)") == [(0, 0)]


async def test_the_depth_is_counted_for_a_gauge(world: World, at: At, database: Database) -> None:
    await Outbox(database).register(["ops"])
    assert await Notifications(database).depth() == []
    await world.run("coins", "failed")
    await at(NOON).gather("ops", ALL)
    await world.run("news", "failed")
    assert await Notifications(database).depth() == [
        {"channel": "ops", "status": "outbox", "messages": 1},
        {"channel": "ops", "status": "waiting", "messages": 1},
    ]


FILL = """
INSERT INTO notification (channel, status, instance, items, counts, made_at, closes_at, since, next_at, ended_at)
SELECT 'c' || n %% 3, CASE WHEN n %% 5000 = 0 THEN 'waiting' WHEN n %% 50 = 0 THEN 'failed' ELSE 'sent' END, 'x', '[]',
       '{}', now(), now(), now(), now(), CASE WHEN n %% 5000 = 0 THEN NULL ELSE now() END
FROM generate_series(1, %s) AS n
"""
EVENTS = """
INSERT INTO notification_event (channel, what, source, run_id)
SELECT 'c' || n %% 3, 'failure', 's' || n %% 100, n FROM generate_series(1, 20000) AS n
"""
TOLD = """
INSERT INTO notification_told (channel, source, thing, what, severity, since, told_at)
SELECT 'c' || n %% 3, 's' || n %% 100, decode(md5(n::text), 'hex'), 'finding', 'info', now(), now()
FROM generate_series(1, 20000) AS n
"""
FINDINGS = """
INSERT INTO finding (source, run_id, kind, severity, subject, message)
SELECT 's' || n %% 100, n, 'row_count_low', 'warning', 'run', 'x' FROM generate_series(1, 20000) AS n
"""
FACTS: dict[str, Any] = {
    "channel": "c1",
    "now": NOON,
    "after": 0,
    "seconds": 60.0,
    "what": "due",
    "step": 200,
    "source": "s1",
    "run_id": 10_001,
    "first_id": 10_001,
    "last_id": 10_001,
    "severities": ["warning", "critical"],
    "kinds": None,
    "every": timedelta(hours=6),
    "most": 50,
    "thing": b"x" * 16,
    "severity": "critical",
    "happened_at": NOON,
    "kept": 2_678_400.0,
}
TABLES = {"notification", "notification_event", "notification_told", "finding"}


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(one for child in plan.get("Plans", ()) for one in nodes(child))]


def test_queries_are_answered_from_an_index_whatever_the_history(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FILL, [20_000])
        for statement in (EVENTS, TOLD, FINDINGS):
            connection.execute(statement, [])
        connection.execute("VACUUM ANALYZE")
        lists = [list_statement(channel=c, status=s, limit=20) for c in ("c1", None) for s in ("failed", None)]
        plain = [(file, name) for file, names in NAMED.items() for name in names]
        asked: list[Any] = [*lists, *((sql.SQL(queries(file)[name]), FACTS) for file, name in plain)]
        for statement, facts in asked:
            with connection.transaction(force_rollback=True):
                explain = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + statement
                plan = nodes(connection.execute(explain, facts).fetchall()[0][0][0]["Plan"])
            read = [one for one in plan if one.get("Relation Name") in TABLES and "Scan" in one["Node Type"]]
            assert read, statement
            seen = [one["Actual Rows"] + one.get("Rows Removed by Filter", 0) for one in read]
            assert max(seen) <= 1000, plan
            # Where a third of all rows fit, looking for one of them at the beginning is as good as an index.
            scanned = [rows for rows, one in zip(seen, read, strict=True) if one["Node Type"] == "Seq Scan"]
            assert max(scanned, default=0) <= 10, plan


def test_thousands_of_findings_that_were_told_are_each_looked_up_alone(database_url: str) -> None:
    """Right after they were told for the first time, too, when PostgreSQL has no statistics of them yet."""
    many = 2_000
    facts = {**FACTS, "channel": "ops", "source": "coins", "run_id": 1, "first_id": 1, "last_id": many}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE notification_told SET (autovacuum_enabled = false)")
        connection.execute(
            "INSERT INTO finding (source, run_id, kind, severity, subject, message) "
            "SELECT 'coins', 1, 'field_added', 'warning', n::text, 'm' FROM generate_series(1, %s) AS n",
            [many],
        )
        found = sql.SQL(queries("outbox")["found"])
        for told in (many, 0):
            explain = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + found
            plan = nodes(connection.execute(explain, facts).fetchall()[0][0][0]["Plan"])
            read = [one["Actual Rows"] * one["Actual Loops"] for one in plan if one.get("Relation Name") in TABLES]
            assert max(read) <= many
            assert max(one.get("Rows Removed by Join Filter", 0) for one in plan) == 0
            rows = connection.execute("SELECT count(*), sum(held_back) FROM notification_told").fetchall()
            assert rows == [(many, many - told)]


NAMED = {
    "outbox": ("any", "take", "found", "failed", "over", "open", "old", "forgotten"),
    "notifications": ("lease", "soonest", "waiting"),
}
