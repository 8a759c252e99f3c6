"""A collector of traces on loopback that takes them, refuses them, or never answers; and a server that is watched."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.integration.stories.conftest import kasparro, server

__all__ = ["kasparro", "server"]

Mood = Literal["takes", "refuses", "hangs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One span as the collector got it; times in nanoseconds since 1970."""

    name: str
    trace: str
    span: str
    parent: str
    kind: int
    began: int
    ended: int
    attributes: dict[str, Any]
    error: bool
    message: str
    events: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Collector:
    """What was sent, and how the next request is answered."""

    mood: Mood = "takes"
    spans: list[Seen] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    asked: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    came: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def named(self, name: str) -> list[Seen]:
        return [one for one in self.spans if one.name == name]

    def the(self, name: str) -> Seen:
        (found,) = self.named(name)
        return found

    def below(self, parent: Seen) -> list[Seen]:
        return [one for one in self.spans if one.parent == parent.span and one.trace == parent.trace]

    def wait(self, name: str, count: int = 1) -> None:
        """Until so many spans of a name have come."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.named(name)) >= count, 20), [one.name for one in self.spans]

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.came:
            self.bodies.append(body)
            for resource in request.resource_spans:
                self.resources.append({one.key: value(one.value) for one in resource.resource.attributes})
                self.spans += [seen(span) for scope in resource.scope_spans for span in scope.spans]
            self.came.notify_all()


def value(one: Any) -> Any:
    return getattr(one, one.WhichOneof("value"))


def seen(span: Any) -> Seen:
    return Seen(
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=span.kind,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        attributes={one.key: value(one.value) for one in span.attributes},
        error=span.status.code == 2,
        message=span.status.message,
        events=tuple(one.name for one in span.events),
    )


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, and the environment that names it."""
    made = Collector()

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked += 1
            made.headers.append({name.lower(): text for name, text in self.headers.items()})
            assert self.path == "/v1/traces"
            if made.mood == "hangs":
                made.release.wait(60)
                return
            if made.mood == "takes":
                made.take(body)
            self.send_response(200 if made.mood == "takes" else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    listening.daemon_threads = True
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{listening.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    yield made
    made.release.set()
    listening.shutdown()
    listening.server_close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server that runs: where, and what it wrote to standard error so far."""

    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def serving(folder: Path, database_url: str, **environment: str) -> Iterator[Serving]:
    """`kasparro serve` on a free port, in production."""
    given = {**os.environ, "DATABASE_URL": database_url, "ENVIRONMENT": "production", **environment}
    command = [sys.executable, "-m", "kasparro", "serve", "--port", "0"]
    log = folder / "serve.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, cwd=folder, env=given, stdout=subprocess.PIPE, stderr=errors, text=True) as running,
    ):
        try:
            assert running.stdout is not None
            said = running.stdout.readline()
            found = re.search(r"http://[\w.]+:\d+", said)
            assert found is not None, (said, log.read_text())
            yield Serving(url=found[0].replace("localhost", "127.0.0.1"), log=log)
        finally:
            running.terminate()
            running.wait(30)
