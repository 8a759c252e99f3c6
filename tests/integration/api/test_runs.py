"""Runs and findings over HTTP: lists that go on, filters, one run, two compared; and plans that fit any history."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from starlette.testclient import TestClient
from tests.integration.conftest import copied

from kasparro.model.profile import FieldProfile, Profile
from kasparro.store.browse_runs import ListQuery

Serve = Callable[..., TestClient]

RUNS = """
INSERT INTO etl_run
    (source, status, verdict, started_at, finished_at, holder, extracted, inserted, config_hash, code_version)
SELECT CASE WHEN n %% 3 = 0 THEN 'coins' ELSE 'news' END, CASE WHEN n %% 10 = 0 THEN 'failed' ELSE 'success' END,
       CASE WHEN n %% 50 = 0 THEN 'bad' WHEN n %% 7 = 0 THEN 'suspicious' ELSE 'ok' END,
       now() - n * interval '1 minute', now(), 'test:1', n, n, 'x', '0'
FROM generate_series(1, %s) AS n
"""

FINDINGS = """
INSERT INTO finding (source, run_id, kind, severity, subject, message, expected, observed)
SELECT run.source, run.id, CASE WHEN n %% 5 = 0 THEN 'field_added' ELSE 'row_count_low' END,
       CASE WHEN n %% 100 = 0 THEN 'critical' WHEN n %% 2 = 0 THEN 'warning' ELSE 'info' END, 'run', 'said ' || n,
       json_build_object('low', 1), to_json(n)
FROM etl_run AS run, generate_series(1, %s) AS n WHERE run.id > 3
"""


def fill(url: str, runs: int, each: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(RUNS, [runs])
        connection.execute(FINDINGS, [each])
        connection.execute("VACUUM ANALYZE")


@pytest.fixture
def filled(serve: Serve, seeded_url: str) -> TestClient:
    fill(seeded_url, 100, 4)
    return serve(seeded_url)


def walked(client: TestClient, path: str) -> list[dict[str, Any]]:
    """All entries of a list, page by page."""
    found: list[dict[str, Any]] = []
    address = path
    while True:
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += body["data"]
        if not body["pagination"]["has_more"]:
            assert "Link" not in answer.headers
            return found
        address = path.partition("?")[0] + answer.links["next"]["url"]


def test_runs_are_listed_newest_first_and_walked_to_the_end(filled: TestClient) -> None:
    found = walked(filled, "/runs?limit=7")
    assert [one["id"] for one in found] == list(range(103, 0, -1))
    assert {one["source"] for one in walked(filled, "/runs?source=coins&limit=100")} == {"coins"}
    assert {one["status"] for one in walked(filled, "/runs?status=failed")} == {"failed"}
    assert [one["verdict"] for one in walked(filled, "/runs?verdict=bad")] == ["bad", "bad"]
    assert walked(filled, "/runs?source=nothing") == []


def test_one_run_comes_with_its_findings(filled: TestClient) -> None:
    body = filled.get("/runs/50").json()
    assert (body["id"], body["extracted"], len(body["findings"])) == (50, 47, 4)
    assert body["findings"][0]["expected"] == {"low": 1}
    missing = filled.get("/runs/9999")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    for wrong in ("0", "-1", "x", "1.5", "99999999999999999999"):
        assert filled.get(f"/runs/{wrong}").status_code == 422


def test_findings_are_filtered(filled: TestClient) -> None:
    found = walked(filled, "/findings?limit=100")
    assert len(found) == 400
    assert [one["id"] for one in found] == sorted((one["id"] for one in found), reverse=True)
    assert {one["severity"] for one in walked(filled, "/findings?severity=warning&limit=50")} == {"warning"}
    assert len(walked(filled, "/findings?run_id=10")) == 4
    assert len(walked(filled, "/findings?source=coins&kind=row_count_low&limit=100")) == 4 * 33
    for wrong in ("severity=loud", "limit=0", "limit=101", "before=0", "verdict=ok", "kind="):
        assert filled.get(f"/findings?{wrong}").status_code == 422


def test_two_runs_are_compared(serve: Serve, seeded_url: str) -> None:
    fill(seeded_url, 2, 0)
    fields = {"a": FieldProfile(present=10, types={"integer": 10}, low=1, high=5)}
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        for run_id, seen in ((4, Profile(rows=10, looked=10, fields=fields)), (5, Profile(rows=20, looked=20))):
            profile = Jsonb(seen.to_json())
            connection.execute(
                "INSERT INTO run_profile (run_id, profile) VALUES (%s, %s::jsonb::json)", [run_id, profile]
            )
    client = serve(seeded_url)
    body = client.get("/runs/compare?base=4&head=5").json()
    assert body["numbers"]["extracted"] == {"base": 1, "head": 2, "change": 1, "ratio": 2.0}
    assert body["fields"]["a"]["differs"] == ["presence"]
    assert [one["kind"] for one in body["drift"]] == ["field_removed"]
    assert client.get("/runs/compare?base=4&head=3").json()["fields"] is None
    assert client.get("/runs/compare?base=4&head=99").status_code == 404
    assert client.get("/runs/compare?base=4").status_code == 422


QUERIES = {
    "runs": ListQuery(what="runs", limit=10, filters={}),
    "runs below": ListQuery(what="runs", limit=10, filters={"before": 9000}),
    "runs of a source": ListQuery(what="runs", limit=10, filters={"source": "coins"}),
    "runs in a state": ListQuery(what="runs", limit=10, filters={"status": "failed", "before": 15_000}),
    "bad runs": ListQuery(what="runs", limit=10, filters={"verdict": "bad"}),
    "bad runs of a source": ListQuery(what="runs", limit=10, filters={"source": "coins", "verdict": "bad"}),
    "findings": ListQuery(what="findings", limit=10, filters={}),
    "findings of a source": ListQuery(what="findings", limit=10, filters={"source": "coins", "before": 50_000}),
    "findings of a run": ListQuery(what="findings", limit=10, filters={"run_id": 500}),
    "critical findings": ListQuery(what="findings", limit=10, filters={"severity": "critical"}),
    "one kind of findings": ListQuery(what="findings", limit=10, filters={"kind": "field_added"}),
    "one kind of a source": ListQuery(what="findings", limit=10, filters={"kind": "field_added", "source": "coins"}),
}


@pytest.fixture(scope="module")
def history(server_url: str, template: str) -> Iterator[psycopg.Connection]:
    """A database of 20,000 runs and 80,000 findings."""
    with copied(server_url, template) as url:
        fill(url, 20_000, 4)
        with psycopg.connect(url, autocommit=True) as opened:
            yield opened


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize("name", QUERIES)
def test_a_list_is_read_from_an_index_whatever_the_history(history: psycopg.Connection, name: str) -> None:
    text, facts = QUERIES[name].statement()
    explain = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + text
    rows = history.execute(explain, facts).fetchall()
    plan = list(nodes(rows[0][0][0]["Plan"]))
    on_table = [node for node in plan if node.get("Relation Name") in {"etl_run", "finding"}]
    assert on_table
    # Where a third of all rows fit, going down the primary key and leaving out the others is as good as another index.
    assert {node["Node Type"] for node in on_table} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    assert all(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) <= 150 for node in on_table)
