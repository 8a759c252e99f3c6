"""A server on loopback that behaves as it is told, and a reader that never sleeps."""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import TypeAdapter

from kasparro.errors import KasparroError
from kasparro.model.events import Event
from kasparro.model.page import Page
from kasparro.model.redact import Redactor
from kasparro.model.source import Slice
from kasparro.resilience.retry import Timing
from kasparro.sources.api import Api
from kasparro.sources.http import HttpClient
from kasparro.sources.tools import Tools

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

Mode = Literal["whole", "cut", "cut_chunk", "hang", "reset", "endless", "trickle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as the server saw it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server does with a request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    mode: Mode = "whole"


Answering = Callable[[Call], Reply]


class Loopback:
    """An HTTP/1.1 server that answers by path and keeps every call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.url = ""
        self._answering: dict[str, Answering] = {}
        self._server: asyncio.Server | None = None
        self._hung: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        for task in self._hung:
            task.cancel()
        await asyncio.gather(*self._hung, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def on(self, path: str, answering: Answering) -> str:
        """Answer a path by a function; return its address."""
        self._answering[path] = answering
        return self.url + path

    def replies(self, path: str, *replies: Reply) -> str:
        """Answer a path by one reply after the other; the last one is repeated."""
        left = list(replies)
        return self.on(path, lambda _call: left.pop(0) if len(left) > 1 else left[0])

    @staticmethod
    def json(value: Any, status: int = 200, mode: Mode = "whole", **headers: Any) -> Reply:
        """Reply in JSON; `x_next_page` becomes the header `x-next-page`."""
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return Reply(status=status, headers={"content-type": "application/json", **named}, body=text, mode=mode)

    @staticmethod
    def reply(status: int = 200, body: bytes = b"", mode: Mode = "whole", **headers: Any) -> Reply:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return Reply(status=status, headers=named, body=body, mode=mode)

    @staticmethod
    def gzipped(body: bytes, **headers: str) -> Reply:
        return Reply(headers={"content-encoding": "gzip", **headers}, body=gzip.compress(body))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._hung.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._hung.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        pairs = [line.partition(":") for line in head[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        call = Call(method=method, path=parts.path, query=query, headers=headers, body=body)
        self.calls.append(call)
        answering = self._answering.get(call.path)
        reply = Reply(status=404, body=b"no such path") if answering is None else answering(call)
        await _send(reply, writer)
        return reply.mode == "whole"


async def _send(reply: Reply, writer: asyncio.StreamWriter) -> None:
    if reply.mode == "hang":
        await asyncio.sleep(3600)
    if reply.mode == "reset":
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    length = {} if reply.mode in {"endless", "cut_chunk"} else {"content-length": str(len(reply.body))}
    length = {} if reply.status in {204, 304} else length
    chunked = {"transfer-encoding": "chunked"} if reply.mode == "cut_chunk" else {}
    lines = [f"HTTP/1.1 {reply.status} Status"]
    lines += [f"{name}: {value}" for name, value in {**length, **chunked, **reply.headers}.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    match reply.mode:
        case "cut":
            writer.write(reply.body[: len(reply.body) // 2])
        case "cut_chunk":
            writer.write(f"{len(reply.body):x}\r\n".encode() + reply.body[: len(reply.body) // 2])
        case "endless":
            while True:
                writer.write(b" " * 65536)
                await writer.drain()
        case "trickle":
            for byte in reply.body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        case _:
            writer.write(reply.body)
    await writer.drain()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a read came to."""

    pages: Sequence[Page]
    error: KasparroError | None

    @property
    def texts(self) -> list[bytes]:
        return [bytes(text) for page in self.pages for text in page.records.texts]  # type: ignore[union-attr]

    @property
    def rows(self) -> list[Any]:
        return [json.loads(text) for text in self.texts]

    @property
    def ids(self) -> list[Any]:
        return [row["id"] for row in self.rows]

    @property
    def rejects(self) -> list[Any]:
        return [reject for page in self.pages for reject in page.rejects]

    @property
    def bookmark(self) -> Any:
        """The last bookmark, as the database would give it back."""
        return json.loads(json.dumps(dict(self.pages[-1].bookmark)))


class Reader:
    """Reads an API as a run does, and writes down waits and events."""

    def __init__(self, scratch: Path) -> None:
        self.waits: list[float] = []
        self.events: list[Event] = []
        self._scratch = scratch

    async def read(
        self, source: Mapping[str, Any], bookmark: Mapping[str, Any] | None = None, *, secrets: Sequence[str] = ()
    ) -> Outcome:
        api = TypeAdapter(Api).validate_python({"type": "api", **source})
        redact = Redactor(secrets)
        pages: list[Page] = []
        client = HttpClient(
            source="test",
            options=api.http,
            auth=api.auth,
            headers=api.headers,
            home=api.url,
            redact=redact,
            emit=self.events.append,
            timing=self.timing(),
        )
        async with client as http:
            tools = Tools(source="test", http=http, scratch=self._scratch, folder=self._scratch, redact=redact)
            try:
                async for page in api.read(Slice(name="all"), {} if bookmark is None else bookmark, tools):
                    _must_hold(page)
                    pages.append(page)
            except KasparroError as error:
                return Outcome(pages=pages, error=error)
        return Outcome(pages=pages, error=None)

    async def good(self, source: Mapping[str, Any], bookmark: Mapping[str, Any] | None = None) -> Outcome:
        outcome = await self.read(source, bookmark)
        assert outcome.error is None, outcome.error
        return outcome

    async def bad(self, source: Mapping[str, Any], bookmark: Mapping[str, Any] | None = None) -> KasparroError:
        outcome = await self.read(source, bookmark)
        assert outcome.error is not None
        return outcome.error

    def timing(self) -> Timing:
        spent = [0.0]

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)
            spent[0] += seconds
            await asyncio.sleep(0)

        return Timing(sleep=sleep, clock=lambda: spent[0], now=lambda: NOW, dice=lambda: 1.0)


def _must_hold(page: Page) -> None:
    """Hold what the store relies on: the stored content, at the steps, is exactly the records."""
    stored = json.loads(page.content)
    for step in page.records.steps:  # type: ignore[union-attr]
        stored = stored[step]
    stored = stored if isinstance(stored, list) else [stored]
    assert stored == [json.loads(text) for text in page.records.texts]  # type: ignore[union-attr]
    assert json.loads(json.dumps(dict(page.bookmark))) == dict(page.bookmark)


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    made = Loopback()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def other() -> AsyncIterator[Loopback]:
    """A second origin."""
    made = Loopback()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)
