"""`/metrics` over a real database: one that hangs, goes and comes back, names that need escaping, and promtool."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain
from starlette.testclient import TestClient

from kasparro.model.metrics import RETRIES
from kasparro.observe.metrics import Meter, Series, Tally
from kasparro.store.database import Database
from kasparro.store.metrics import read_metrics
from kasparro.store.metrics_scrape import Scraper

Serve = Callable[..., TestClient]
Key = tuple[str, tuple[tuple[str, str], ...]]

OPEN = {"Accept": "application/openmetrics-text;version=1.0.0"}
LEFT_OUT = {
    *("kasparro_runs_running", "kasparro_open_rejects", "kasparro_queue_depth", "kasparro_dataset_rows"),
    *("kasparro_sources", "kasparro_workers", "kasparro_schema_version"),
}


def scraped(client: TestClient) -> dict[Key, float]:
    answer = client.get("/metrics", headers=OPEN)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_open(answer.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def up(readings: dict[Key, float]) -> float:
    return readings["kasparro_database_up", ()]


def requests(readings: dict[Key, float], route: str, status: int = 200) -> float:
    labels = (("method", "GET"), ("route", route), ("status", str(status)))
    return readings.get(("kasparro_http_requests_total", labels), 0)


@pytest.fixture
def client(serve: Serve, gate: Any) -> TestClient:
    """An application over a way to the database that can be closed."""
    return serve(gate.url, loopback=True, public_read=True)


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test client is no machine: let it be this one."""
    monkeypatch.setattr("kasparro.api.security._is_local", lambda _request: True)


def test_what_a_run_left_is_told(client: TestClient) -> None:
    readings = scraped(client)
    assert up(readings) == 1
    assert readings["kasparro_pages_total", (("source", "coins"),)] == 0  # ended before there were counters
    assert readings["kasparro_records_total", (("outcome", "inserted"), ("source", "coins"))] == 250
    assert readings["kasparro_dataset_rows", (("dataset", "normalized_data"),)] == 1457
    assert readings["kasparro_sources", ()] == 3
    assert readings["kasparro_schema_version", ()] >= 8
    assert readings["kasparro_build_info", (("version", "9.9"),)] == 1
    assert time.time() - readings["kasparro_last_success_timestamp_seconds", (("source", "coins"),)] < 3600


def test_a_scrape_is_not_behind_its_own_process(client: TestClient) -> None:
    before = scraped(client)
    for _ in range(3):
        client.get("/data?limit=1")
    client.get("/data?limit=0")
    client.get("/data/nowhere")
    after = scraped(client)
    assert requests(after, "/data") - requests(before, "/data") == 3
    assert requests(after, "/data", 422) - requests(before, "/data", 422) == 1
    assert requests(after, "/data/{dataset}", 404) - requests(before, "/data/{dataset}", 404) == 1
    assert requests(after, "/metrics") - requests(before, "/metrics") == 1


def test_a_database_that_hangs_makes_no_counter_fall(client: TestClient, gate: Any) -> None:
    client.get("/data?limit=1")
    before = scraped(client)
    gate.hang()
    client.get("/livez")
    start = time.perf_counter()
    during = scraped(client)
    assert time.perf_counter() - start < 3
    assert up(during) == 0
    kept = {key: value for key, value in before.items() if key[0] not in LEFT_OUT | {"kasparro_database_up"}}
    assert set(kept) <= set(during)
    assert all(value <= during[key] for key, value in kept.items())
    assert not {name for name, _ in during} & LEFT_OUT
    assert requests(during, "/livez") - requests(before, "/livez") == 1
    lag = ("kasparro_checkpoint_lag_seconds", (("source", "coins"),))
    assert lag not in before
    gate.resume()
    after = scraped(client)
    assert up(after) == 1
    assert all(value <= after[key] for key, value in during.items() if key[0].endswith(("_total", "_bucket", "_count")))
    assert requests(after, "/livez") - requests(before, "/livez") == 1


def test_a_database_that_is_gone_makes_no_counter_fall(client: TestClient, gate: Any) -> None:
    before = scraped(client)
    gate.shut()
    for expected in range(1, 4):
        client.get("/livez")
        during = scraped(client)
        assert up(during) == 0
        assert requests(during, "/livez") - requests(before, "/livez") == expected
        assert during["kasparro_records_total", (("outcome", "inserted"), ("source", "coins"))] == 250


async def test_what_was_written_down_since_the_last_scrape_is_not_forgotten(gate: Any) -> None:
    meter, retried = Meter(), Series(RETRIES.name, ("coins", "unreachable"))
    async with Database(gate.url) as database, Scraper(database, meter, every=0.01) as scraper:
        meter.count(RETRIES, "coins", "unreachable", by=3)
        assert (await scraper.scrape())[retried] == Tally(3)
        meter.count(RETRIES, "coins", "unreachable", by=4)
        async with database.connection() as connection:
            async with asyncio.timeout(30):
                while (await read_metrics(connection))[retried] != Tally(7):  # noqa: ASYNC110 - no word is sent of it
                    await asyncio.sleep(0.01)
        gate.shut()
        meter.count(RETRIES, "coins", "unreachable")
        told = await scraper.scrape()
    assert (told[retried], told[Series("kasparro_database_up")]) == (Tally(8), Tally(0))


def test_any_name_is_told_so_that_it_can_be_read(serve: Serve, seeded_url: str) -> None:
    names = ['a"b', "back\\slash", "two\nlines", "ünï 1", "{x=1}", "\\n", "tab\there", "🦆"]
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        for name in names:
            connection.execute("INSERT INTO etl_source (source, kind, dataset) VALUES (%s, 'csv', 'd')", [name])
            connection.execute("INSERT INTO dataset_total VALUES (%s, 's', 0, 7)", [name])
    client = serve(seeded_url, loopback=True)
    for parse, headers in ((parse_plain, {}), (parse_open, OPEN)):
        samples = [one for family in parse(client.get("/metrics", headers=headers).text) for one in family.samples]
        pages = {one.labels["source"] for one in samples if one.name == "kasparro_pages_total"}
        assert pages >= set(names)
        rows = {one.labels["dataset"]: one.value for one in samples if one.name == "kasparro_dataset_rows"}
        assert {name: rows[name] for name in names} == dict.fromkeys(names, 7)


def test_promtool_finds_nothing(client: TestClient) -> None:
    client.get("/data?limit=1")
    text = client.get("/metrics").text
    assert len(list(parse_plain(text))) > 15
    promtool = shutil.which("promtool")
    if promtool is None:
        return  # the strict parser of the other tests has to do
    found = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_two_applications_tell_the_sum_of_their_requests(serve: Serve, seeded_url: str) -> None:
    one, other = serve(seeded_url, loopback=True), serve(seeded_url, loopback=True)
    for _ in range(3):
        one.get("/stats")
    for _ in range(4):
        other.get("/stats")
    scraped(one)
    found = scraped(other)
    assert requests(found, "/stats") == 7
    again = scraped(one)
    assert requests(again, "/stats") == 7
    histogram = ("kasparro_http_request_duration_seconds_count", (("method", "GET"), ("route", "/stats")))
    assert found[histogram] == again[histogram] == 7
