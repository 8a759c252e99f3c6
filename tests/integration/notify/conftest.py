"""Servers that take what channels send: a web server that answers as it is told, and a real mail server."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from kasparro.model.facts import RunFacts
from kasparro.model.finding import Finding
from kasparro.model.profile import Profile
from kasparro.store.database import Database
from kasparro.store.runs import NewRun, Runs
from kasparro.store.watch import Seen, Watch

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

Answer = Callable[[BaseHTTPRequestHandler], None]
Ask = Callable[..., list[tuple[Any, ...]]]


def reply(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@dataclass(slots=True)
class Hook:
    """A web server: what it was sent, and what it answers, the last answer again and again."""

    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=lambda: [reply(200)])
    came: threading.Event = field(default_factory=threading.Event)
    free: threading.Event = field(default_factory=threading.Event)

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("Content-Length", 0))
        self.bodies.append(json.loads(handler.rfile.read(size)))
        self.headers.append(dict(handler.headers.items()))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.came.set()
        with suppress(BrokenPipeError, ConnectionResetError):
            answer(handler)

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer nothing until the test lets it go."""
        self.free.wait(60)
        handler.close_connection = True

    @property
    def kinds(self) -> list[list[str]]:
        """What each message tells, in a word for each thing."""
        return [[item["kind"] for item in body["items"]] for body in self.bodies]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook/c3VjaCBhIHNlY3JldCB0b2tlbg"
    yield made
    made.free.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload,unused-ignore]
            return [] if cursor.description is None else cursor.fetchall()

    return query


@dataclass(frozen=True, slots=True)
class World:
    """Runs that end as the test says, recorded as real ones are."""

    database: Database

    async def run(
        self, source: str, status: Any = "success", *findings: Finding, code: str = "unreachable", trigger: str = "run"
    ) -> int:
        new = NewRun(source=source, kind="csv", dataset="normalized_data", origin="", config_hash="x", code_version="0")
        lane = {"trigger": trigger, "lane": "" if trigger == "run" else trigger}
        async with Runs(self.database).begin(NewRun(**{**_plain(new), **lane})) as begun:
            if findings:
                await self._judged(begun.run_id, findings)
            error = None if status in {"success", "stopped"} else (code, f"The server of {source} did not answer.")
            await Runs(self.database).finish(begun.run_id, status, error)
        return begun.run_id

    async def _judged(self, run_id: int, findings: tuple[Finding, ...]) -> None:
        watch = Watch(self.database)
        seen: Seen = await watch.seen(run_id)
        facts = RunFacts(started_at=NOON, seconds=1, records=1)
        await watch.judged(run_id, seen, facts, findings, None)


def _plain(new: NewRun) -> dict[str, Any]:
    return {name: getattr(new, name) for name in NewRun.__dataclass_fields__}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def low(subject: str = "run", severity: Any = "warning", kind: str = "row_count_low") -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        subject=subject,
        message="The run read 3 records; from 12 earlier runs 90 to 110 were to be expected.",
        expected={"low": 90, "high": 110},
        observed=3,
    )


def later(**length: float) -> datetime:
    return NOON + timedelta(**length)


__all__ = ["NOON", "Hook", "Profile", "World", "later", "low", "reply"]
