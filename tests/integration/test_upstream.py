"""The example upstream: what it serves, and that it dies with whoever started it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kasparro.errors import NotFound
from kasparro.model.source import Slice
from kasparro.sources.http import HttpClient
from kasparro.sources.rss import Rss
from kasparro.sources.tools import Request, Tools

UPSTREAM = Path(__file__).parents[2] / "examples" / "upstream.py"
COMMAND = [sys.executable, str(UPSTREAM), "--port", "0"]


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """Start the server and yield its address; closing its standard input ends it."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_the_api_has_pages_and_validators() -> None:
    async with upstream() as url, HttpClient(source="airports") as http:
        answer = await http.fetch(Request(url=f"{url}/airports"))
        pages = [json.loads(answer.body)]
        while pages[-1]["next"]:
            answer = await http.fetch(Request(url=f"{url}{pages[-1]['next']}"))
            pages.append(json.loads(answer.body))
        found = [one["faa"] for page in pages for one in page["items"]]
        assert (len(set(found)), len(found), len(pages)) == (1458, 1458, 15)
        assert {page["total"] for page in pages} == {1458}
        again = Request(url=answer.url, headers={"If-None-Match": answer.headers["etag"]}, expect=(304,))
        assert ((await http.fetch(again)).status, answer.status) == (304, 200)
        assert len(json.loads((await http.fetch(Request(url=f"{url}/airports?per_page=7&page=2"))).body)["items"]) == 7
        refused = await http.fetch(Request(url=f"{url}/airports?page=0", expect=(400,)))
        assert "whole numbers" in refused.body.decode()
        with pytest.raises(NotFound):
            await http.fetch(Request(url=f"{url}/nothing"))


async def test_the_feed_is_read_once_and_then_costs_a_304(tmp_path: Path) -> None:
    async with upstream() as url, HttpClient(source="delays") as http:
        tools = Tools(source="delays", http=http, scratch=tmp_path, folder=tmp_path)
        kind, part = Rss(url=f"{url}/delays.atom"), Slice(name="feed")
        [page] = [page async for page in kind.read(part, {}, tools)]
        assert len(page.records) == 100
        assert [page async for page in kind.read(part, page.bookmark, tools)] == []
        link = json.loads(page.content)[0]["link"]
        assert link.startswith(f"{url}/delays/2013-")
        assert json.loads((await http.fetch(Request(url=link))).body)["id"] == json.loads(page.content)[0]["id"]


def test_it_dies_with_its_parent_even_by_force() -> None:
    code = f"import subprocess as s; s.Popen({COMMAND!r}, stdin=s.PIPE).wait()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    port = int(parent.stdout.readline().strip().rpartition(":")[2])
    assert listens(port)
    os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not listens(port)
    parent.communicate(timeout=5)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_in_use_is_named() -> None:
    first = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    port = first.stdout.readline().strip().rpartition(":")[2]
    second = subprocess.run([*COMMAND[:-1], port], stdin=subprocess.PIPE, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"port {port} cannot be used" in second.stderr
    assert first.communicate(timeout=5)[0] == ""
    assert first.returncode == 0
