"""Parked sources and hosts that are left alone are shown: /health, /stats, /runs, /metrics, the page."""

import re
from collections.abc import Callable

import psycopg
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.integration.api.conftest import seed, seeded_url, serve
from tests.integration.stories.conftest import Kasparro

__all__ = ["seed", "seeded_url", "serve"]

Serve = Callable[..., TestClient]
Tell = Callable[[str], None]

PARK = """
WITH run AS (
    INSERT INTO etl_run (source, status, finished_at, resume_at, holder, config_hash, code_version, error_code, error,
                         retries, waits, waited_seconds, breaker_changes)
    VALUES ('coins', 'parked', now(), '2099-03-02T06:00Z', 'h', 'x', '0', 'rate_limited', 'asked to wait', 1, 2, 3.5, 4)
    RETURNING id)
UPDATE etl_source SET last_run_id = run.id, retries = 1, waits = 2, waited_seconds = 3.5, breaker_changes = 4
FROM run WHERE source = 'coins'
"""

OPEN = """
INSERT INTO host_breaker (host, state, since, retry_at, openings, failures, reason, probe)
VALUES ('api.example', '{}', '2026-03-02T06:00Z', clock_timestamp() + interval '{}', 2, 9, '503 Service Unavailable',
        {})
"""


@pytest.fixture
def tell(seeded_url: str) -> Tell:
    def execute(statement: str) -> None:
        with psycopg.connect(seeded_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    return execute


def test_a_parked_source_is_shown_and_is_well(serve: Serve, seeded_url: str, tell: Tell) -> None:
    tell(PARK)
    client = serve(seeded_url)
    health = client.get("/health").json()
    assert (health["status"], health["hosts"]) == ("ok", [])
    (parked,) = health["parked"]
    assert (parked["source"], parked["resume_at"]) == ("coins", "2099-03-02T06:00:00+00:00")
    (run,) = client.get("/runs?status=parked").json()["data"]
    assert (run["id"], run["resume_at"]) == (parked["run_id"], parked["resume_at"])
    one = client.get(f"/runs/{run['id']}").json()
    for told in (run, one):
        assert (told["retries"], told["waits"], told["waited_seconds"], told["breaker_changes"]) == (1, 2, 3.5, 4)
    stats = client.get("/stats").json()
    assert stats["recent_runs"][0]["resume_at"] == parked["resume_at"]
    (source,) = (one for one in stats["sources"] if one["source"] == "coins")
    for told in (source, stats["totals"]):
        assert (told["retries"], told["waits"], told["waited_seconds"], told["breaker_changes"]) == (1, 2, 3.5, 4)
    assert (source["last_status"], source["resume_at"], source["failures"]) == ("parked", parked["resume_at"], 0)
    page = re.sub(r"\s+", " ", client.get("/").text)
    assert '<span class="status parked">parked</span> until <time datetime="2099-03-02T06:00:00+00:00">' in page
    assert "2099-03-02 06:00:00 UTC" in page


@pytest.mark.parametrize(
    ("state", "ahead", "status", "shown"),
    [
        ("open", "30 s", "degraded", 1),
        ("half_open", "30 s", "degraded", 1),
        ("open", "-30 minutes", "degraded", 1),
        ("open", "-2 hours", "ok", 1),
        ("open", "-2 days", "ok", 0),
    ],
)
def test_a_host_that_is_left_alone_is_shown_and_degrades(  # noqa: PLR0917 - one row of the table each
    serve: Serve, seeded_url: str, tell: Tell, state: str, ahead: str, status: str, shown: int
) -> None:
    tell(OPEN.format(state, ahead, "'p'" if state == "half_open" else "NULL"))
    client = serve(seeded_url, public_read=True, api_key=SecretStr("s3cret-s3cret"))
    health = client.get("/health").json()
    assert health["status"] == status
    assert [(one["host"], one["state"], one["failures"]) for one in health["hosts"]] == [
        ("api.example", state, 9)
    ] * shown
    (host,) = client.get("/stats").json()["hosts"]
    assert (host["host"], host["openings"], host["reason"]) == ("api.example", 2, "503 Service Unavailable")
    assert ("failed 9 times in a row (503 Service Unavailable)" in client.get("/").text) is not ahead.startswith("-")
    metrics = client.get("/metrics", headers={"X-API-Key": "s3cret-s3cret"})
    value = 0 if "hours" in ahead or "days" in ahead else {"half_open": 1, "open": 2}[state]
    assert f'kasparro_breaker_state{{host="api.example"}} {value}' in metrics.text


def test_hosts_are_named_to_those_who_may_read(serve: Serve, seeded_url: str, tell: Tell) -> None:
    tell(OPEN.format("open", "30 s", "NULL"))
    client = serve(seeded_url, public_read=False, api_key=SecretStr("s3cret-s3cret"))
    health = client.get("/health").json()
    assert (health["status"], health["hosts"], health["parked"]) == ("degraded", None, None)


def test_the_command_line_shows_it(kasparro: Kasparro, tell: Tell) -> None:
    tell(PARK)
    assert "parked" in kasparro("runs", "list", "coins").out
    said = kasparro("runs", "show", "4")
    assert said.code == 0, said.err
    (shown,) = (line for line in said.out.splitlines() if "resume at" in line)
    assert "2099-03-02" in shown
