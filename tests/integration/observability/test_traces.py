"""Runs as traces, taken by a real collector over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.conftest import nobody
from tests.integration.observability.conftest import Collector, Seen
from tests.integration.stories.conftest import Kasparro, Said, reply

SECRET = "hunter2-hunter2"
PAGES = 5
EACH = 40


def record(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"coin {number}"}


def paged(handler: Any) -> None:
    """Pages of an API, the second one only when it is asked for again."""
    page = int(parse_qs(urlsplit(handler.path).query).get("page", ["1"])[0])
    if page == 2 and not getattr(handler.server, "refused", False):
        handler.server.refused = True
        reply(503, b"later", Retry_After="0")(handler)
        return
    items = [record(number) for number in range((page - 1) * EACH, page * EACH)] if page <= PAGES else []
    reply(200, json.dumps({"items": items}).encode(), Content_Type="application/json")(handler)


def declare(folder: Path, **sources: Any) -> None:
    (folder / "kasparro.yaml").write_text(json.dumps({"sources": sources}))


def api(url: str, **more: Any) -> dict[str, Any]:
    paging = {"type": "page_number", "size": EACH}
    return {"type": "api", "url": url, "records": "items", "primary_key": "id", "pagination": paging, **more}


def ancestors(collector: Collector, one: Seen) -> list[str]:
    known = {span.span: span for span in collector.spans}
    names = []
    while one.parent:
        one = known[one.parent]
        names.append(one.name)
    return names


def test_a_run_is_a_trace_of_slices_pages_and_steps(
    kasparro: Kasparro, server: Callable[..., str], collector: Collector, tmp_path: Path
) -> None:
    url = server(paged)
    declare(tmp_path, coins=api(f"{url}?token={SECRET}", http={"first_wait": 0}))
    said = kasparro("run")
    assert said.code == 0, said.err
    run = collector.the("run")
    assert (run.parent, run.error, run.events) == ("", False, ("retry",))
    assert run.attributes == {
        "kasparro.source": "coins",
        "kasparro.run_id": 1,
        "kasparro.status": "success",
        "kasparro.verdict": "ok",
        "kasparro.findings": 0,
        "kasparro.records": PAGES * EACH,
        "kasparro.rejected": 0,
    }
    part = collector.the("slice")
    assert part.parent == run.span
    assert part.attributes["kasparro.records"] == PAGES * EACH
    pages = collector.named("page")
    assert {one.parent for one in pages} == {part.span}
    assert sum(one.attributes["kasparro.records"] for one in pages) == PAGES * EACH
    for page in pages:
        names = sorted(one.name for one in collector.below(page))
        assert names.count("shape") == names.count("commit") == 1
        assert names.count("read") == page.attributes["kasparro.pages"]
        assert "fetch" in names
    fetches = collector.named("fetch")
    assert sorted(one.attributes["http.response.status_code"] for one in fetches) == [200] * (len(fetches) - 1) + [503]
    assert [one.error for one in fetches if one.attributes["http.response.status_code"] == 503] == [True]
    assert {one.attributes["server.address"] for one in fetches} == {urlsplit(url).netloc}
    assert {one.kind for one in fetches} == {3}
    assert {one.trace for one in collector.spans} == {run.trace}
    assert not any(SECRET.encode() in body or b"token" in body for body in collector.bodies)


def test_the_times_are_nested_and_those_of_now(
    kasparro: Kasparro, server: Callable[..., str], collector: Collector, tmp_path: Path
) -> None:
    since = time.time_ns()
    (tmp_path / "big.csv").write_text("id,name\n" + "".join(f"{n},{'x' * 90}\n" for n in range(60_000)))
    declare(tmp_path, coins=api(server(paged)), big={"type": "csv", "path": "big.csv", "primary_key": "id"})
    assert kasparro("run").code == 0
    until = time.time_ns()
    known = {one.span: one for one in collector.spans}
    assert len(collector.named("run")) == 2
    assert len(collector.named("page")) > 3
    for one in collector.spans:
        assert since - 1_000_000 <= one.began <= one.ended <= until + 1_000_000
        if one.parent:
            above = known[one.parent]
            assert above.trace == one.trace
            assert above.began <= one.began, (one, above)
            assert one.ended <= above.ended, (one, above)
    assert ancestors(collector, collector.named("shape")[-1]) == ["page", "slice", "run"]
    read = [one for one in collector.named("read") if one.attributes["kasparro.bytes"] > 100_000]
    assert sum(one.attributes["kasparro.records"] for one in read) == 60_000


def test_a_failed_run_says_why_and_holds_no_secret(
    kasparro: Kasparro,
    server: Callable[..., str],
    collector: Collector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)

    def refuse(handler: Any) -> None:
        page = int(parse_qs(urlsplit(handler.path).query).get("page", ["1"])[0])
        (paged if page == 1 else reply(403, f"{SECRET} is wrong".encode()))(handler)

    declare(
        tmp_path,
        coins=api(server(refuse), auth={"type": "bearer", "token": "${TOKEN}"}),
        gone={"type": "csv", "path": "gone.csv"},
    )
    assert kasparro("run").code == 1
    runs = {one.attributes["kasparro.source"]: one for one in collector.named("run")}
    assert (runs["coins"].error, runs["coins"].attributes["error.type"]) == (True, "denied")
    assert "403" in runs["coins"].message
    assert runs["coins"].attributes["kasparro.status"] == "failed"
    assert (runs["gone"].error, runs["gone"].attributes["kasparro.status"]) == (True, "failed")
    assert runs["gone"].trace != runs["coins"].trace
    (part,) = (one for one in collector.named("slice") if one.trace == runs["coins"].trace)
    assert (part.error, part.attributes["error.type"]) == (True, "denied")
    bad = [one for one in collector.named("fetch") if one.error]
    assert [one.attributes["error.type"] for one in bad] == ["403"]
    assert not any(SECRET.encode() in body for body in collector.bodies)


def lines(said: Said) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]


def test_log_lines_of_a_run_name_its_trace(
    kasparro: Kasparro,
    server: Callable[..., str],
    collector: Collector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    declare(tmp_path, coins=api(server(paged), http={"first_wait": 0}))
    said = kasparro("run")
    told = {one["event"]: one for one in lines(said)}
    run = collector.the("run")
    for event in ("run started", "trying again", "pages committed", "slice closed", "run finished"):
        assert told[event]["trace_id"] == run.trace, told[event]


def test_without_a_collector_no_line_has_one_and_nothing_is_loaded(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    code = """
import sys
sys.argv = ["kasparro", "run", "a.csv"]
from kasparro.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print([name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf", "requests"))])
"""
    for more in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}):
        environment = {**os.environ, "DATABASE_URL": database_url, "ENVIRONMENT": "production", **more}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"
        assert '"event": "run finished"' in done.stderr
        assert "trace_id" not in done.stderr


def test_a_collector_without_the_extra_is_refused_before_anything_begins(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    code = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):  # FastAPI itself needs the rest
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from kasparro.cli.main import main
main()
"""
    environment = {**os.environ, "DATABASE_URL": database_url, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    for words in (["run", "a.csv"], ["serve", "--port", "0"]):
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.argv = ['kasparro', *{words!r}]\n{code}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2, done.stderr
        assert 'pip install "kasparro[otel]"' in done.stderr
        assert "Traceback" not in done.stderr
        assert "run started" not in done.stderr


@pytest.fixture
def away() -> Iterator[str]:
    """An address where nobody listens."""
    with nobody() as port:
        yield f"http://127.0.0.1:{port}"


def test_a_collector_that_is_down_disturbs_nothing_and_is_told_of_once(
    kasparro: Kasparro, away: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", away)
    monkeypatch.setenv("ENVIRONMENT", "production")
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    since = time.monotonic()
    said = kasparro("run", "a.csv")
    assert time.monotonic() - since < 10
    assert said.code == 0
    warned = [one for one in lines(said) if one["level"] == "warning"]
    assert warned[-1]["event"] == "traces were dropped"
    assert warned[-1]["spans"] == warned[-1]["of"] > 4
    assert len(lines(said)) == len(said.err.splitlines()), said.err


def test_a_collector_that_refuses_is_told_of_once(
    kasparro: Kasparro,
    server: Callable[..., str],
    collector: Collector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    collector.mood = "refuses"
    declare(tmp_path, coins=api(server(paged), http={"first_wait": 0}))
    said = kasparro("run")
    assert said.code == 0
    warned = [one for one in lines(said) if one["level"] == "warning" and one["event"] != "trying again"]
    first, last = warned
    assert (first["event"], last["event"]) == ("the collector takes no traces; they are dropped", "traces were dropped")
    assert "500" in first["reason"]
    assert collector.asked >= 1


def test_a_collector_that_hangs_holds_no_run_up(
    kasparro: Kasparro, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    collector.mood = "hangs"
    (tmp_path / "big.csv").write_text("id,name\n" + "".join(f"{n},{'x' * 90}\n" for n in range(100_000)))
    since = time.monotonic()
    said = kasparro("run", "big.csv")
    assert time.monotonic() - since < 15
    assert said.code == 0
    (finished,) = (one for one in lines(said) if one["event"] == "run finished")
    assert finished["records"] == 100_000
    (dropped,) = (one for one in lines(said) if one["event"] == "traces were dropped")
    assert dropped["spans"] == dropped["of"] > 8
    assert len(lines(said)) == len(said.err.splitlines()), said.err


def test_what_was_sent_before_a_kill_stays(
    server: Callable[..., str], collector: Collector, database_url: str, tmp_path: Path
) -> None:
    def endless(handler: Any) -> None:
        page = int(parse_qs(urlsplit(handler.path).query).get("page", ["1"])[0])
        time.sleep(0.02)
        items = [record(number) for number in range((page - 1) * EACH, page * EACH)]
        reply(200, json.dumps({"items": items}).encode(), Content_Type="application/json")(handler)

    declare(tmp_path, coins=api(server(endless)))
    environment = {**os.environ, "DATABASE_URL": database_url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    command = [sys.executable, "-m", "kasparro", "run"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as running:
        try:
            collector.wait("commit", 2)
        finally:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)
    assert len(collector.named("page")) >= 2
    assert collector.named("run") == []
    assert len({one.parent for one in collector.named("page")}) == 1


def test_the_name_headers_and_sampling_are_those_of_the_standard_variables(
    kasparro: Kasparro, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    (tmp_path / ".env").write_text(f"OTEL_EXPORTER_OTLP_HEADERS=x-key={SECRET}\n")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    assert kasparro("run", "a.csv").code == 0
    assert collector.resources[0]["service.name"] == "kasparro"
    assert collector.resources[0]["deployment.environment"] == "test"
    assert collector.headers[0]["x-key"] == SECRET
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert kasparro("run", "a.csv").code == 0
    assert collector.resources[-1]["service.name"] == "nightly"
    before = collector.asked
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    assert kasparro("run", "a.csv").code == 0
    assert collector.asked == before


@pytest.mark.parametrize("told", [True, False])
def test_the_source_is_told_of_the_trace_only_where_that_is_asked_for(
    kasparro: Kasparro, server: Callable[..., str], collector: Collector, tmp_path: Path, *, told: bool
) -> None:
    heard: list[str | None] = []
    elsewhere: list[str | None] = []

    def other(handler: Any) -> None:
        elsewhere.append(handler.headers["traceparent"])
        reply(200, json.dumps({"items": [record(1)]}).encode(), Content_Type="application/json")(handler)

    away = server(other)

    def here(handler: Any) -> None:
        heard.append(handler.headers["traceparent"])
        reply(302, b"", Location=away)(handler)

    source = api(server(here), pagination={"type": "single_page"})
    declare(tmp_path, coins={**source, "http": {"traceparent": True}} if told else source)
    assert kasparro("run").code == 0
    run = collector.the("run")
    expected = f"00-{run.trace}-{run.span}-01" if told else None
    assert heard
    assert set(heard) == {expected}
    assert elsewhere
    assert set(elsewhere) == {None}
