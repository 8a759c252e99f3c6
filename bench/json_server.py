"""Serves the flights as a paged JSON API, as fast as a socket takes them: `python -m bench.json_server PAGES FILE`.

Every page is rendered before the first request; an answer is a slice of memory. It prints its port.
"""

import asyncio
import csv
import json
import re
import sys
from pathlib import Path

PAGE = re.compile(rb"GET [^ ]*[?&]page=(\d+)")


def rendered(file: Path, size: int) -> list[bytes]:
    """Return the answers, head and body, for pages of so many records; numbers are numbers, NA is null."""
    with file.open(newline="") as source:
        rows = list(csv.DictReader(source))
    pages = []
    for start in range(0, len(rows) + size, size):
        records = [{name: _value(cell) for name, cell in row.items()} for row in rows[start : start + size]]
        body = json.dumps({"items": records}, separators=(",", ":")).encode()
        pages.append(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
    return pages


def _value(cell: str) -> str | int | None:
    if cell == "NA":
        return None
    return int(cell) if cell.lstrip("-").isdigit() else cell


class Flights(asyncio.Protocol):
    """Answers each request with the page it names, counted from 1."""

    def __init__(self, pages: list[bytes]) -> None:
        self._pages = pages
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer; a client that waits for each answer sends one request at a time."""
        found = PAGE.match(data)
        number = min(int(found.group(1)), len(self._pages)) if found is not None else 1
        if self._transport is not None:
            self._transport.write(self._pages[number - 1])


async def main() -> None:
    """Serve until killed."""
    pages = rendered(Path(sys.argv[2]), int(sys.argv[1]))
    server = await asyncio.get_running_loop().create_server(lambda: Flights(pages), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
