"""A provider on loopback that writes down every request, and the command line that reads it."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from tests.integration.stories.conftest import kasparro

__all__ = ["kasparro"]

SIZE, RECORDS = 10, 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that is not a page. `cut`: the body ends before its end."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


Mood = Callable[[int, int], Reply | None]
"""What is answered to a request, by its number (from 1) and the page that it asks for; None: the page."""


class Provider:
    """Five pages of an API, each with ten records, served as `mood` says."""

    def __init__(self) -> None:
        self.mood: Mood = lambda _number, _page: None
        self.asked: list[tuple[float, int]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/items"

    @property
    def pages(self) -> list[int]:
        """The pages that were asked for, in order."""
        return [page for _, page in self.asked]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):
                    provider._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        return Answers

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = int(parse_qs(urlsplit(handler.path).query).get("page", ["1"])[0])
        with self._lock:
            self.asked.append((time.monotonic(), page))
            number = len(self.asked)
        reply = self.mood(number, page) or Reply(status=200)
        records = [{"id": one, "title": f"t{one}"} for one in range((page - 1) * SIZE, min(page * SIZE, RECORDS))]
        body = json.dumps({"items": records}).encode() if reply.status == 200 else b'{"message": "not now"}'
        handler.send_response(reply.status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **reply.headers,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2] if reply.cut else body)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def other() -> Iterator[Provider]:
    """A second host."""
    made = Provider()
    yield made
    made.stop()


Declare = Callable[..., None]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    """Declare sources that read providers, by name; `more` are further keys of each."""

    def write(providers: Mapping[str, Provider], **more: Any) -> None:
        paging = {"type": "page_number", "size": SIZE, "size_param": "size"}
        http = {"first_wait": 0.02, "max_wait": 0.1, **more.pop("http", {})}
        sources = {
            name: {
                "type": "api",
                "url": one.url,
                "records": "items",
                "primary_key": "id",
                "pagination": paging,
                "http": http,
                **more,
            }
            for name, one in providers.items()
        }
        (tmp_path / "kasparro.yaml").write_text(json.dumps({"sources": sources}))

    return write


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str, *facts: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), facts)
            return [] if cursor.description is None else cursor.fetchall()

    return query
