"""Health: truthful when the database is gone, hangs, comes back, or is not the one this version needs."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

Serve = Callable[..., TestClient]

DOWN = {
    "status": "down",
    "database": {"connected": False, "latency_ms": None},
    "last_run": None,
    "sources": None,
    "late": None,
    "parked": None,
    "hosts": None,
}


def timed(client: TestClient, path: str) -> tuple[int, dict[str, Any], float]:
    start = time.perf_counter()
    answer = client.get(path)
    return answer.status_code, answer.json(), time.perf_counter() - start


def test_all_is_well(client: TestClient) -> None:
    answer = client.get("/health")
    health = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert list(health) == ["status", "database", "last_run", "sources", "late", "parked", "hosts"]
    assert health["late"] == []
    assert health["status"] == "ok"
    assert health["database"]["connected"] is True
    assert 0 < health["database"]["latency_ms"] < 1000
    assert health["last_run"].keys() == {"run_id", "source", "status", "finished_at"}
    assert health["last_run"]["source"] == "news"
    assert [(one["source"], one["status"]) for one in health["sources"]] == [
        ("coins", "success"),
        ("flights", "success"),
        ("news", "success"),
    ]
    assert (client.get("/livez").json(), client.get("/readyz").json()) == ({"status": "ok"}, {"status": "ready"})


@pytest.mark.parametrize(
    ("status", "expected"), [("failed", "degraded"), ("interrupted", "degraded"), ("partial", "ok"), ("stopped", "ok")]
)
def test_the_last_run_of_a_source_counts(serve: Serve, seeded_url: str, status: str, expected: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute(
            "WITH run AS (INSERT INTO etl_run (source, status, finished_at, holder, config_hash, code_version) "
            "VALUES ('coins', %s, now(), 'test:1', 'x', '0') RETURNING id) "
            "UPDATE etl_source SET last_run_id = run.id FROM run WHERE source = 'coins'",
            [status],
        )
    answer = serve(seeded_url).get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, expected)


LATE = (
    "INSERT INTO source_lateness (source, due_at, severity, after_run_id, finding_id, found_at, given_up_at) "
    "SELECT 'coins', '2026-03-02T06:00Z', 'warning', last_read_id, 1, now(), {} FROM etl_source WHERE source = 'coins'"
)


def test_a_late_source_degrades_until_its_next_good_run(serve: Serve, seeded_url: str) -> None:
    def tell(statement: str) -> None:
        with psycopg.connect(seeded_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    tell(LATE.format("NULL"))
    client = serve(seeded_url, public_read=False, api_key=SecretStr("s3cret-s3cret"))
    key = {"X-API-Key": "s3cret-s3cret"}
    closed = client.get("/health").json()
    opened = client.get("/health", headers=key).json()
    assert (closed["status"], closed["late"], opened["status"]) == ("degraded", None, "degraded")
    assert opened["late"] == [{"source": "coins", "severity": "warning", "due_at": "2026-03-02T06:00:00+00:00"}]
    tell("UPDATE etl_source SET last_read_id = 77 WHERE source = 'coins'")  # a good run: nobody has looked since
    well = client.get("/health", headers=key).json()
    assert (well["status"], well["late"]) == ("ok", [])
    tell("DELETE FROM source_lateness")
    tell(LATE.format("now()"))
    assert client.get("/health", headers=key).json()["status"] == "ok"


def test_nothing_ran_yet(serve: Serve, database_url: str) -> None:
    health = serve(database_url).get("/health").json()
    assert (health["status"], health["last_run"], health["sources"]) == ("ok", None, [])


def test_database_is_gone(serve: Serve, gate: Any) -> None:
    client = serve(gate.url)
    assert client.get("/health").status_code == 200
    gate.shut()
    status, body, seconds = timed(client, "/health")
    assert (status, body) == (503, DOWN)
    assert seconds < 2
    assert client.get("/livez").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert ready.headers["retry-after"] == "5"


def test_database_hangs_and_comes_back(serve: Serve, gate: Any) -> None:
    client = serve(gate.url)
    assert client.get("/health").status_code == 200
    gate.hang()
    for path in ("/health", "/health", "/readyz"):
        status, _, seconds = timed(client, path)
        assert status == 503
        assert seconds < 2
    assert timed(client, "/livez")[2] < 1
    gate.resume()
    assert client.get("/health").json()["status"] == "ok"


def test_server_restarted(serve: Serve, seeded_url: str) -> None:
    client = serve(seeded_url)
    assert client.get("/health").status_code == 200
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
    assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("statement", ["DELETE FROM schema_migration", "DROP TABLE etl_run CASCADE"])
def test_database_of_another_version(serve: Serve, seeded_url: str, statement: str) -> None:
    client = serve(seeded_url)
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute(statement.encode())
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "down"
    assert answer.json()["database"]["connected"] is True
    assert "Run: kasparro migrate" in client.get("/readyz").json()["detail"]


def test_without_the_key_it_names_nothing(serve: Serve, seeded_url: str) -> None:
    client = serve(seeded_url, public_read=False, api_key=SecretStr("s3cret-s3cret"))
    closed = client.get("/health")
    opened = client.get("/health", headers={"X-API-Key": "s3cret-s3cret"})
    assert (closed.status_code, closed.json()["status"]) == (200, "ok")
    assert (closed.json()["last_run"], closed.json()["sources"]) == (None, None)
    assert len(opened.json()["sources"]) == 3
