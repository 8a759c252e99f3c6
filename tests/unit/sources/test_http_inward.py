"""An answer from outside does not lead to this machine, however its address is written."""

import httpx2
import pytest

from kasparro.errors import Broken
from kasparro.sources.http import HttpClient
from kasparro.sources.http_inward import check_inward, is_inward
from kasparro.sources.http_url import origin
from kasparro.sources.tools import Request

OUTSIDE = origin("https://api.example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://LOCALHOST.:8000/",
        "http://db.localhost/",
        "http://127.0.0.1:8000/data",
        "http://127.8.9.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://100.100.100.200/latest/meta-data/",
    ],
)
def test_what_points_inward_is_refused(url: str) -> None:
    with pytest.raises(Broken, match=r"GET it is not asked: an answer of api\.example\.com leads to"):
        check_inward(url, OUTSIDE, "GET it")


@pytest.mark.parametrize(
    "host", ["example.com", "10.0.0.7", "192.168.1.1", "localhost.example.com", "2001:db8::1", "a"]
)
def test_what_points_elsewhere_is_not(host: str) -> None:
    assert not is_inward(host)


def test_a_source_that_is_on_this_machine_may_lead_there() -> None:
    check_inward("http://127.0.0.1:9000/", origin("http://localhost:8000/"), "GET it")
    check_inward("http://127.0.0.1:9000/", None, "GET it")
    check_inward("http://169.254.169.254/x", origin("http://169.254.169.254/"), "GET it")


async def asked(url: str, location: str | None = None) -> list[str]:
    """Ask an address of a source at api.example.com; return the hosts that got a request."""
    hosts: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        headers = {"Location": location} if location is not None and len(hosts) == 1 else {}
        return httpx2.Response(302 if headers else 200, headers=headers, content=b"[]")

    client = HttpClient(source="s", home="https://api.example.com/", transport=httpx2.MockTransport(answer))
    async with client:
        with pytest.raises(Broken, match="leads to 169"):
            await client.fetch(Request(url=url))
    return hosts


async def test_neither_a_redirect_nor_a_next_page_gets_there() -> None:
    metadata = "http://169.254.169.254/latest/meta-data/"
    assert await asked("https://api.example.com/v1", location=metadata) == ["api.example.com"]
    assert await asked(metadata) == [], "as where an answer named the next page"
