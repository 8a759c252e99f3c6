"""CSV behind a URL: a real client against a real server on loopback."""

import asyncio
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kasparro.errors import Broken, KasparroError, NotFound, Unreachable
from kasparro.model.page import CsvRecords, Page
from kasparro.sources.csv import Csv
from kasparro.sources.http import HttpClient, HttpOptions
from kasparro.sources.tools import Tools


@dataclass
class Site:
    """What is served, and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: int = 0
    sent: list[tuple[int, int]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.files.get(self.path.partition("?")[0])
            tag = f'"{hashlib.md5(body or b"").hexdigest()}"'
            status = 404 if body is None else 304 if self.headers["If-None-Match"] == tag else 200
            content = body if body is not None and status == 200 else b""
            self.send_response(status)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) - served.cut])
            served.sent.append((status, len(content)))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


async def read(url: str, scratch: Path, bookmark: Mapping[str, Any] | None = None, **stated: Any) -> list[Page]:
    csv = Csv(path=url, **stated)
    async with HttpClient(source="test", options=HttpOptions(attempts=1)) as http:
        tools = Tools(source="test", http=http, scratch=scratch, folder=scratch, page_bytes=4000)
        (part,) = await csv.slices(tools)
        pages = [page async for page in csv.read(part, json.loads(json.dumps(bookmark or {})), tools)]
    assert not await asyncio.to_thread(lambda: list(scratch.iterdir()))
    return pages


def records(pages: list[Page]) -> list[str]:
    return [page.records.raw(at) for page in pages for at in range(len(page.records))]


LINES = [f"{number},name {number}" for number in range(2000)]
CONTENT = "\n".join(["id,name", *LINES, ""]).encode()


async def test_a_file_is_read_in_pages_and_unchanged_costs_nothing(site: Site, tmp_path: Path) -> None:
    site.files["/a.csv"] = CONTENT
    pages = await read(f"{site.url}/a.csv", tmp_path)
    assert records(pages) == LINES
    assert len(pages) > 5
    assert pages[0].origin == f"{site.url}/a.csv"
    assert await read(f"{site.url}/a.csv", tmp_path, pages[-1].bookmark) == []
    assert site.sent == [(200, len(CONTENT)), (304, 0)]


async def test_an_interrupted_read_goes_on(site: Site, tmp_path: Path) -> None:
    site.files["/a.csv"] = CONTENT
    pages = await read(f"{site.url}/a.csv", tmp_path)
    rest = await read(f"{site.url}/a.csv", tmp_path, pages[2].bookmark)
    assert records(pages[:3]) + records(rest) == LINES
    assert [status for status, _ in site.sent] == [200, 200]


async def test_a_file_that_grew_is_read_on(site: Site, tmp_path: Path) -> None:
    site.files["/a.csv"] = CONTENT
    pages = await read(f"{site.url}/a.csv", tmp_path)
    site.files["/a.csv"] = CONTENT + b"2000,more\n"
    assert records(await read(f"{site.url}/a.csv", tmp_path, pages[-1].bookmark)) == ["2000,more"]


async def test_a_packed_file_and_a_secret_in_the_address(site: Site, tmp_path: Path) -> None:
    site.files["/a.csv.gz"] = gzip.compress(CONTENT)
    pages = await read(f"{site.url}/a.csv.gz?api_key=sesame", tmp_path)
    assert records(pages) == LINES
    assert isinstance(pages[0].records, CsvRecords)
    assert pages[0].records.place(0) == f"{site.url}/a.csv.gz?api_key=****:2"
    assert "sesame" not in repr(pages)


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("/page.html", Broken, "is an HTML or XML page, not CSV"),
        ("/empty.csv", Broken, "is empty"),
        ("/gone.csv", NotFound, "404"),
    ],
)
async def test_what_is_no_csv_is_refused(
    site: Site, tmp_path: Path, path: str, error: type[KasparroError], said: str
) -> None:
    site.files |= {"/page.html": b"<!doctype html><p>Sign in", "/empty.csv": b""}
    with pytest.raises(error) as caught:
        await read(site.url + path, tmp_path)
    assert said in str(caught.value)
    assert path in str(caught.value)


async def test_an_answer_cut_short_is_no_file(site: Site, tmp_path: Path) -> None:
    site.files["/a.csv"] = CONTENT
    site.cut = 10
    with pytest.raises(Unreachable):
        await read(f"{site.url}/a.csv", tmp_path)


async def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        await read("http://127.0.0.1:1/a.csv", tmp_path)
