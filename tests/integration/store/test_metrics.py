"""Totals of all processes: each batch once, whatever becomes of connections, at a cost that no history raises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from kasparro.errors import StoreBusy
from kasparro.model.metrics import COMMIT_DURATION, HTTP_REQUESTS, MOST_HOSTS, MOST_SOURCES, RETRIES
from kasparro.observe.metrics import Meter, Series, Tally
from kasparro.observe.metrics_text import completed
from kasparro.store.database import Database, connect
from kasparro.store.metrics import MetricWriter, read_metrics
from kasparro.store.metrics_scrape import Scraper
from kasparro.store.migrate import migrate, shipped
from kasparro.store.queries import queries

RETRIED = Series(RETRIES.name, ("coins", "unreachable"))
TIMED = Series(COMMIT_DURATION.name, ("coins",), COMMIT_DURATION.bounds)


def told() -> Meter:
    meter = Meter()
    meter.count(RETRIES, "coins", "unreachable", by=3)
    meter.time(COMMIT_DURATION, 0.2, "coins")
    return meter


class Lossy:
    """A connection on which a statement is carried out, and the word that it was is lost."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def execute(self, *arguments: Any) -> None:
        await self._connection.execute(*arguments)
        raise StoreBusy("The connection was cut off.")


async def test_batches_are_added_up(database: Database) -> None:
    async with database.connection() as connection:
        for _ in range(3):
            await MetricWriter(told()).write(connection)
        readings = await read_metrics(connection)
    assert readings[RETRIED] == Tally(9)
    assert readings[TIMED].value == pytest.approx(0.6)
    assert readings[TIMED].counts == tuple(3 * (bound == 0.25) for bound in (*COMMIT_DURATION.buckets, None))


async def test_a_batch_whose_confirmation_was_lost_is_not_added_twice(database: Database) -> None:
    meter = told()
    writer = MetricWriter(meter)
    async with database.connection() as connection:
        with pytest.raises(StoreBusy):
            await writer.write(Lossy(connection))  # type: ignore[arg-type]
        meter.count(RETRIES, "coins", "unreachable")
        assert writer.unseen()[RETRIED] == Tally(4)
        await writer.write(connection)
        await writer.write(connection)
        assert writer.unseen()[RETRIED] == Tally(4)
        readings = await read_metrics(connection)
        writer.seen()
        assert writer.unseen() == {}
    assert readings[RETRIED] == Tally(4)
    assert sum(readings[TIMED].counts) == 1


async def test_a_batch_that_was_not_added_is_added_later(database: Database) -> None:
    meter = told()
    writer = MetricWriter(meter)
    async with database.own_connection() as connection:
        await connection.execute("SELECT set_config('statement_timeout', '1', false)")
        await connection.execute("SELECT set_config('lock_timeout', '1', false)")
        async with database.connection() as other, other.transaction():
            await other.execute("LOCK TABLE metric_writer")
            with pytest.raises(psycopg.Error):
                await writer.write(connection)
    async with database.connection() as connection:
        await writer.write(connection)
        assert (await read_metrics(connection))[RETRIED] == Tally(3)


async def test_many_writers_at_once_lose_nothing(database: Database) -> None:
    async def write(number: int) -> None:
        meter = Meter()
        writer = MetricWriter(meter)
        async with database.own_connection() as connection:
            for _ in range(25):
                # Each in another order, so that rows locked as they come would be locked crosswise.
                for route in sorted("abcdefgh", key=lambda letter: hash((letter, number))):
                    meter.count(HTTP_REQUESTS, route, "GET", "200")
                    meter.time(COMMIT_DURATION, 0.1, route)
                await connection.execute(
                    "INSERT INTO metric_change VALUES ('kasparro_runs_total', '{coins,failed}', 1)"
                )
                await writer.write(connection)
            await writer.leave(connection)

    await asyncio.gather(*(write(number) for number in range(6)))
    async with database.connection() as connection:
        readings = await read_metrics(connection)
        left = await connection.execute(
            "SELECT (SELECT count(*) FROM metric_change), (SELECT count(*) FROM metric_writer)"
        )
        assert await left.fetchone() == (0, 0)
    assert {readings[Series(HTTP_REQUESTS.name, (route, "GET", "200"))].value for route in "abcdefgh"} == {150}
    assert sum(readings[Series(COMMIT_DURATION.name, ("a",), COMMIT_DURATION.bounds)].counts) == 150
    assert readings[Series("kasparro_runs_total", ("coins", "failed"))] == Tally(150)


async def test_what_transactions_add_counts_at_once_and_folded(database: Database) -> None:
    series = Series("kasparro_findings_total", ("coins", "warning"))
    async with database.connection() as connection:
        for found in range(1, 4):
            await connection.execute(
                "INSERT INTO finding (source, run_id, kind, severity, subject, message) "
                "SELECT 'coins', 1, 'row_count_low', 'warning', 'run', 'm' FROM generate_series(1, 2)"
            )
            assert (await read_metrics(connection))[series] == Tally(2 * found)
            if found == 2:
                await MetricWriter(Meter()).write(connection)
                assert (await read_metrics(connection))[series] == Tally(4)
        with pytest.raises(psycopg.errors.RaiseException):
            await connection.execute(
                "DO $$ BEGIN INSERT INTO finding (source, run_id, kind, severity, subject, message) "
                "VALUES ('coins', 1, 'k', 'warning', 'run', 'm'); RAISE 'rolled back'; END $$"
            )
        assert (await read_metrics(connection))[series] == Tally(6)


async def test_open_rejects_follow_the_table_whatever_is_done_to_it(database: Database) -> None:
    insert = (
        "INSERT INTO rejected_record AS kept "
        "(source, run_id, last_run_id, slice, place, code, reason, raw, fingerprint) "
        "SELECT CASE n %% 2 WHEN 0 THEN 'even' ELSE 'odd' END, 1, 1, 's', n::text, 'width', 'r', 'raw', n::text::bytea "
        "FROM generate_series(1, %(count)s) AS n ON CONFLICT (source, fingerprint) DO UPDATE "
        "SET status = CASE WHEN kept.status = 'discarded' THEN kept.status ELSE 'open' END, "
        "    resolved_at = CASE WHEN kept.status = 'discarded' THEN kept.resolved_at END"
    )
    resolve = "UPDATE rejected_record SET status = %(status)s, resolved_at = now() WHERE source = 'odd' AND id %% 4 = 1"
    steps: tuple[tuple[str, dict[str, Any]], ...] = (
        (insert, {"count": 10}),
        (resolve, {"status": "replayed"}),
        (insert, {"count": 14}),  # meets all of them again, and four more
        (resolve, {"status": "discarded"}),
        (insert, {"count": 14}),  # what is discarded stays so
        ("DELETE FROM rejected_record WHERE id %% 3 = 0 AND source <> %(none)s", {"none": ""}),
        ("TRUNCATE rejected_record", {}),
        (insert, {"count": 5}),
    )
    counts = []
    async with database.connection() as connection:
        for statement, facts in steps:
            await connection.execute(statement.encode(), facts or None)
            cursor = await connection.execute(
                "SELECT source, count(*) FROM rejected_record WHERE status = 'open' GROUP BY source"
            )
            expected = dict(await cursor.fetchall())
            readings = await read_metrics(connection)
            found = {
                one.labels[0]: tally.value for one, tally in readings.items() if one.name == "kasparro_open_rejects"
            }
            assert {source: count for source, count in found.items() if count} == expected, statement
            counts.append(sum(expected.values()))
            await MetricWriter(Meter()).write(connection)
    assert counts[0] == 10
    assert counts[1] < counts[2] > counts[3] == counts[4] > counts[5] > counts[6] == 0
    assert counts[7] == 5


async def test_history_from_before_the_counters_counts(empty_url: str) -> None:
    before = [one for one in shipped() if one.number < 8]
    async with await connect(empty_url) as connection:
        await migrate(connection, before)
        await connection.execute(
            "INSERT INTO etl_source (source, kind, dataset, runs, inserted)"
            " VALUES ('coins', 'api', 'normalized_data', 3, 20);"
            "INSERT INTO etl_run"
            " (source, status, finished_at, holder, config_hash, code_version, pages, bytes, deleted, verdict)"
            " SELECT 'coins', status, now(), 'h', 'c', '0', 2, 100, 1, verdict"
            " FROM (VALUES ('success', 'ok'), ('success', 'bad'), ('failed', NULL)) AS one (status, verdict);"
            "INSERT INTO finding (source, run_id, kind, severity, subject, message)"
            " VALUES ('coins', 1, 'k', 'critical', 'r', 'm');"
            "INSERT INTO etl_checkpoint (source, slice, lease_epoch, updated_at)"
            " VALUES ('coins', 's', 1, now() - interval '1 hour');"
            "INSERT INTO rejected_record"
            " (source, run_id, last_run_id, times, slice, place, code, reason, raw, fingerprint)"
            " VALUES ('coins', 1, 1, 5, 's', 'p', 'width', 'r', 'raw', '1')"
        )
        await migrate(connection)
        readings = {(one.name, one.labels): tally.value for one, tally in (await read_metrics(connection)).items()}
    assert {
        ("kasparro_runs_total", ("coins", "success")): 2,
        ("kasparro_runs_total", ("coins", "failed")): 1,
        ("kasparro_verdicts_total", ("coins", "bad")): 1,
        ("kasparro_findings_total", ("coins", "critical")): 1,
        ("kasparro_rejects_total", ("coins", "width")): 5,
        ("kasparro_open_rejects", ("coins",)): 1,
        ("kasparro_pages_total", ("coins",)): 6,
        ("kasparro_read_bytes_total", ("coins",)): 300,
        ("kasparro_records_total", ("coins", "deleted")): 3,
        ("kasparro_records_total", ("coins", "inserted")): 20,
    }.items() <= readings.items()
    assert readings["kasparro_checkpoint_lag_seconds", ("coins",)] == pytest.approx(3600, abs=60)


async def test_sources_that_come_and_go_do_not_make_it_grow(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO etl_source (source, kind, dataset, last_run_id) "
            "SELECT 'file_' || n, 'csv', 'normalized_data', n FROM generate_series(1, %s) AS n",
            [MOST_SOURCES + 100],
        )
        await connection.execute(
            "INSERT INTO metric (name, labels, value) "
            "SELECT 'kasparro_runs_total', ARRAY[source, 'success'], 1 FROM etl_source"
        )
        readings = completed(await read_metrics(connection))
    sources = {one.labels[0] for one in readings if one.name in {"kasparro_pages_total", "kasparro_runs_total"}}
    assert len(sources) == MOST_SOURCES
    assert "file_100" not in sources
    assert "file_101" in sources
    assert readings[Series("kasparro_sources")] == Tally(MOST_SOURCES + 100)


@asynccontextmanager
async def history(database: Database) -> AsyncIterator[AsyncConnection]:
    """Give a connection to a database with a history of 8,000 runs."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO etl_source (source, kind, dataset, last_run_id) "
            "SELECT 'source_' || n, 'csv', 'normalized_data', n FROM generate_series(1, 50) AS n;"
            "INSERT INTO etl_run (source, status, finished_at, holder, config_hash, code_version)"
            " SELECT 'source_' || n % 50 + 1, 'success', now(), 'h', 'c', '0' FROM generate_series(1, 8000) AS n;"
            "INSERT INTO etl_run (source, holder, config_hash, code_version) VALUES ('source_7', 'h', 'c', '0');"
            "INSERT INTO finding (source, run_id, kind, severity, subject, message)"
            " SELECT 'source_' || n % 50 + 1, n, 'k', 'warning', 'r', 'm' FROM generate_series(1, 8000) AS n;"
            "INSERT INTO rejected_record (source, run_id, last_run_id, slice, place, code, reason, raw, fingerprint)"
            " SELECT 'source_' || n % 50 + 1, n, n, 's', n::text, 'width', 'r', 'raw', n::text::bytea"
            " FROM generate_series(1, 8000) AS n;"
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
            " SELECT 'source_1', 'kasparro.run', 'succeeded' FROM generate_series(1, 8000)"
        )
        await MetricWriter(Meter()).write(connection)
        await connection.execute("ANALYZE")
        yield connection


SMALL = {"etl_source", "metric", "metric_change", "dataset_total", "schema_migration", "host_breaker", "worker"}
"""Tables that have a row per source, host, worker or series, not per run or record."""


async def test_no_table_that_grows_with_the_history_is_scanned(database: Database) -> None:
    async with history(database) as connection:
        most = {"most": MOST_SOURCES, "most_hosts": MOST_HOSTS}
        cursor = await connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {queries('metrics')['read']}".encode(), most)
        (plan,) = await cursor.fetchone() or ([],)
    nodes = list(walk(plan[0]["Plan"]))
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    assert scanned <= SMALL | {"notification", "pg_database"}
    touched = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    assert touched <= SMALL | {"notification", "pg_database", "etl_run", "procrastinate_jobs"}
    rows = {node["Index Name"]: node["Actual Rows"] for node in nodes if node.get("Relation Name") == "etl_run"}
    assert list(rows.values()) == [1]


def walk(node: dict[str, Any]) -> Any:
    yield node
    for one in node.get("Plans", ()):
        yield from walk(one)


async def test_only_runs_whose_process_lives_are_running(database: Database) -> None:
    running = Series("kasparro_runs_running", ("source_7",))
    async with history(database) as connection:
        assert (await read_metrics(connection))[running] == Tally(0)
        async with database.own_connection() as other:
            await other.execute(queries("runs")["lock"], {"source": "source_7"})
            assert (await read_metrics(connection))[running] == Tally(1)


async def test_the_connection_may_be_cut_between_two_scrapes(database: Database) -> None:
    meter = told()
    async with Scraper(database, meter) as scraper:
        for expected in range(1, 4):
            assert (await scraper.scrape())[Series("kasparro_database_up")] == Tally(1)
            async with database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            meter.count(RETRIES, "coins", "unreachable")
            readings = await scraper.scrape()
            assert readings[Series("kasparro_database_up")] == Tally(1)
            assert scraper_total(await totals(database)) == 3 + expected


async def totals(database: Database) -> dict[Series, Tally]:
    async with database.connection() as connection:
        return dict(await read_metrics(connection))


def scraper_total(readings: dict[Series, Tally]) -> float:
    return readings[RETRIED].value
