"""Recorded answers of CoinGecko and CoinPaprika, served again with their statuses and headers."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from kasparro.errors import Broken, KasparroError, Misconfigured, Unreachable
from kasparro.model.page import JsonRecords, Page
from kasparro.model.source import Slice
from kasparro.resilience.retry import Timing
from kasparro.sources.api import Api
from kasparro.sources.http import HttpClient
from kasparro.sources.tools import Tools

CASES = Path(__file__).parents[4] / "shared" / "cases"
INDEX = CASES / "index" / "coingecko_cassettes.jsonl"
PAPRIKA = CASES / "coinpaprika"

pytestmark = pytest.mark.skipif(not INDEX.exists(), reason="the folder of other projects' cases is not here")

Answers = Mapping[str, tuple[int, Mapping[str, str], bytes]]


@contextmanager
def served(answers: Answers) -> Iterator[str]:
    """Serve answers by path and query on loopback; anything else is 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers.get(self.path, (404, {}, b"not recorded"))
            self.send_response(status)
            host = self.headers["Host"]
            for name, value in headers.items():
                self.send_header(name, value.replace("https://api.coingecko.com", f"http://{host}"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def read(source: Mapping[str, Any], scratch: Path) -> tuple[list[Page], KasparroError | None]:
    async def no_sleep(_seconds: float) -> None:
        return

    api = TypeAdapter(Api).validate_python({"type": "api", **source})
    pages: list[Page] = []
    timing = Timing(sleep=no_sleep)
    async with HttpClient(source="t", options=api.http, home=api.url, timing=timing) as http:
        tools = Tools(source="t", http=http, scratch=scratch, folder=scratch)
        try:
            async for page in api.read(Slice(name="all"), {}, tools):
                pages.append(page)  # noqa: PERF401 - an error must leave the pages before it
        except KasparroError as error:
            return pages, error
    return pages, None


def texts(pages: list[Page]) -> list[bytes]:
    return [text for page in pages if isinstance(page.records, JsonRecords) for text in page.records.texts]


def lists_of_objects(value: Any) -> list[list[Any]]:
    if not isinstance(value, dict):
        return []
    found = [below for below in value.values() if isinstance(below, list) and below and isinstance(below[0], dict)]
    return found + [one for below in value.values() for one in lists_of_objects(below)]


def cassettes() -> list[dict[str, Any]]:
    return [json.loads(line) for line in INDEX.read_text().splitlines()]


def body_of(entry: Mapping[str, Any]) -> bytes:
    file: str = entry["file"]
    return (CASES / "coingecko-cassettes" / "responses" / file).read_bytes()


async def test_every_recorded_answer(tmp_path: Path) -> None:
    entries = cassettes()
    answers = {f"/{at}": (one["status"]["code"], one["headers"], body_of(one)) for at, one in enumerate(entries)}
    counts = {"records": 0, "rejects": 0, "answers": 0, "refused": 0, "ambiguous": 0}
    with served(answers) as url:
        for at, entry in enumerate(entries):
            source = {"url": f"{url}/{at}", "pagination": "single_page", "http": {"attempts": 2}}
            pages, error = await read(source, tmp_path)
            value = json.loads(body_of(entry))
            lists = lists_of_objects(value)
            status = entry["status"]["code"]
            if status != 200:
                assert type(error) is (Unreachable if status >= 500 else Broken), entry["file"]
                assert value["error"] in str(error)
                counts["refused"] += 1
                continue
            if len(lists) > 1:
                assert isinstance(error, Misconfigured), entry["file"]
                counts["ambiguous"] += 1
                pages, error = await read({**source, "records": ""}, tmp_path)
                lists = []
            assert error is None, (entry["file"], error)
            expected = value if isinstance(value, list) else (lists[0] if lists else [value])
            objects = [one for one in expected if isinstance(one, dict)]
            assert [json.loads(text) for text in texts(pages)] == objects, entry["file"]
            assert len(pages[0].rejects) == len(expected) - len(objects)
            counts["answers"] += 1
            counts["records"] += len(objects)
            counts["rejects"] += len(expected) - len(objects)
    print(f"coingecko cassettes: {counts}")
    assert counts["answers"] == 51
    assert counts["refused"] == 16


async def test_recorded_link_headers_are_followed(tmp_path: Path) -> None:
    followed = 0
    for entry in cassettes():
        if "Link" not in entry["headers"] or 'rel="next"' not in entry["headers"]["Link"]:
            continue
        path = entry["uri"].removeprefix("https://api.coingecko.com")
        target = entry["headers"]["Link"].split('; rel="next"')[0].rpartition("<")[2].rstrip(">")
        second = target.removeprefix("https://api.coingecko.com")
        body = body_of(entry)
        last = {"Link": entry["headers"]["Link"].partition(",")[0], "Content-Type": "application/json"}
        answers: Answers = {
            path: (200, entry["headers"], body),
            second: (200, last, body.replace(b"Binance", b"Xinance")),
        }
        with served(answers) as url:
            pages, error = await read({"url": url + path}, tmp_path)
        assert error is None, (entry["file"], error)
        assert len(pages) == 2
        assert pages[0].content == body
        followed += 1
    print(f"coingecko cassettes: {followed} Link headers followed")
    assert followed == 8


async def test_coinpaprika(tmp_path: Path) -> None:
    names = sorted(file.name for file in PAPRIKA.glob("*.json"))
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answers = {f"/{name}": (200, headers, (PAPRIKA / name).read_bytes()) for name in names}
    moved = {"Location": "/v1_tickers.json?b=1&a=2", "Content-Type": "text/html"}
    answers["/tickers/"] = (301, moved, b'<a href="/">Moved Permanently</a>.')
    answers["/v1_tickers.json?b=1&a=2"] = answers["/v1_tickers.json"]
    seen: list[bytes] = []
    with served(answers) as url:
        for name in [*names, "tickers/"]:
            pages, error = await read({"url": f"{url}/{name}"}, tmp_path)
            assert error is None, name
            body = (PAPRIKA / name.replace("tickers/", "v1_tickers.json")).read_bytes()
            value = json.loads(body)
            assert [json.loads(text) for text in texts(pages)] == (value if isinstance(value, list) else [value])
            seen += texts(pages)
            assert all(one in body for one in texts(pages))
    for exact in (b"4949.2425813062,", b"41389.57931641128,"):
        assert any(exact in one for one in seen)
    print(f"coinpaprika: {len(names)} answers")
