"""Section F of the behaviours of REST APIs, as far as it is built: searches by POST."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from tests.integration.rest.conftest import Call, Loopback, Reader, Reply


async def test_r113_post_search_with_a_cursor_in_the_body(server: "Loopback", reader: "Reader") -> None:
    def answer(call: "Call") -> "Reply":
        cursor = call.json().get("cursor")
        return server.json(
            {"results": [{"id": 1 if cursor is None else 2}], "next_cursor": "c" if cursor is None else None}
        )

    source = {"url": server.on("/search", answer), "method": "POST", "json": {"query": "x"}}
    outcome = await reader.good(source)
    assert outcome.ids == [1, 2]
    assert [call.json() for call in server.calls] == [{"query": "x"}, {"query": "x", "cursor": "c"}]
    assert [page.records.first for page in outcome.pages] == [0, 1]  # type: ignore[union-attr]


async def test_r113_form_encoded_body(server: "Loopback", reader: "Reader") -> None:
    def answer(call: "Call") -> "Reply":
        offset = int(parse_qs(call.body.decode())["from"][0])
        return server.json([{"id": offset + at} for at in range(2)] if offset < 4 else [])

    source = {
        "url": server.on("/search", answer),
        "method": "POST",
        "form": {"q": "a b", "exact": True},
        "pagination": {"type": "offset", "in": "body", "offset_param": "from", "size_param": "n", "size": 2},
    }
    outcome = await reader.good(source)
    assert outcome.ids == [0, 1, 2, 3]
    assert server.calls[1].headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(server.calls[1].body.decode()) == {"q": ["a b"], "exact": ["true"], "n": ["2"], "from": ["2"]}
