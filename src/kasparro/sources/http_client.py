"""The HTTP client at work: limits, retries, redirects and credentials. `http.HttpClient` loads it when it is used.

Credentials belong to one origin (scheme, host and port), the `home`, and are sent nowhere else, whether a redirect or
a "next page" address leads away.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx2
from pydantic import SecretStr

from kasparro.errors import Broken, Misconfigured
from kasparro.model.events import Emit, Fetched
from kasparro.model.redact import Redactor
from kasparro.observe.trace_context import current_trace
from kasparro.resilience.breakers import Breakers
from kasparro.resilience.retry import Timing
from kasparro.sources.auth import ApiKey, Basic, Bearer, credentials, remedy, secret_texts
from kasparro.sources.http_body import ENCODINGS, beginning, pieces, saved
from kasparro.sources.http_breaker import GuardedTurns
from kasparro.sources.http_errors import refused, translated
from kasparro.sources.http_inward import check_inward
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.http_redirect import MOST, STATUSES, Hop, followed
from kasparro.sources.http_trying import Trying
from kasparro.sources.http_turns import Turns, Visit, host_of
from kasparro.sources.http_url import Origin, origin, userinfo, with_params
from kasparro.sources.tools import Answer, Request
from kasparro.version import __version__

T = TypeVar("T")

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_LOOPBACK: Mapping[str, httpx2.AsyncBaseTransport | None] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}
"""Hosts that no proxy of the environment stands before."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """How long an attempt may take, by which option, and how large its body may be.

    The defaults differ between an answer held in memory and a file written to disk.
    """

    seconds: float
    size: int
    option: str = "http.total_timeout"


_ANSWER = _Limits(300.0, 128 * 1024**2)
_FILE = _Limits(6 * 3600.0, 64 * 1024**3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an HTTP client is made with; `http.HttpClient` tells of each."""

    source: str
    options: HttpOptions
    auth: Bearer | ApiKey | Basic | None
    headers: Mapping[str, str]
    home: str | None
    redact: Redactor
    emit: Emit
    timing: Timing
    transport: httpx2.AsyncBaseTransport | None
    turns: Turns
    breakers: Breakers | None
    longest_wait: float


class LoadedClient:
    """The client at work. `close` it."""

    def __init__(self, wishes: Wishes) -> None:
        self._source = wishes.source
        self._options = wishes.options
        self._auth = wishes.auth
        self._headers = dict(wishes.headers)
        self._secrets = secret_texts(wishes.auth, self._headers)
        self._redactors = [Redactor(self._secrets), wishes.redact]
        self._emit = wishes.emit
        self._timing = wishes.timing
        guard = _guard(wishes)
        self._turns = wishes.turns if guard is None else guard
        self._trying = Trying(
            source=wishes.source,
            policy=wishes.options.policy(wishes.longest_wait),
            timing=wishes.timing,
            emit=wishes.emit,
            guard=guard,
        )
        self._client = _client(wishes.options, wishes.transport)
        self._home: Origin | None = None
        if wishes.home is not None:
            self._settle(wishes.home)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def fetch(self, request: Request) -> Answer:
        """Return the answer, whole and decompressed."""
        return await self._tried(request, partial(self._answer, request))

    async def download(self, request: Request, target: Path) -> Answer:
        """Write the body to a file in constant memory; no file is left behind by a failure."""
        return await self._tried(request, lambda _left: self._file(request, target))

    async def peek(self, request: Request) -> Answer:
        """Return the answer with no more than the beginning of its body, 8 KB at most."""

        async def start(left: float | None) -> Answer:
            async with self._exchange(request, self._limits(_ANSWER, left)) as (hop, response):
                return _answered(hop, response, await beginning(response, self._place(hop)))

        return await self._tried(request, start)

    async def _answer(self, request: Request, left: float | None) -> Answer:
        limits = self._limits(_ANSWER, left)
        async with self._exchange(request, limits) as (hop, response):
            body = bytearray()
            async for piece in pieces(response, limits.size, self._place(hop)):
                body += piece
            return _answered(hop, response, bytes(body))

    async def _file(self, request: Request, target: Path) -> Answer:
        limits = self._limits(_FILE)
        try:
            async with self._exchange(request, limits) as (hop, response):
                await saved(pieces(response, limits.size, self._place(hop)), target)
                return _answered(hop, response, b"")
        except BaseException:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            raise

    @asynccontextmanager
    async def _exchange(self, request: Request, limits: _Limits) -> AsyncIterator[tuple[Hop, httpx2.Response]]:
        """Send, follow redirects, and yield the final answer, whose status is one that the caller expects."""
        self._settle(request.url)
        url, _ = userinfo(request.url)
        first = Hop(url=with_params(url, request.params), request=request)
        # What must be known of each exchange with a host, limits or a circuit breaker, sees it as a turn: `http_turns`.
        visit = Visit(self._turns, limits.seconds, self._timing.clock)
        with (
            self._timed(first, visit) as received,
            translated(
                self._place(first),
                seconds=limits.seconds,
                limit=limits.option,
                read_seconds=self._options.read_timeout,
            ),
        ):
            async with visit:
                hop, response = await self._followed(first, visit)
                received.append(response)
                try:
                    await self._checked(hop, response)
                    yield hop, response
                finally:
                    await response.aclose()

    @contextmanager
    def _timed(self, hop: Hop, visit: Visit) -> Iterator[list[httpx2.Response]]:
        """Tell how long the block took, without its waits for turns, and what answer was received in it."""
        began, since = self._timing.now().timestamp(), self._timing.clock()
        received: list[httpx2.Response] = []
        try:
            yield received
        finally:
            fetched = Fetched(
                source=self._source,
                host=host_of(hop.url),
                method=hop.request.method.upper(),
                status=received[0].status_code if received else 0,
                bytes_read=received[0].num_bytes_downloaded if received else 0,
                began=began + visit.waited,
                seconds=max(self._timing.clock() - since - visit.waited, 0.0),
            )
            if visit.hops:
                self._emit(fetched)

    async def _followed(self, hop: Hop, visit: Visit) -> tuple[Hop, httpx2.Response]:
        for _ in range(MOST + 1):
            check_inward(hop.url, self._home, self._place(hop))
            await visit.turn(hop.url)
            response = await self._sent(hop)
            visit.answered(response.status_code, response.headers)
            status = response.status_code
            if status not in STATUSES or status in hop.request.expect:
                return hop, response
            await response.aclose()
            location = response.headers.get("location")
            hop = followed(hop, status, location, place=self._place(hop), secrets=self._secrets)
        raise Broken(f"{self._place(hop)} redirects in a circle, or more than {MOST} times")

    async def _sent(self, hop: Hop) -> httpx2.Response:
        headers = httpx2.Headers(_encoded(hop.request.headers))
        url = hop.url
        if origin(url) == self._home:
            secret_headers, secret_params = credentials(self._auth)
            headers.update(_encoded(self._headers))
            headers.update(_encoded(secret_headers))
            headers.update(self._trace())
            url = with_params(url, secret_params)
        form = None if hop.request.form is None else dict(hop.request.form)
        method = hop.request.method.upper()
        built = self._client.build_request(method, url, headers=headers, json=hop.request.json, data=form)
        return await self._client.send(built, stream=True, auth=None, follow_redirects=False)

    def _trace(self) -> dict[str, str]:
        trace = current_trace() if self._options.traceparent else None
        return {} if trace is None else {"traceparent": trace.traceparent}

    async def _checked(self, hop: Hop, response: httpx2.Response) -> None:
        if response.is_success or response.status_code in hop.request.expect:
            return
        place = self._place(hop)
        raise refused(
            response.status_code,
            response.headers,
            await beginning(response, place),
            place=place,
            redact=self._redacted,
            remedy=remedy(self._auth),
            now=self._timing.now(),
        )

    async def _tried(self, request: Request, call: Callable[[float | None], Awaitable[T]]) -> T:
        return await self._trying.tried(self._redacted(f"{request.method.upper()} {request.url}"), call)

    def _settle(self, url: str) -> None:
        """Make the origin the home, if there is none yet, with the user and password that the address may hold."""
        if self._home is not None:
            return
        self._home = origin(url)
        _, pair = userinfo(url)
        if pair is not None and self._auth is None:
            self._auth = Basic(username=pair[0], password=SecretStr(pair[1]))
            self._secrets |= secret_texts(self._auth, {})
            self._redactors.append(Redactor(self._secrets))

    def _limits(self, default: _Limits, left: float | None = None) -> _Limits:
        seconds, size = self._options.total_timeout, self._options.max_bytes
        seconds = default.seconds if seconds is None else seconds
        size = default.size if size is None else size
        if left is None or left > seconds:
            return _Limits(seconds, size)
        return _Limits(left, size, "the rest of http.retry_seconds")

    def _place(self, hop: Hop) -> str:
        return self._redacted(f"{hop.request.method.upper()} {hop.url}")

    def _redacted(self, text: str) -> str:
        for redact in self._redactors:
            text = redact(text)
        return text


def _guard(wishes: Wishes) -> GuardedTurns | None:
    policy = wishes.options.breaker_policy()
    if policy is None or wishes.breakers is None:
        return None
    return GuardedTurns(
        wishes.turns, wishes.breakers, policy, source=wishes.source, emit=wishes.emit, timing=wishes.timing
    )


def _client(options: HttpOptions, transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        headers={"user-agent": f"kasparro/{__version__}", "accept-encoding": ENCODINGS},
        timeout=httpx2.Timeout(options.read_timeout, connect=options.connect_timeout),
        transport=transport,
        mounts=None if transport is not None else dict(_LOOPBACK),
    )


def _encoded(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise Misconfigured(f"the header {name[:40]!r} holds characters that HTTP forbids; check `headers`")
    return {name.encode("ascii"): value.encode() for name, value in headers.items()}


def _answered(hop: Hop, response: httpx2.Response, body: bytes) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url=hop.url, status=response.status_code, headers=headers, body=body)
