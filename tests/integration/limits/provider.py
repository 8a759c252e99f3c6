"""A provider with a rate limit, in a process of its own: it enforces the limit, and keeps a log of what arrived when.

`python provider.py '{"limit": 50, ...}'` prints its port. It answers `/NAME?page=N` with a page of records, `/log` with
its log. It reads and answers in one callback of the event loop, so that its log is as true as it can be.
"""

import asyncio
import json
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the provider does.

    Attributes:
        limit: Requests in any `window` seconds, of each key.
        headers: `none`, `x` (X-RateLimit-*, reset in epoch seconds) or `ietf` (RateLimit and RateLimit-Policy).
        pages: Of each source; `records` on each.
        refused, failed, cut: Shares of answers that are 429, 503 or cut short, whatever the limit.
        retry_after: What a refusal asks for.
    """

    limit: int = 50
    window: float = 1.0
    headers: str = "none"
    pages: int = 100
    records: int = 5
    refused: float = 0.0
    failed: float = 0.0
    cut: float = 0.0
    retry_after: str = "1"
    seed: int = 7


@dataclass(kw_only=True)
class State:
    """What has happened: arrivals of each key, and what was answered."""

    arrivals: list[tuple[float, str, int]] = field(default_factory=list)
    counted: dict[str, deque[float]] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, plan: Plan, state: State, dice: random.Random) -> None:
        self._plan, self._state, self._dice = plan, state, dice
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there in full."""
        now = time.monotonic()
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            target = lines[0].split(" ")[1]
            key = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("authori")), "")
            self._answer(target, key, now)

    def _answer(self, target: str, key: str, now: float) -> None:
        if target == "/log":
            self._send(200, {}, json.dumps(self._state.arrivals))
            return
        status, headers = self._judged(key, now)
        self._state.arrivals.append((now, key, status))
        body = self._page(target) if status == 200 else "{}"
        if status == 200 and self._dice.random() < self._plan.cut:
            self._state.arrivals[-1] = (now, key, -1)
            self._send(status, headers, body, cut=True)
        else:
            self._send(status, headers, body)

    def _judged(self, key: str, now: float) -> tuple[int, dict[str, str]]:
        plan, recent = self._plan, self._state.counted.setdefault(key, deque())
        while recent and recent[0] <= now - plan.window:
            recent.popleft()
        allowed = len(recent) < plan.limit
        if allowed:
            recent.append(now)
        left = plan.limit - len(recent)
        status = 200 if allowed else 429
        if allowed and self._dice.random() < plan.refused:
            status = 429
        elif allowed and self._dice.random() < plan.failed:
            status = 503
        headers = self._limits(left)
        if status == 429:
            headers["Retry-After"] = plan.retry_after
        return status, headers

    def _limits(self, left: int) -> dict[str, str]:
        plan = self._plan
        if plan.headers == "x":
            reset = str(int(time.time() + plan.window))
            return {
                "X-RateLimit-Limit": str(plan.limit),
                "X-RateLimit-Remaining": str(left),
                "X-RateLimit-Reset": reset,
            }
        if plan.headers == "ietf":
            return {
                "RateLimit-Policy": f'"key";q={plan.limit};w={plan.window:.0f}',
                "RateLimit": f'"key";r={left};t={plan.window:.0f}',
            }
        return {}

    def _page(self, target: str) -> str:
        parts = urlsplit(target)
        page = int(parse_qs(parts.query).get("page", ["1"])[0])
        first = (page - 1) * self._plan.records
        items = [
            {"id": first + n, "value": first + n} for n in range(self._plan.records if page <= self._plan.pages else 0)
        ]
        return json.dumps({"items": items})

    def _send(self, status: int, headers: dict[str, str], body: str, *, cut: bool = False) -> None:
        lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"Date: {formatdate(usegmt=True)}", *(f"{name}: {value}" for name, value in headers.items())]
        text = "\r\n".join(lines) + "\r\n\r\n" + (body[: len(body) // 2] if cut else body)
        self._transport.write(text.encode())
        if cut:
            self._transport.close()


async def serve(plan: Plan) -> None:
    """Answer until killed."""
    state, dice = State(), random.Random(plan.seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(plan, state, dice), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Plan(**json.loads(sys.argv[1]))))
