"""What rate limits add to a request: `python -m bench.limits [REQUESTS [ROUNDS]]`, with `--write` into the results.

One client fetches from a server in this process, over loopback, one request after the other: without what keeps
limits, with it and no limit, and with a limit that never binds. Rounds take turns, so that other work meets all alike.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.sections import write_section
from kasparro.assembly.limiting import Limiting
from kasparro.model.events import Event
from kasparro.model.rate import RateLimit, read_rates
from kasparro.model.source import Declared
from kasparro.sources.api import Api
from kasparro.sources.http import HttpClient
from kasparro.sources.tools import Request
from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
WAYS = ("without", "no limit", "a limit that never binds")
LOOSE = RateLimit(rates=read_rates("100000/s, 1000000/h"), concurrency=1000)


class Server(asyncio.Protocol):
    """Answers every request with the same few bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer; the client sends one request at a time."""
        del data
        self._transport.write(ANSWER)


def unheard(event: Event) -> None:
    """Take an event."""
    del event


async def seconds_of(way: str, url: str, requests: int, database: Database) -> float:
    """Return the seconds that so many requests take."""
    limiting = Limiting(database, {})
    declared = Declared(name="bench", kind=Api(url=url), rate_limit=LOOSE if way == WAYS[2] else None)
    turns = None if way == WAYS[0] else limiting.turns(declared, unheard)
    try:
        async with HttpClient(source="bench", home=url, turns=turns) as client:
            await client.fetch(Request(url=url))
            since = time.perf_counter()
            for _ in range(requests):
                await client.fetch(Request(url=url))
            return time.perf_counter() - since
    finally:
        await limiting.close()


async def measured(requests: int, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of a request, by way, one for each round."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    with tempfile.TemporaryDirectory() as home, EmbeddedServer(Path(home)) as embedded:
        async with Database(embedded.url, size=2) as database:
            for number in range(rounds):
                for way in WAYS if number % 2 else reversed(WAYS):
                    took = await seconds_of(way, url, requests, database)
                    found[way].append(took / requests * 1e6)
    server.close()
    return found


def main() -> None:
    """Measure, and say it."""
    words = [word for word in sys.argv[1:] if word != "--write"]
    requests, rounds = (int(word) for word in (*words, "2000", "9")[:2]) if len(words) != 1 else (int(words[0]), 9)
    found = asyncio.run(measured(requests, rounds))
    lines = [f"{requests} requests one after the other, {rounds} rounds; microseconds of a request.", ""]
    lines += ["| | median | least |", "|---|---:|---:|"]
    lines += [f"| {way} | {statistics.median(values):.0f} | {min(values):.0f} |" for way, values in found.items()]
    print("\n".join(lines))
    if "--write" in sys.argv:
        write_section("Rate limits", lines)


if __name__ == "__main__":
    main()
