"""Section E of the behaviours of REST APIs: conditional requests."""

from typing import TYPE_CHECKING

import pytest

from kasparro.errors import Broken

if TYPE_CHECKING:
    from tests.integration.rest.conftest import Call, Loopback, Reader, Reply

ROWS = [{"id": 1}]


@pytest.mark.parametrize("etag", ['"abc"', 'W/"weak-1"'])
async def test_r103_r104_etag(server: "Loopback", reader: "Reader", etag: str) -> None:
    def answer(call: "Call") -> "Reply":
        return (
            server.reply(304, etag=etag) if call.headers.get("if-none-match") == etag else server.json(ROWS, etag=etag)
        )

    url = server.on("/items", answer)
    first = await reader.good({"url": url})
    assert first.ids == [1]
    second = await reader.good({"url": url}, first.bookmark)
    assert second.pages == []
    assert server.calls[1].headers["if-none-match"] == etag


async def test_r104_last_modified(server: "Loopback", reader: "Reader") -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"

    def answer(call: "Call") -> "Reply":
        known = call.headers.get("if-modified-since") == date
        return server.reply(304) if known else server.json(ROWS, last_modified=date)

    url = server.on("/items", answer)
    first = await reader.good({"url": url})
    assert (await reader.good({"url": url}, first.bookmark)).pages == []


async def test_another_request_is_not_conditional(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json({"data": ROWS}, etag='"a"'))
    first = await reader.good({"url": url})
    for changed in ({"params": {"x": 1}}, {"records": "data"}, {"pagination": "single_page"}, {"lookback": 5}):
        await reader.good({"url": url, **changed}, first.bookmark)
        assert "if-none-match" not in server.calls[-1].headers


async def test_a_pass_of_several_pages_is_not_conditional(server: "Loopback", reader: "Reader") -> None:
    url = server.replies(
        "/items", server.json({"data": ROWS, "next": "?p=2"}, etag='"a"'), server.json({"data": []}, etag='"b"')
    )
    first = await reader.good({"url": url})
    await reader.good({"url": url}, first.bookmark)
    assert all("if-none-match" not in call.headers for call in server.calls)


async def test_304_that_nobody_asked_for(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(304))
    assert isinstance(await reader.bad({"url": url}), Broken)
