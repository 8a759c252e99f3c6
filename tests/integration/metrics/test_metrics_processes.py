"""What several processes count is one count: runs that end, runs that are killed, servers beside each other."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from tests.integration.metrics.conftest import Run, Serve, Server

Done = Callable[..., str]

SMALL = {"KASPARRO_PAGE_BYTES": str(64 * 1024)}


def write(file: Path, rows: int, first: int = 0) -> None:
    lines = (f"{number},{'x' * 90},{number}\n" for number in range(first, first + rows))
    file.write_text("id,title,value\n" + "".join(lines), encoding="utf-8")


def outcomes(readings: dict[str, float], source: str) -> dict[str, float]:
    start = f"kasparro_records_total {source} "
    return {name.removeprefix(start): value for name, value in readings.items() if name.startswith(start) and value}


CONFIG = """
sources:
  prices:
    type: csv
    path: prices.csv
    primary_key: id
    dataset: prices
datasets:
  prices:
    fields:
      id: integer
      price: {type: numeric, min: 0}
"""


def test_a_life_of_a_source_is_counted_exactly(tmp_path: Path, serve: Serve, done: Done) -> None:
    (tmp_path / "kasparro.yaml").write_text(CONFIG)
    server = serve()
    assert not [name for name in server.scrape() if "prices" in name]
    (tmp_path / "prices.csv").write_text("id,price\n1,1\n2,odd\n3,-1\n4,4\n4,5\n5,5,5\n")
    done("run")
    told = server.scrape()
    assert outcomes(told, "prices") == {"inserted": 2, "duplicate": 1, "rejected": 3}
    assert {name: value for name, value in told.items() if name.startswith("kasparro_rejects_total")} == {
        "kasparro_rejects_total prices not_numeric": 1,
        "kasparro_rejects_total prices too_small": 1,
        "kasparro_rejects_total prices width": 1,
    }
    assert told["kasparro_open_rejects prices"] == 3
    assert told["kasparro_runs_total prices success"] == 1
    assert told["kasparro_verdicts_total prices ok"] == 1
    assert told["kasparro_dataset_rows prices"] == 2
    assert told["kasparro_pages_total prices"] == 1
    assert told["kasparro_read_bytes_total prices"] == len("1,1\n2,odd\n3,-1\n4,4\n4,5\n5,5,5\n")
    for step in ("run", "commit", "shape", "read"):
        assert told[f"kasparro_{step}_duration_seconds_count prices"] == 1
        assert 0 < told[f"kasparro_{step}_duration_seconds_sum prices"] < 60
    assert 0 <= told["kasparro_checkpoint_lag_seconds prices"] < 60
    assert abs(time.time() - told["kasparro_last_success_timestamp_seconds prices"]) < 60

    done("rejects", "discard", "prices", "--code", "width")
    told = server.scrape()
    assert (told["kasparro_open_rejects prices"], told["kasparro_rejects_total prices width"]) == (2, 1)
    (tmp_path / "prices.csv").write_text("id,price\n1,1\n4,6\n")
    done("run", "--full-refresh", "--accept-deletions")
    told = server.scrape()
    assert outcomes(told, "prices") == {"inserted": 2, "duplicate": 1, "rejected": 3, "updated": 1, "unchanged": 1}
    (tmp_path / "prices.csv").write_text("id,price\n1,1\n")
    done("run", "--full-refresh", "--accept-deletions")
    before = server.scrape()
    assert outcomes(before, "prices")["deleted"] == 1
    assert before["kasparro_open_rejects prices"] == 0  # the refresh did not meet them again
    done("checkpoint", "reset", "prices", "--rows")
    after = server.scrape()
    assert after["kasparro_dataset_rows prices"] == 0
    fallen = {name for name, value in before.items() if "_total" in name and after.get(name, 0) < value}
    assert fallen == set()


def test_runs_at_the_same_time_and_servers_beside_each_other(tmp_path: Path, serve: Serve, run: Run) -> None:
    one, other = serve(), serve()
    for name in ("first", "second", "third"):
        write(tmp_path / f"{name}.csv", 5000)
    processes = [run("run", f"{name}.csv", **SMALL) for name in ("first", "second", "third")]
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    for server, times in ((one, 3), (other, 4)):
        for _ in range(times):
            assert server.get("/stats").status_code == 200
    one.scrape()
    here, there = other.scrape(), one.scrape()

    def steady(readings: dict[str, float]) -> dict[str, float]:
        return {name: value for name, value in readings.items() if "/metrics" not in name and "lag" not in name}

    assert steady(here) == steady(there)
    assert here["kasparro_http_requests_total /stats GET 200"] == 7
    assert here["kasparro_http_request_duration_seconds_count /stats GET"] == 7
    for name in ("first", "second", "third"):
        assert outcomes(here, name) == {"inserted": 5000}
        assert here[f"kasparro_commit_duration_seconds_count {name}"] == here[f"kasparro_pages_total {name}"] > 3
        assert here[f"kasparro_runs_running {name}"] == 0


def test_what_a_server_counted_is_there_after_it_has_stopped(serve: Serve) -> None:
    one, other = serve(), serve()
    for _ in range(5):
        one.get("/data")
    one.stop()
    assert other.scrape()["kasparro_http_requests_total /data GET 200"] == 5


def wait_until(server: Server, process: "subprocess.Popen[str]", reached: Callable[[dict[str, float]], bool]) -> Any:
    """Scrape until that many records are in; every scrape is checked against the one before."""
    last: dict[str, float] = {}
    deadline = time.monotonic() + 60
    while not (last and reached(last)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        now = server.scrape()
        assert not [name for name, value in last.items() if "_total" in name and now.get(name, 0) < value]
        last = now
    return last


def test_a_killed_run_loses_no_record_and_does_not_seem_to_run(
    tmp_path: Path, serve: Serve, run: Run, done: Done, database_url: str
) -> None:
    server, rows = serve(), 60_000
    write(tmp_path / "killed.csv", rows)
    process = run("run", "killed.csv", **SMALL)
    inserted = "kasparro_records_total killed inserted"
    during = wait_until(server, process, lambda now: now.get(inserted, 0) > 0)
    assert during["kasparro_runs_running killed"] == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 30
    while server.scrape()["kasparro_runs_running killed"]:
        assert time.monotonic() < deadline  # PostgreSQL notices that its client is gone
    after = server.scrape()
    with psycopg.connect(database_url) as connection:
        ((committed,),) = connection.execute("SELECT count(*) FROM normalized_data WHERE source = 'killed'").fetchall()
    assert 0 < after[inserted] == committed < rows
    assert after["kasparro_runs_total killed interrupted"] == 0  # nobody has found it yet
    done("run", "killed.csv")
    end = server.scrape()
    assert outcomes(end, "killed") == {"inserted": rows}
    assert (end["kasparro_runs_total killed interrupted"], end["kasparro_runs_total killed success"]) == (1, 1)
    assert end["kasparro_run_duration_seconds_count killed"] == 1  # how long the other took, nobody knows


def test_connections_that_are_cut_change_no_count(
    tmp_path: Path, serve: Serve, run: Run, done: Done, database_url: str
) -> None:
    server, rows = serve(), 60_000
    write(tmp_path / "cut.csv", rows)
    process = run("run", "cut.csv", **SMALL)
    inserted = "kasparro_records_total cut inserted"
    seen = wait_until(server, process, lambda now: now.get(inserted, 0) > 0)
    for _ in range(2):
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        now = server.scrape()
        assert now["kasparro_database_up"] == 1
        assert now[inserted] >= seen[inserted]
        seen = now
    said, _ = process.communicate(timeout=120)
    if process.returncode:
        done("run", "cut.csv")
    end = server.scrape()
    assert outcomes(end, "cut") == {"inserted": rows}, said
    assert end["kasparro_dataset_rows normalized_data"] == rows


@pytest.fixture
def throttling() -> Iterator[str]:
    """An API that asks to wait a second, then is out of order once, then answers."""
    answers = [(429, {"Retry-After": "1"}), (503, {}), (200, {})]

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers = answers.pop(0) if len(answers) > 1 else answers[0]
            body = b'[{"id": 1, "title": "a"}]' if status == 200 else b"{}"
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/coins"
    server.shutdown()
    server.server_close()


def test_retries_and_waits_of_a_run_are_counted(tmp_path: Path, throttling: str, serve: Serve, done: Done) -> None:
    server = serve()
    declared = f"sources:\n  coins:\n    type: api\n    url: {throttling}\n    primary_key: id\n"
    (tmp_path / "kasparro.yaml").write_text(declared)
    done("run")
    told = server.scrape()
    assert told["kasparro_retries_total coins rate_limited"] == 1
    assert told["kasparro_retries_total coins unreachable"] == 1
    # Once as it was asked for; and where the clocks leave a doubt, for a moment more before the request is sent.
    assert told["kasparro_throttle_waits_total coins"] in {1, 2}
    assert 1 <= told["kasparro_throttle_wait_seconds_total coins"] < 5
    assert told["kasparro_fetch_duration_seconds_count coins"] >= 3
    assert (
        told["kasparro_fetch_duration_seconds_bucket coins +Inf"] == told["kasparro_fetch_duration_seconds_count coins"]
    )
