"""Numbers about runs add up, and cost the same for any length of history."""

from collections.abc import Callable

import psycopg
import pytest
from starlette.testclient import TestClient

from kasparro.store.queries import queries

Serve = Callable[..., TestClient]

RUN = """
WITH run AS (
    INSERT INTO etl_run (source, status, started_at, finished_at, holder, extracted, inserted, updated, unchanged,
                         duplicates, rejected, error_code, error, config_hash, code_version)
    VALUES ('coins', 'failed', now() - interval '2 seconds', now(), 'test:1', 20, 2, 3, 4, 5, 6, 'unreachable',
            'No route.', 'x', '0') RETURNING *)
UPDATE etl_source AS total
SET runs = runs + 1, failures = 1, extracted = total.extracted + 20, inserted = total.inserted + 2, updated = 3,
    unchanged = 4, duplicates = 5, rejected = 6, seconds = total.seconds + 2, last_run_id = run.id,
    last_failure_at = run.finished_at, last_error = run.error
FROM run WHERE total.source = 'coins'
"""


def test_totals_and_latest_runs(serve: Serve, seeded_url: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute(RUN)
        connection.execute(
            "INSERT INTO etl_run (source, holder, config_hash, code_version) VALUES ('news', 'h', 'x', '0')"
        )
    answer = serve(seeded_url).get("/stats?limit=3")
    stats = answer.json()
    assert answer.status_code == 200
    assert list(stats) == [
        "request_id",
        "api_latency_ms",
        "totals",
        "durations",
        "last_success",
        "last_failure",
        "recent_runs",
        "sources",
        "hosts",
    ]
    assert stats["totals"] == {
        "rows": 1457,
        "runs": 4,
        "processed": 1477,
        "inserted": 1459,
        "updated": 3,
        "unchanged": 4,
        "duplicates": 5,
        "rejected": 6,
        "failures": 1,
        "retries": 0,
        "waits": 0,
        "waited_seconds": 0,
        "breaker_changes": 0,
    }
    assert stats["durations"] == {"total_seconds": 272, "average_seconds": 68, "last_seconds": 2}
    assert stats["last_success"]["source"] == "news"
    assert (stats["last_failure"]["source"], stats["last_failure"]["error"]) == ("coins", "No route.")
    assert [(run["source"], run["status"]) for run in stats["recent_runs"]] == [
        ("news", "running"),
        ("coins", "failed"),
        ("news", "success"),
    ]
    assert stats["recent_runs"][0]["finished_at"] is None
    assert stats["recent_runs"][1]["seconds"] == 2
    coins, flights, _ = stats["sources"]
    assert (coins["rows"], coins["last_status"], coins["average_seconds"]) == (250, "failed", 46)
    assert (flights["rows"], flights["kind"], flights["failures"]) == (1200, "csv", 0)


def test_nothing_ran_yet(serve: Serve, database_url: str) -> None:
    stats = serve(database_url).get("/stats").json()
    assert set(stats["totals"].values()) == {0}
    assert stats["durations"] == {"total_seconds": 0, "average_seconds": None, "last_seconds": None}
    assert (stats["last_success"], stats["last_failure"], stats["recent_runs"], stats["sources"]) == (
        None,
        None,
        [],
        [],
    )


@pytest.mark.parametrize("limit", ["0", "101", "five", ""])
def test_limit_is_checked(client: TestClient, limit: str) -> None:
    assert client.get(f"/stats?limit={limit}").status_code == 422


def test_history_is_not_read(seeded_url: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO etl_run (source, status, finished_at, holder, config_hash, code_version) "
            "SELECT 'coins', 'success', now(), 'h', 'x', '0' FROM generate_series(1, 20000)"
        )
        connection.execute("VACUUM ANALYZE")
        text = queries("browse")["stats"]
        plan = connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + text, {"limit": 5}).fetchone()
    assert plan is not None
    blocks = plan[0][0]["Plan"]["Shared Hit Blocks"] + plan[0][0]["Plan"]["Shared Read Blocks"]
    assert blocks < 60
