"""Held runs over HTTP: shown, filtered, released and dropped by whoever has the key."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from starlette.testclient import TestClient

from kasparro import run_etl_with_backoff
from kasparro.store.browse_runs import ListQuery

Serve = Callable[..., TestClient]

KEY = {"X-API-Key": "let me in"}


def run(url: str, folder: Path, lines: int, *, amounts: bool, **more: Any) -> Any:
    last = ",value" if amounts else ""
    rows = "".join(f"{n},n{n}{f',{n}' if amounts else ''}\n" for n in range(lines))
    (folder / "s.csv").write_text(f"id,title{last}\n{rows}")
    source = {"type": "csv", "path": str(folder / "s.csv"), "primary_key": "id", "hold_on": "suspicious", **more}
    return asyncio.run(run_etl_with_backoff({"s": source}, database_url=url))["s"]


@pytest.fixture
def held_url(database_url: str, tmp_path: Path) -> str:
    """A database with a held run 2: 20 rows lose their value, five come."""
    assert run(database_url, tmp_path, 20, amounts=True).held is None
    result = run(database_url, tmp_path, 25, amounts=False)
    assert (result.status, result.verdict, result.counts.extracted) == ("success", "suspicious", 0)
    assert (result.held.run_id, result.held.new, result.held.changed, result.held.removed) == (2, 5, 20, 0)
    assert result.held.reasons[0].startswith("warning: value was in 100%")
    return database_url


@pytest.fixture
def client(serve: Serve, held_url: str) -> TestClient:
    return serve(held_url, api_key=SecretStr(KEY["X-API-Key"]))


def test_readers_see_that_a_run_is_held_and_none_of_its_rows(client: TestClient) -> None:
    (found,) = client.get("/runs?held=held").json()["data"]
    assert (found["id"], found["status"], found["held"], found["decided_at"]) == (2, "success", "held", None)
    assert client.get("/runs/2").json()["held"] == "held"
    assert client.get("/runs/1").json()["held"] is None
    assert client.get("/runs?held=released").json()["data"] == []
    assert client.get("/runs?held=waiting").status_code == 422
    body = client.get("/data?limit=100").json()
    assert (len(body["data"]), body["pagination"]["total"]) == (20, 20)


def test_a_release_needs_the_key_and_happens_once(client: TestClient) -> None:
    for path in ("/runs/2/release", "/runs/2/drop"):
        assert client.post(path).json()["code"] == "denied"
        assert client.post(path, headers={"X-API-Key": "wrong"}).status_code == 401
        assert client.get(path, headers=KEY).status_code == 405
    tag = client.get("/data").headers["ETag"]
    answer = client.post("/runs/2/release", headers=KEY)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["held"], body["inserted"], body["updated"], body["skipped"]) == ("released", 5, 20, False)
    assert body["decided_by"].startswith("api@")
    assert client.get("/data", headers={"If-None-Match": tag}).json()["pagination"]["total"] == 25
    again = client.post("/runs/2/release", headers=KEY)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "was released already, by api@" in again.json()["detail"]
    assert client.post("/runs/2/drop", headers=KEY).status_code == 409


def test_dropped_and_skipped(client: TestClient, held_url: str, tmp_path: Path) -> None:
    assert client.post("/runs/2/drop?skip=maybe", headers=KEY).status_code == 422
    wrong = client.post("/runs/2/drop?skp=true", headers=KEY).json()
    assert wrong["errors"][0]["detail"] == "There is no such parameter. Did you mean skip?"
    body = client.post("/runs/2/drop?skip=true", headers=KEY).json()
    assert (body["held"], body["skipped"], body["inserted"]) == ("dropped", True, 0)
    assert client.get("/data").json()["pagination"]["total"] == 20
    assert run(held_url, tmp_path, 25, amounts=False).counts.extracted == 0


def test_what_cannot_be_decided(client: TestClient) -> None:
    for path, status, code in (
        ("/runs/1/release", 409, "conflict"),
        ("/runs/9/release", 404, "not_found"),
        ("/runs/9/drop", 404, "not_found"),
        ("/runs/x/drop", 422, "invalid_request"),
        ("/runs/0/drop", 422, "invalid_request"),
    ):
        answer = client.post(path, headers=KEY)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path


def test_a_refresh_that_would_delete_too_much_is_a_conflict(serve: Serve, database_url: str, tmp_path: Path) -> None:
    run(database_url, tmp_path, 20, amounts=True, write_disposition="replace")
    assert run(database_url, tmp_path, 5, amounts=False, write_disposition="replace").held.removed == 15
    client = serve(database_url, api_key=SecretStr(KEY["X-API-Key"]))
    answer = client.post("/runs/2/release", headers=KEY)
    assert (answer.status_code, "max_deletions allows to lose 50 %" in answer.json()["detail"]) == (409, True)
    assert client.get("/runs/2").json()["held"] == "held"
    assert client.post("/runs/2/release?accept_deletions=true", headers=KEY).json()["deleted"] == 15


def test_a_source_that_is_busy_is_a_conflict(client: TestClient, held_url: str) -> None:
    with psycopg.connect(held_url) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('kasparro.run.s', 0))")
        answer = client.post("/runs/2/release", headers=KEY)
    assert (answer.status_code, "under way" in answer.json()["detail"]) == (409, True)


def test_the_result_is_json(held_url: str, tmp_path: Path) -> None:
    result = run(held_url, tmp_path, 30, amounts=False)
    assert (result.status, result.error_code, result.run_id) == ("failed", "conflict", None)
    assert "kasparro runs drop 2" in json.dumps(result.error)


LISTS = {
    "held": ListQuery(what="runs", limit=10, filters={"held": "held"}),
    "released below": ListQuery(what="runs", limit=10, filters={"held": "released", "before": 15_000}),
    "dropped of a source": ListQuery(what="runs", limit=10, filters={"held": "dropped", "source": "few"}),
    "released and bad": ListQuery(what="runs", limit=10, filters={"held": "released", "verdict": "bad"}),
    "all": ListQuery(
        what="runs",
        limit=10,
        filters={"held": "released", "verdict": "bad", "source": "few", "status": "success"},
    ),
}


def test_lists_of_held_runs_are_read_from_an_index_whatever_the_history(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO etl_run (source, status, verdict, finished_at, holder, config_hash, code_version, held,
                                    decided_by, decided_at)
               SELECT CASE WHEN n % 900 = 0 THEN 'few' ELSE 's' || n END, 'success',
                      CASE WHEN n % 700 = 0 THEN 'bad' ELSE 'suspicious' END, now(), 'test:1', 'x', '0',
                      CASE WHEN n % 3 = 0 THEN 'released' WHEN n % 50 = 0 THEN 'dropped'
                           WHEN n % 999 = 1 THEN 'held' END,
                      'me', CASE WHEN n % 3 = 0 OR n % 50 = 0 THEN now() END
               FROM generate_series(1, 20000) AS n"""
        )
        connection.execute("VACUUM ANALYZE etl_run")
        for name, query in LISTS.items():
            text, facts = query.statement()
            (found,) = connection.execute(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + text, facts).fetchall()
            scans = [one for one in nodes(found[0][0]["Plan"]) if one.get("Relation Name") == "etl_run"]
            assert {one["Node Type"] for one in scans} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, name
            assert all(one["Actual Rows"] + one.get("Rows Removed by Filter", 0) <= 50 for one in scans), name


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
