"""A real Prometheus with the configuration, rules and dashboards that are shipped, and a real server with real runs."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from tests.integration.conftest import copied
from tests.integration.observability.conftest import Serving, serving

FOLDER = Path(__file__).parents[3] / "deploy" / "observability"
pytestmark = pytest.mark.slow

KEY = "sesame-open-sesame"
PATIENCE = 60.0


def tool(name: str) -> str:
    """Path of a program that is not Python's to install: where it is missing, only a build server is at fault."""
    found = shutil.which(name)
    if found is None:
        missing = (
            f"{name} is missing: it is in the Debian package prometheus. "
            "apt-get install --no-install-recommends prometheus"
        )
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A Prometheus that runs, and what it watches."""

    url: str
    served: Serving

    def ask(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self.url}{path}?{urlencode(parameters)}", timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def values(self, expr: str) -> list[float]:
        """What a query gives, numbers that are none left out."""
        found = self.ask("/api/v1/query", query=expr)["result"]
        return [float(one["value"][1]) for one in found if not math.isnan(float(one["value"][1]))]

    def wait(self, expr: str, sound: Callable[[list[float]], bool] = bool) -> list[float]:
        """What a query gives as soon as it gives what is looked for."""
        until = time.monotonic() + PATIENCE
        while not sound(found := self.values(expr)):
            assert time.monotonic() < until, (expr, found, self.ask("/api/v1/targets")["activeTargets"])
            time.sleep(0.2)
        return found


class Upstream:
    """An API that now and then asks to wait, fails, and changes what it gives."""

    def __init__(self) -> None:
        self.version = 1
        self.asked = 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        status = {1: 429, 2: 503}.get(self.asked % 4, 200)
        field = "rank" if self.version == 1 else "market_rank"
        items = [{"id": number, "name": f"coin {number}", field: number} for number in range(500)]
        body = json.dumps({"items": items}).encode() if status == 200 else b"later"
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        if status == 429:
            handler.send_header("Retry-After", "0")
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[Upstream, str]]:
    made = Upstream()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield made, f"http://127.0.0.1:{listening.server_port}/items"
    listening.shutdown()
    listening.server_close()


def run(folder: Path, url: str, turn: int) -> None:
    """Run sources of all kinds of luck: an API, a file with rejects, one that is not there."""
    rows = "".join(f"{turn * 1000 + number},{number % 7}\n" for number in range(300))
    (folder / f"sales-{turn}.csv").write_text("id,amount\n" + rows + "only one\n" * 20)
    command = [sys.executable, "-m", "kasparro", "run"]
    given = {**os.environ, "DATABASE_URL": url}
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr  # one of them fails
    assert "gone: failed" in done.stderr
    assert "coins: success" in done.stderr, done.stderr
    assert "sales: success" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def watched(
    server_url: str, template: str, upstream: tuple[Upstream, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A server with a history, watched by a Prometheus while more is run."""
    folder = tmp_path_factory.mktemp("watched")
    coins = {"type": "api", "url": upstream[1], "records": "items", "primary_key": "id", "http": {"first_wait": 0}}
    sources = {
        "coins": {**coins, "pagination": {"type": "single_page"}},
        "sales": {"type": "csv", "path": "sales-*.csv", "primary_key": "id"},
        "gone": {"type": "csv", "path": "gone.csv"},
    }
    (folder / "kasparro.yaml").write_text(json.dumps({"sources": sources}))
    with copied(server_url, template) as url, serving(folder, url, API_KEY=KEY) as served:
        run(folder, url, 1)
        with prometheus(folder, served) as watching:
            watching.wait('kasparro_runs_total{status="success", source="coins"}')
            watching.wait("kasparro:http_requests:rate5m")
            upstream[0].version = 2
            run(folder, url, 2)
            for path in ("/data", "/data/nothing", "/nowhere", "/stats"):
                look(served, path)
            watching.wait('kasparro_runs_total{status="success", source="coins"}', lambda found: found == [2.0])
            yield watching


def look(served: Serving, path: str) -> None:
    try:
        urlopen(Request(f"{served.url}{path}", headers={"X-API-Key": KEY}), timeout=30).close()
    except HTTPError as refused:  # is an answer, too
        refused.close()


def shipped(folder: Path, served: Serving) -> Path:
    """A copy of the shipped configuration: the two files for it are filled in, and time goes faster."""
    made = folder / "prometheus"
    shutil.copytree(FOLDER, made)
    (made / "api_key").write_text(f"{KEY}\n")
    (made / "targets.yml").write_text(json.dumps([{"targets": [urlsplit(served.url).netloc]}]))
    config = made / "prometheus.yml"
    quick = config.read_text().replace("interval: 15s", "interval: 2s").replace("timeout: 10s", "timeout: 2s")
    config.write_text(quick)
    return config


@contextmanager
def prometheus(folder: Path, served: Serving) -> Iterator[Prometheus]:
    """Start one on a free port, and end it."""
    config, program = shipped(folder, served), tool("prometheus")
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    log = folder / "prometheus.log"
    with (
        log.open("wb") as said,
        subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stdout=said, stderr=said) as running,
    ):
        try:
            until = time.monotonic() + PATIENCE
            while (address := listens(log)) is None or not answers(f"http://{address}/-/ready"):
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield Prometheus(url=f"http://{address}", served=served)
        finally:
            running.terminate()
            running.wait(30)


def listens(log: Path) -> str | None:
    """Return the address that a Prometheus says it listens on, when it does."""
    found = re.search(r'"Listening on" address=(\S+)', log.read_text())
    return None if found is None else found[1]


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def panels() -> list[Any]:
    """Every query of every dashboard, with its variables filled in."""
    found = []
    for path in sorted((FOLDER / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for number, target in enumerate(panel.get("targets", ())):
                expr = target["expr"].replace("$__rate_interval", "2m").replace("$source", "coins")
                found.append(pytest.param(path.stem, expr, id=f"{path.stem}: {panel['title']} {number}"))
    return found


def test_it_is_scraped_with_the_key(watched: Prometheus) -> None:
    assert watched.values('up{job="kasparro"}') == [1.0]
    (target,) = watched.ask("/api/v1/targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert watched.values("kasparro_database_up") == [1.0]


@pytest.mark.parametrize(("board", "expr"), panels())
def test_every_panel_shows_something(watched: Prometheus, board: str, expr: str) -> None:
    if board == "source" and "reject" in expr:
        expr = expr.replace('"coins"', '"sales"')  # a source has rejects, or an other side: no one has all
    if board == "source" and "failure" in expr:
        expr = expr.replace('"coins"', '"gone"')
    assert watched.wait(expr)


def test_the_numbers_are_those_of_the_runs(watched: Prometheus) -> None:
    def one(expr: str) -> float:
        (found,) = watched.values(expr)
        return found

    assert one('kasparro_records_total{source="sales", outcome="inserted"}') == 600
    assert one('kasparro_records_total{source="sales", outcome="rejected"}') == 40
    assert one('kasparro_open_rejects{source="sales"}') == 40
    assert one('kasparro_runs_total{source="gone", status="failed"}') == 2
    assert one('sum(kasparro_findings_total{source="coins"})') > 0
    assert one('sum(kasparro_retries_total{source="coins"})') > 0
    assert watched.wait("source:kasparro_reject_share:ratio1h", lambda found: any(share > 0.05 for share in found))


def test_alerts_wait_for_what_is_wrong(watched: Prometheus) -> None:
    groups = watched.ask("/api/v1/rules")["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert all(rule["health"] == "ok" for rule in rules.values()), rules
    until = time.monotonic() + PATIENCE
    while rules["KasparroSourceFailing"]["state"] != "pending":
        assert time.monotonic() < until
        groups = watched.ask("/api/v1/rules")["groups"]
        rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert [one["labels"]["source"] for one in rules["KasparroSourceFailing"]["alerts"]] == ["gone"]
    quiet = {"KasparroNotScraped", "KasparroDatabaseDown", "KasparroApiErrors", "KasparroSourceLate"}
    assert {rules[name]["state"] for name in quiet} == {"inactive"}


@pytest.mark.parametrize(
    "words",
    [["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(words: list[str], tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "observability")
    (folder / "api_key").write_text("x")
    done = subprocess.run([tool("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_promtool_finds_nothing_wrong_with_the_metrics(watched: Prometheus) -> None:
    request = Request(f"{watched.served.url}/metrics", headers={"Authorization": f"Bearer {KEY}"})
    with urlopen(request, timeout=30) as answer:
        text = answer.read()
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
