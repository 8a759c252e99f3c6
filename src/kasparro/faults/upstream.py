"""A loopback server with a JSON API and a feed that fails by the dice: 429, 500, a body cut short, a slow answer."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

RECORDS, SIZE, ENTRIES = 1500, 100, 120
_SLOW = 0.05


class Upstream:
    """What is served, and how badly.

    Attributes:
        share: Share of the answers that fail; 0 while the undisturbed runs take place.
        failed: How many failed so far.
    """

    def __init__(self, seed: int) -> None:
        self.share = 0.0
        self.failed = 0
        self._dice = random.Random(seed)  # noqa: S311 - a plan, not a secret
        self._lock = threading.Lock()

    def throw(self) -> str | None:
        """Return how the next answer fails, or None."""
        with self._lock:
            if self._dice.random() >= self.share:
                return None
            self.failed += 1
            return self._dice.choice(["429", "500", "half", "slow"])

    @staticmethod
    def body(path: str) -> tuple[str, bytes]:
        """Return content type and body of a page of the API, or of the feed."""
        if path.startswith("/feed"):
            items = "".join(
                f"<item><guid>e{n}</guid><title>Entry {n}</title><link>http://127.0.0.1/{n}</link></item>"
                for n in range(ENTRIES)
            )
            text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>{items}</channel></rss>'
            return "application/rss+xml", text.encode()
        page = int(parse_qs(urlsplit(path).query).get("page", ["1"])[0])
        numbers = range((page - 1) * SIZE, min(page * SIZE, RECORDS))
        return "application/json", json.dumps({"items": [_record(n) for n in numbers]}).encode()


def _record(number: int) -> dict[str, Any]:
    """Every 97th has no key; every 50th has the key of the one before it, and counts instead of it."""
    if number % 97 == 0:
        return {"title": f"no key {number}"}
    return {"id": number - (number % 50 == 0), "title": f"t{number}", "value": number / 4}


@contextmanager
def serving(upstream: Upstream) -> Iterator[str]:
    """Serve on loopback and give the address."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            fault = upstream.throw()
            if fault in {"429", "500"}:
                self.send_response(int(fault))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            kind, body = upstream.body(self.path)
            if fault == "slow":
                time.sleep(_SLOW)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == "half" else body)
            if fault == "half":
                self.close_connection = True

        def log_message(self, *_said: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_met: object) -> None:
            """Say nothing of clients that were killed in the middle of an answer."""

    server = Server(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
