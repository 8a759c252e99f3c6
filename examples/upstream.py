"""A small HTTP server with real data, to ingest from without the internet: `python examples/upstream.py`.

    /airports?page=1&per_page=100   1,458 airports as JSON, in pages; `next` is the address of the next one
    /delays.atom                    an Atom feed of 100 flights
    /delays/{name}                  what an entry of the feed links to

Every answer has an ETag, and a request that names it is answered with 304. The server listens on loopback only. Its
first line of output is its address. It ends when its standard input is closed, so it dies with whoever started it.
"""

import argparse
import hashlib
import json
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

DATA = Path(__file__).resolve().parent / "data"
ATOM = "{http://www.w3.org/2005/Atom}"
PORT = 8010
MOST = 100
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is served."""

    airports: Sequence[dict[str, Any]]
    feed: bytes
    entries: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a request is answered with."""

    body: bytes
    kind: str = JSON
    status: HTTPStatus = HTTPStatus.OK


def load(folder: Path = DATA) -> Content:
    """Read the data."""
    feed = (folder / "delays.atom").read_bytes()
    found = ET.fromstring(feed).iter(f"{ATOM}entry")  # noqa: S314 - our own file
    entries = {name(one): {tag(child): child.text or "" for child in one if child.text} for one in found}
    return Content(airports=json.loads((folder / "airports.json").read_bytes()), feed=feed, entries=entries)


def name(entry: ET.Element) -> str:
    """Return the last part of the link of an entry."""
    link = entry.find(f"{ATOM}link")
    return "" if link is None else link.get("href", "").rpartition("/")[2]


def tag(element: ET.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.removeprefix(ATOM)


def reply(content: Content, target: str) -> Reply:
    """Answer the request for a target such as `/airports?page=2`."""
    parts = urlsplit(target)
    match parts.path.strip("/").split("/"):
        case ["airports"]:
            return airports(content, parse_qs(parts.query))
        case ["delays.atom"]:
            return Reply(body=content.feed, kind="application/atom+xml; charset=utf-8")
        case ["delays", key] if key in content.entries:
            return Reply(body=encoded(content.entries[key]))
        case [""]:
            return Reply(body=encoded({"airports": "/airports", "feed": "/delays.atom"}))
        case _:
            return Reply(body=encoded({"error": "there is nothing here"}), status=HTTPStatus.NOT_FOUND)


def airports(content: Content, query: dict[str, list[str]]) -> Reply:
    """Return one page of airports."""
    asked = [query.get(key, [usual])[0] for key, usual in (("page", "1"), ("per_page", str(MOST)))]
    if any(re.fullmatch("[1-9][0-9]{0,5}", text) is None for text in asked):
        problem = {"error": "page and per_page are whole numbers from 1"}
        return Reply(body=encoded(problem), status=HTTPStatus.BAD_REQUEST)
    page, size = int(asked[0]), min(int(asked[1]), MOST)
    total = len(content.airports)
    following = f"/airports?page={page + 1}&per_page={size}" if page * size < total else None
    items = content.airports[(page - 1) * size : page * size]
    return Reply(body=encoded({"items": items, "page": page, "total": total, "next": following}))


def encoded(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def etag(body: bytes) -> str:
    """Return the weak validator of a body."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'


class Upstream(ThreadingHTTPServer):
    """The server. Port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, port: int, content: Content) -> None:
        super().__init__(("127.0.0.1", port), Answering)
        self.content = content

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    """One connection."""

    server: Upstream
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet

    def do_GET(self) -> None:
        """Answer a GET."""
        answer = reply(self.server.content, self.path)
        validator = etag(answer.body)
        known = re.findall(r'(?:W/)?"[^"]*"', self.headers.get("If-None-Match", ""))
        if answer.status == HTTPStatus.OK and validator in known:
            answer = Reply(body=b"", kind=answer.kind, status=HTTPStatus.NOT_MODIFIED)
        self.send_response(answer.status)
        if answer.status in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}:
            self.send_header("ETag", validator)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
        """Say nothing: the first line of output is for the address."""


def serve(port: int) -> None:
    """Serve until standard input is closed."""
    with Upstream(port, load()) as server:
        print(server.url, flush=True)
        threading.Thread(target=stop_with_input, args=(server,), daemon=True).start()
        server.serve_forever(poll_interval=0.1)


def stop_with_input(server: Upstream) -> None:
    """Stop the server when nobody holds the other end of standard input any more."""
    while sys.stdin.buffer.read(1024):
        pass
    server.shutdown()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="Serves airports as a JSON API and delayed flights as a feed.")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on; 0 takes a free one (usual: {PORT})")
    port: int = parser.parse_args().port
    try:
        serve(port)
    except OSError as error:
        sys.exit(f"port {port} cannot be used ({error.strerror}); choose another one with --port, or 0 for a free one")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
