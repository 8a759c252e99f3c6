"""Runs that are asked for over HTTP: queued once, for whoever has the key; and what is said of the queue."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

Serve = Callable[..., TestClient]

KEY = {"X-API-Key": "let me in"}
NUMBER = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
LIVE = (
    "INSERT INTO worker (id, name, host, pid, version, config_hash, sources, concurrency, lease, heartbeat_at) "
    "VALUES (%s, %s, 'h', 1, '1', 'x', %s, 1, interval '60 s', clock_timestamp() - %s * interval '1 s')"
)


@pytest.fixture
def client(serve: Serve, seeded_url: str) -> TestClient:
    return serve(seeded_url, api_key=SecretStr(KEY["X-API-Key"]))


def ask(client: TestClient, source: Any, **more: Any) -> Any:
    return client.post("/runs", json={"source": source, **more}, headers=KEY)


def worker(url: str, name: str, sources: list[str], silent: int = 0) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        number = int(connection.execute(NUMBER.encode()).fetchall()[0][0])
        connection.execute(LIVE.encode(), [number, name, sources, silent])
        return number


def test_a_run_is_queued_once_and_can_be_followed(client: TestClient, seeded_url: str) -> None:
    answer = ask(client, "coins")
    body = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/queue/{body['id']}")
    assert answer.headers["Cache-Control"] == "no-store"
    expected = {"source": "coins", "status": "waiting", "at": None, "new": True, "trigger": "run", "workers": 0}
    assert body | expected == body
    assert (body["requested_by"], body["due_at"], body["attempts"]) == ("api", None, 0)

    again = ask(client, "coins")
    assert (again.status_code, again.json()["id"], again.json()["new"]) == (200, body["id"], False)
    assert again.headers["Location"] == answer.headers["Location"]

    found = client.get(answer.headers["Location"]).json()
    assert (found["status"], found["worker"], found["run_id"]) == ("waiting", None, None)
    number = worker(seeded_url, "w1", ["coins"])
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", [number])
        connection.execute("UPDATE etl_run SET job_id = %s WHERE source = 'coins'", [body["id"]])
    found = client.get(answer.headers["Location"]).json()
    assert (found["status"], found["worker"]) == ("running", "w1")
    run = client.get(f"/runs/{found['run_id']}").json()
    assert (run["source"], run["job_id"]) == ("coins", body["id"])

    behind = ask(client, "coins")  # one is under way: the next one waits behind it
    assert (behind.status_code, behind.json()["new"], behind.json()["workers"]) == (202, True, 1)
    assert [one["status"] for one in client.get("/queue").json()["data"]] == ["running", "waiting"]


def test_a_run_that_waits_can_be_cancelled(client: TestClient, seeded_url: str) -> None:
    first = ask(client, "coins").json()["id"]
    assert client.post(f"/queue/{first}/cancel").status_code == 401
    gone = client.post(f"/queue/{first}/cancel", headers=KEY)
    assert (gone.status_code, gone.json()["id"], gone.json()["status"]) == (200, first, "dropped")
    assert gone.headers["Cache-Control"] == "no-store"
    assert client.get("/queue").json()["data"] == []
    again = client.post(f"/queue/{first}/cancel", headers=KEY)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "is dropped already" in again.json()["detail"]

    second = ask(client, "coins").json()["id"]
    assert second != first
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE status = 'todo'")
    begun = client.post(f"/queue/{second}/cancel", headers=KEY)
    assert (begun.status_code, "is under way" in begun.json()["detail"]) == (409, True)
    assert client.get(f"/queue/{second}").json()["status"] == "running"
    unknown = client.post("/queue/999999/cancel", headers=KEY)
    assert (unknown.status_code, "see /runs" in unknown.json()["detail"]) == (404, True)


def test_a_full_refresh_makes_one_of_the_run_that_waits(client: TestClient) -> None:
    first = ask(client, "coins").json()
    assert first["trigger"] == "run"
    assert ask(client, "coins", full_refresh=True).json()["trigger"] == "full_refresh"
    found = ask(client, "coins").json()
    assert (found["id"], found["trigger"]) == (first["id"], "full_refresh")
    assert ask(client, "news", full_refresh=True).json()["trigger"] == "full_refresh"


def test_many_at_once_are_one(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: ask(client, "coins"), range(16)))
    assert {one.status_code for one in found} == {200, 202}
    assert sum(one.json()["new"] for one in found) == 1
    assert len({one.json()["id"] for one in found}) == 1


def test_a_source_is_known_by_its_runs_its_schedule_or_a_worker_that_lives(client: TestClient, seeded_url: str) -> None:
    unknown = ask(client, "coin")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert "There is no source 'coin'" in unknown.json()["detail"]
    worker(seeded_url, "dead", ["coin"], silent=61)
    assert ask(client, "coin").status_code == 404
    worker(seeded_url, "alive", ["other", "coin"])
    assert ask(client, "coin").json()["workers"] == 1
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("INSERT INTO source_schedule VALUES ('planned', '{}', now()), ('gone', NULL, now())")
    planned = ask(client, "planned")
    assert (planned.status_code, planned.json()["workers"]) == (202, 0)
    assert ask(client, "gone").status_code == 404


def test_no_run_is_queued_where_rows_are_held(client: TestClient, seeded_url: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("UPDATE etl_run SET held = 'held' WHERE source = 'coins'")
    answer = ask(client, "coins")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "kasparro runs release" in answer.json()["detail"]
    assert client.get("/queue").json()["data"] == []


def test_only_operators_ask(client: TestClient, serve: Serve, seeded_url: str) -> None:
    for headers in ({}, {"X-API-Key": "wrong"}):
        answer = client.post("/runs", json={"source": "coins"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "denied")
    closed = serve(seeded_url, api_key=SecretStr("k"), public_read=False)
    assert closed.get("/queue").status_code == 401
    assert closed.get("/queue", headers={"X-API-Key": "k"}).status_code == 200
    keyless = serve(seeded_url)
    assert keyless.post("/runs", json={"source": "coins"}).status_code == 403


@pytest.mark.parametrize(
    ("body", "name", "detail"),
    [
        ("", "body", "Invalid JSON"),
        ("{", "body", "Invalid JSON"),
        ("[]", "body", "object"),
        ("{}", "source", "required"),
        ('{"source": ""}', "source", "at least 1 character"),
        ('{"source": null}', "source", "string"),
        ('{"source": 5}', "source", "string"),
        ('{"source": "a\\u0000b"}', "source", "pattern"),
        ('{"source": "\\ud800"}', "body", "Invalid JSON"),
        (json.dumps({"source": "a" * 201}), "source", "at most 200"),
        ('{"source": "coins", "full_refresh": "yes"}', "full_refresh", "boolean"),
        ('{"source": "coins", "full_refresh": 1}', "full_refresh", "boolean"),
        ('{"source": "coins", "full_refesh": true}', "full_refesh", "Did you mean full_refresh?"),
        ('{"source": "coins", "source": "news"}', "source", "more than once"),
    ],
)
def test_a_body_that_does_not_fit_is_named(client: TestClient, body: str, name: str, detail: str) -> None:
    answer = client.post("/runs", content=body, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    (fault,) = answer.json()["errors"]
    assert (fault["in"], fault["name"]) == ("body", name)
    assert detail in fault["detail"]
    assert client.get("/queue").json()["data"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/runs?full_refresh=true"),
        ("GET", "/queue/1?source=coins"),
        ("POST", "/queue/1/cancel?source=coins"),
        ("GET", "/runs/1?x="),
    ],
)
def test_a_query_where_none_is_read_is_not_passed_over(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, json={"source": "coins"}, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "takes none in its query" in answer.json()["detail"]
    assert client.get("/queue").json()["data"] == []


def test_a_body_of_megabytes_is_not_read(client: TestClient) -> None:
    answer = client.post("/runs", content=b" " * 1_000_000, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_entity_too_large")


def test_the_queue_is_bounded_and_ordered(client: TestClient, seeded_url: str) -> None:
    names = [f"s{n:03}" for n in range(120)]
    worker(seeded_url, "all", names)
    for name in names:
        assert ask(client, name).status_code == 202
    page = client.get("/queue?limit=50").json()
    assert [one["source"] for one in page["data"]] == names[:50]
    assert page["pagination"] == {"limit": 50, "has_more": True}
    assert len(client.get("/queue").json()["data"]) == 100
    for wrong in ("limit=0", "limit=101", "limit=x", "source=coins"):
        assert client.get(f"/queue?{wrong}").status_code == 422
    assert client.get("/queue/999999").status_code == 404
    assert client.get("/queue/x").status_code == 422


def test_a_job_has_the_documented_members(client: TestClient) -> None:
    answer = ask(client, "coins")
    document = client.get("/openapi.json").json()["components"]["schemas"]
    for name, body in (
        ("AskedJob", answer.json()),
        ("QueuedJob", client.get("/queue").json()["data"][0]),
        ("OneJob", client.get(answer.headers["Location"]).json()),
    ):
        assert set(body) == set(document[name]["properties"])


def test_an_address_lists_all_methods_that_it_takes(client: TestClient) -> None:
    assert client.put("/runs", headers=KEY).headers["Allow"] == "GET, HEAD, POST"
    assert client.post("/queue", headers=KEY).headers["Allow"] == "GET, HEAD"
    assert client.get("/runs/1/drop").headers["Allow"] == "POST"
