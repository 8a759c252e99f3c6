"""Requests to a real server as spans, taken by a real collector."""

import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from psycopg import conninfo
from tests.integration.api.conftest import Gate
from tests.integration.observability.conftest import Collector, Serving, serving

KEY = "sesame-open-sesame"
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def ask(served: Serving, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, Any]]:
    parts = urlsplit(served.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    given = {"X-API-Key": KEY, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, headers=given)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body) if body.startswith(b"{") else {}


def as_url(words: str) -> str:
    """The same as a URL: `key=value` is no value of DATABASE_URL."""
    facts = {name: str(value) for name, value in conninfo.conninfo_to_dict(words).items()}
    user, password = quote(facts.pop("user"), safe=""), quote(facts.pop("password", ""), safe="")
    place = f"{facts.pop('host')}:{facts.pop('port')}/{quote(facts.pop('dbname'), safe='')}"
    return f"postgresql://{user}:{password}@{place}?{urlencode(facts)}"


def quick(folder: Path, database_url: str) -> Any:
    return serving(folder, database_url, API_KEY=KEY, OTEL_BSP_SCHEDULE_DELAY="20")


def test_each_request_is_a_span_of_its_route(collector: Collector, database_url: str, tmp_path: Path) -> None:
    with quick(tmp_path, database_url) as served:
        assert ask(served, "/data?limit=1&source=private-name")[0] == 200
        assert ask(served, "/data/normalized_data", "HEAD")[0] == 200
        assert ask(served, "/nowhere/private-path")[0] == 404
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            assert ask(served, path)[0] == 200
        assert ask(served, "/stats")[0] == 200
    assert sorted(one.name for one in collector.spans) == ["GET", "GET /data", "GET /stats", "HEAD /data/{dataset}"]
    one = collector.the("GET /data")
    assert one.attributes == {"http.request.method": "GET", "http.route": "/data", "http.response.status_code": 200}
    assert (one.kind, one.parent, one.error) == (2, "", False)
    assert collector.the("GET").attributes["http.response.status_code"] == 404
    assert not any(word in body for body in collector.bodies for word in (b"private", b"limit", KEY.encode()))


def test_a_request_goes_on_the_trace_of_its_caller(collector: Collector, database_url: str, tmp_path: Path) -> None:
    with quick(tmp_path, database_url) as served:
        assert ask(served, "/data", traceparent=f"00-{CALLER}-{PARENT}-01")[0] == 200
        assert ask(served, "/stats", traceparent=f"00-{CALLER}-{PARENT}-00")[0] == 200  # the caller keeps none
        assert ask(served, "/runs", traceparent="00-zzz-1-01")[0] == 200
        collector.wait("GET /runs")
    one = collector.the("GET /data")
    assert (one.trace, one.parent) == (CALLER, PARENT)
    assert collector.named("GET /stats") == []
    assert (collector.the("GET /runs").parent, collector.the("GET /runs").trace == CALLER) == ("", False)


def test_problems_and_log_lines_name_the_trace(collector: Collector, database_url: str, tmp_path: Path) -> None:
    gate = Gate(database_url)
    with quick(tmp_path, as_url(gate.url)) as served:
        assert ask(served, "/data")[0] == 200
        status, missing = ask(served, "/data/nothing", traceparent=f"00-{CALLER}-{PARENT}-01")
        assert (status, missing["trace_id"]) == (404, CALLER)
        status, wrong = ask(served, "/data?limit=0")
        assert (status, len(wrong["trace_id"])) == (422, 32)
        status, twice = ask(served, "/data?limit=1&limit=2")  # refused before any route is looked for
        assert (status, len(twice["trace_id"])) == (422, 32)
        gate.shut()
        status, down = ask(served, "/data")
        assert (status, down["code"]) == (503, "store_busy")
        collector.wait("GET /data", 3)
        (failed,) = (one for one in collector.named("GET /data") if one.error)
        assert (failed.trace, failed.attributes["error.type"]) == (down["trace_id"], "503")
        logged = [one for one in served.lines() if one["event"] == "request failed"]
        assert [(one["trace_id"], one["request_id"]) for one in logged] == [(down["trace_id"], down["request_id"])]
    assert [one.error for one in collector.named("GET /data/{dataset}")] == [False]


def test_without_a_collector_problems_name_no_trace(database_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, database_url, API_KEY=KEY) as served:
        status, missing = ask(served, "/data/nothing", traceparent=f"00-{CALLER}-{PARENT}-01")
        assert status == 404
        assert "trace_id" not in missing


def test_a_collector_that_hangs_holds_no_answer_up(collector: Collector, database_url: str, tmp_path: Path) -> None:
    collector.mood = "hangs"
    with quick(tmp_path, database_url) as served:
        since = time.monotonic()
        for _ in range(20):
            assert ask(served, "/data")[0] == 200
        assert time.monotonic() - since < 10
        since = time.monotonic()
    assert time.monotonic() - since < 10
    (dropped,) = (one for one in served.lines() if one["event"] == "traces were dropped")
    assert dropped["spans"] == 20
