"""Strings and texts that others found hard, through every kind of source, PostgreSQL and the HTTP API."""

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import httpx2
import psycopg
import pytest

from kasparro.assembly.running import run_declared
from kasparro.model.run import RunResult

CASES = Path(__file__).parents[4] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder shared/cases is not beside the repository")

Publish = Callable[[str, bytes, str], str]


@pytest.fixture
def publish() -> Iterator[Publish]:
    """Serve bytes over HTTP on loopback; called with path, body and content type, gives the URL."""
    bodies: dict[str, tuple[bytes, str]] = {}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, kind = bodies[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def at(path: str, body: bytes, kind: str) -> str:
        bodies[path] = (body, kind)
        return f"http://127.0.0.1:{server.server_port}{path}"

    yield at
    server.shutdown()
    server.server_close()


@pytest.fixture
def served(database_url: str) -> Iterator[str]:
    """Address of `kasparro serve` on the test's database."""
    environment = {**os.environ, "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "kasparro", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+:\d+", process.stdout.readline())
        assert found is not None
        yield found.group()
        process.terminate()
        assert process.wait(timeout=20) == 0


def naughty() -> list[str]:
    texts: list[str] = json.loads((CASES / "blns" / "blns.json").read_text(encoding="utf-8"))
    return texts


def run(url: str, **sources: dict[str, Any]) -> dict[str, RunResult]:
    return asyncio.run(run_declared(sources, datasets={}, database_url=url))


def rows_over_http(address: str, source: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    params: dict[str, str] = {"source": source, "limit": "100"}
    with httpx2.Client(base_url=address, timeout=30) as client:
        while True:
            answer = client.get("/data", params=params).raise_for_status().json()
            found |= {row["record_key"]: row for row in answer["data"]}
            if not answer["pagination"]["has_more"]:
                return found
            params["cursor"] = answer["pagination"]["next_cursor"]


def written(rows: list[list[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


def test_naughty_strings_as_values(tmp_path: Path, database_url: str, publish: Publish, served: str) -> None:
    texts = naughty()
    file = tmp_path / "n.csv"
    file.write_text(written([["id", "title"], *([str(n), text] for n, text in enumerate(texts))]), encoding="utf-8")
    records = [{"id": n, "title": text, "deep": [text]} for n, text in enumerate(texts)]
    api = publish("/n", json.dumps(records).encode(), "application/json")
    control = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
    allowed = {n: text for n, text in enumerate(texts) if not control.search(text) and text.strip()}
    items = "".join(f"<item><guid>{n}</guid><title>{escape(text)}</title></item>" for n, text in allowed.items())
    feed = publish("/f", f"<rss version='2.0'><channel>{items}</channel></rss>".encode(), "application/rss+xml")
    results = run(
        database_url,
        table={"type": "csv", "path": str(file), "primary_key": "id"},
        api={"type": "api", "url": api, "primary_key": "id"},
        feed={"type": "rss", "url": feed},
    )
    assert {name: (one.status, one.error) for name, one in results.items()} == dict.fromkeys(results, ("success", None))
    table, rows = rows_over_http(served, "table"), rows_over_http(served, "api")
    for found in (table, rows):
        assert {int(key): row["title"] for key, row in found.items()} == dict(enumerate(texts))
    assert [row["attributes"]["deep"] for row in rows.values()] == [[texts[int(key)]] for key in rows]
    rows = rows_over_http(served, "feed")
    same = sum(rows[str(n)]["title"] == text for n, text in allowed.items())
    trimmed = sum(rows[str(n)]["title"] == text.strip() for n, text in allowed.items())
    print(
        f"naughty strings: {len(texts)} through CSV, {len(texts)} through JSON, {same} of {len(allowed)} through a feed"
    )
    assert len(texts) == 515
    assert trimmed == len(allowed)


def test_naughty_strings_as_column_names(tmp_path: Path, database_url: str, publish: Publish, served: str) -> None:
    texts = [text for text in dict.fromkeys(naughty()) if text.strip() and text == text.strip()]
    file = tmp_path / "c.csv"
    file.write_text(written([["key!", *texts], ["1", *(str(n) for n in range(len(texts)))]]), encoding="utf-8")
    api = publish(
        "/c", json.dumps([{"key!": 1, **{text: n for n, text in enumerate(texts)}}]).encode(), "application/json"
    )
    results = run(
        database_url,
        table={"type": "csv", "path": str(file), "primary_key": "key!", "mapping": {"title": "key!"}},
        api={"type": "api", "url": api, "primary_key": "key!", "mapping": {"title": "key!"}},
    )
    assert {name: (one.status, one.error) for name, one in results.items()} == dict.fromkeys(results, ("success", None))
    table = rows_over_http(served, "table")["1"]["attributes"]
    assert table == {text: str(n) for n, text in enumerate(texts)}
    assert rows_over_http(served, "api")["1"]["attributes"] == {text: n for n, text in enumerate(texts)}
    print(f"naughty column names: {len(texts)} through CSV and JSON")


def test_the_json_test_suite(database_url: str, publish: Publish) -> None:
    index = (CASES / "index" / "json_suite_cases.jsonl").read_text(encoding="utf-8")
    cases = [json.loads(line) for line in index.splitlines()]
    valid: list[bytes] = []
    invalid: list[bytes] = []
    for case in cases:
        text = (CASES / case["file"]).read_bytes()
        (valid if case["expect"] == "accept" else invalid).append(text)
    body = b"[" + b",".join(b'{"id":%d,"v":%s}' % (n, text) for n, text in enumerate(valid)) + b"]"
    lines = b"\n".join(
        [b'{"id":"first"}', *(b'{"v":%s}' % text.replace(b"\n", b" ") for text in invalid), b'{"id":"last"}']
    )
    results = run(
        database_url,
        good={"type": "api", "url": publish("/good", body, "application/json"), "primary_key": "id"},
        bad={"type": "api", "url": publish("/bad", lines, "application/x-ndjson"), "primary_key": "id"},
    )
    assert results["good"].status == "success", results["good"].error
    with psycopg.connect(database_url) as connection:
        stored: dict[int, str] = dict(
            connection.execute(
                "SELECT record_key::int, (attributes -> 'v')::text FROM normalized_data WHERE source = 'good'"
            ).fetchall()
        )
        nul = [n for n in range(len(valid)) if n not in stored]
        keys = connection.execute("SELECT record_key FROM normalized_data WHERE source = 'bad' ORDER BY 1").fetchall()
        rejected = connection.execute("SELECT count(*) FROM rejected_record WHERE source = 'bad'").fetchone()
    equal = [n for n, text in enumerate(valid) if n in stored and exact(stored[n]) == exact(text.decode())]
    print(f"json-test-suite: {len(equal)} of {len(valid)} valid equal, {len(nul)} with NUL quarantined")
    print(f"json-test-suite: {results['bad'].counts.rejected} of {len(invalid)} invalid quarantined")
    assert sorted([*equal, *nul]) == list(range(len(valid)))
    assert all(b"\\u0000" in valid[n] for n in nul)
    assert len(nul) == 2
    assert keys == [("first",), ("last",)]
    assert rejected == (len(invalid),)


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)
