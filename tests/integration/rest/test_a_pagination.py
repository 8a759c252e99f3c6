"""Section A of the behaviours of REST APIs: pagination."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kasparro.errors import Broken, Misconfigured, NotFound
from kasparro.sources.api import Api

if TYPE_CHECKING:
    from tests.integration.rest.conftest import Call, Loopback, Reader, Reply


def numbered(start: int, stop: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(start, stop)]


def paged(server: "Loopback", *, records: int, size: int, first: int = 1, **more: Any) -> str:
    """Serve records by `page`; `more` are keys beside the list."""

    def answer(call: "Call") -> "Reply":
        number = int(call.query.get("page", [str(first)])[0]) - first
        return server.json({"data": numbered(number * size, min(records, (number + 1) * size)), **more})

    return server.on("/items", answer)


@pytest.mark.parametrize(
    "header",
    [
        '<{url}?page=9>; rel="last", <{url}?page=2>; rel="next"',
        "<{url}?page=2>;rel=next",
        '<{url}?page=1>; rel="first prev",<{url}?page=2>; title="a, b"; rel="next foo"',
        '<{url}?page=2>; rel="NEXT"; type="application/json"',
    ],
)
@pytest.mark.parametrize("pagination", ["auto", "header_link"])
async def test_r01_link_header(server: "Loopback", reader: "Reader", header: str, pagination: str) -> None:
    url = server.url + "/items"
    last = f'<{url}?page=1>; rel="first", <{url}?page=9>; rel="last"'
    server.replies(
        "/items",
        server.json(numbered(0, 2), link=header.format(url=url)),
        server.json(numbered(2, 3), link=last),
    )
    outcome = await reader.good({"url": url, "pagination": pagination})
    assert outcome.ids == [0, 1, 2]
    assert [call.query for call in server.calls] == [{}, {"page": ["2"]}]


async def test_r03_next_on_another_path(server: "Loopback", reader: "Reader") -> None:
    server.replies("/elsewhere", server.json({"data": numbered(1, 2)}))
    url = server.replies("/items", server.json({"data": numbered(0, 1), "next": server.url + "/elsewhere"}))
    assert (await reader.good({"url": url})).ids == [0, 1]


@pytest.mark.parametrize("target", ["/a/items?page=2", "?page=2", "items?page=2", "//{host}/a/items?page=2"])
async def test_r04_relative_next(server: "Loopback", reader: "Reader", target: str) -> None:
    next_url = target.format(host=server.url.removeprefix("http://"))
    url = server.replies(
        "/a/items", server.json({"data": numbered(0, 1), "next": next_url}), server.json({"data": numbered(1, 2)})
    )
    assert (await reader.good({"url": url})).ids == [0, 1]
    assert [call.path for call in server.calls] == ["/a/items", "/a/items"]


async def test_r04_resolved_against_the_final_address(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/old", server.reply(301, location="/new/items"))
    server.replies(
        "/new/items", server.json({"data": numbered(0, 1), "next": "?page=2"}), server.json({"data": numbered(1, 2)})
    )
    assert (await reader.good({"url": url})).ids == [0, 1]
    assert server.calls[-1].path == "/new/items"


async def test_r05_params_are_sent_once(server: "Loopback", reader: "Reader") -> None:
    url = server.url + "/items?sort=id"
    server.replies(
        "/items",
        server.json({"data": numbered(0, 1), "next": server.url + "/items?sort=name&tag=a&tag=b&page=2"}),
        server.json({"data": numbered(1, 2)}),
    )
    await reader.good({"url": url, "params": {"sort": "name", "tag": ["a", "b"]}})
    assert server.calls[0].query == {"sort": ["name"], "tag": ["a", "b"]}
    assert server.calls[1].query == {"sort": ["name"], "tag": ["a", "b"], "page": ["2"]}


@pytest.mark.parametrize("pagination", ["auto", {"type": "next_url", "next": '"@odata.nextLink"'}])
async def test_r09_odata_next_link(server: "Loopback", reader: "Reader", pagination: Any) -> None:
    url = server.replies(
        "/items",
        server.json({"@odata.nextLink": server.url + "/items?$skip=1", "value": numbered(0, 1)}),
        server.json({"value": numbered(1, 2)}),
    )
    assert (await reader.good({"url": url, "pagination": pagination})).ids == [0, 1]
    assert server.calls[1].query == {"$skip": ["1"]}


@pytest.mark.parametrize(
    ("path", "envelope"),
    [
        ("_links.next.href", {"_links": {"self": {"href": "/x"}, "next": {"href": "/items?page=2"}}}),
        ("links.nextPage", {"links": {"nextPage": "/items?page=2"}}),
        (
            "link[relation=next].url",
            {"link": [{"relation": "self", "url": "/x"}, {"relation": "next", "url": "/items?page=2"}]},
        ),
    ],
)
async def test_r10_nested_next(server: "Loopback", reader: "Reader", path: str, envelope: dict[str, Any]) -> None:
    url = server.replies("/items", server.json({"rows": numbered(0, 1), **envelope}), server.json({"rows": []}))
    source = {"url": url, "records": "rows", "pagination": {"type": "next_url", "next": path}}
    assert (await reader.good(source)).ids == [0]
    assert len(server.calls) == 2
    if "[" not in path:
        server.replies("/items", server.json({"rows": numbered(0, 1), **envelope}), server.json({"rows": []}))
        await reader.good({"url": url, "records": "rows"})
        assert len(server.calls) == 4


@pytest.mark.parametrize("end", [{"next": None}, {"next": ""}, {}])
@pytest.mark.parametrize("pagination", ["auto", {"type": "next_url", "next": "next"}])
async def test_r11_no_next_ends(server: "Loopback", reader: "Reader", end: dict[str, Any], pagination: Any) -> None:
    url = server.replies(
        "/items",
        server.json({"data": numbered(0, 1), "next": "/items?page=2"}),
        server.json({"data": numbered(1, 2), **end}),
    )
    assert (await reader.good({"url": url, "pagination": pagination})).ids == [0, 1]
    assert len(server.calls) == 2


async def test_r13_the_same_cursor_twice(server: "Loopback", reader: "Reader") -> None:
    url = server.replies(
        "/items",
        server.json({"data": numbered(0, 1), "c": "A"}),
        server.json({"data": numbered(1, 2), "c": "B"}),
        server.json({"data": numbered(2, 3), "c": "A"}),
    )
    source = {"url": url, "pagination": {"type": "cursor", "cursor": "c"}, "cursor_field": "id"}
    outcome = await reader.read(source)
    assert outcome.ids == [0, 1, 2]
    assert isinstance(outcome.error, Broken)
    assert "circle" in outcome.error.message
    assert "cursor=A" in outcome.error.message
    assert "mark" not in outcome.bookmark
    assert "pass" not in outcome.bookmark


async def test_r13_a_circle_over_a_restart(server: "Loopback", reader: "Reader") -> None:
    replies = [server.json({"data": numbered(at, at + 1), "c": "AB"[at % 2]}) for at in range(20)]
    url = server.replies("/items", *replies)
    source = {"url": url, "pagination": {"type": "cursor", "cursor": "c"}, "max_pages": 2}
    first = await reader.read(source)
    second = await reader.read(source, first.bookmark)
    assert second.error is not None
    assert "circle" in second.error.message
    assert len(second.pages) == 1


async def test_r13_a_parameter_that_the_server_does_not_know(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json(numbered(0, 3)))
    outcome = await reader.read({"url": url, "pagination": "page_number"})
    assert isinstance(outcome.error, Broken)
    assert "same records" in outcome.error.message
    assert len(server.calls) == 2


@pytest.mark.parametrize("where", [{"records": "users"}, {}])
async def test_r16_last_page_is_null(server: "Loopback", reader: "Reader", where: dict[str, str]) -> None:
    url = server.replies(
        "/items", server.json({"users": numbered(0, 2), "next": "?p=2"}), server.json({"users": None, "next": None})
    )
    outcome = await reader.good({"url": url, **where})
    assert outcome.ids == [0, 1]
    assert len(outcome.pages[1].records) == 0


@pytest.mark.parametrize("kind", ["page_number", "offset"])
async def test_r17_total_divisible_by_the_page_size(server: "Loopback", reader: "Reader", kind: str) -> None:
    def answer(call: "Call") -> "Reply":
        start = int(call.query["offset"][0]) if "offset" in call.query else (int(call.query["page"][0]) - 1) * 10
        return server.json(numbered(start, min(start + 10, 20)) if start < 20 else [])

    url = server.on("/items", answer)
    assert (await reader.good({"url": url, "pagination": {"type": kind, "size": 10}})).ids == list(range(20))
    assert len(server.calls) == 3


async def test_r17_with_a_total_no_request_is_lost(server: "Loopback", reader: "Reader") -> None:
    url = paged(server, records=20, size=10, total=20)
    outcome = await reader.good({"url": url, "pagination": {"type": "page_number", "total": "total"}})
    assert outcome.ids == list(range(20))
    assert len(server.calls) == 2
    assert [page.done for page in outcome.pages] == [0.5, 1.0]


async def test_r19_empty_page_in_the_middle(server: "Loopback", reader: "Reader") -> None:
    url = server.replies(
        "/items",
        server.json({"data": numbered(0, 1), "next_cursor": "a"}),
        server.json({"data": [], "next_cursor": "b"}),
        server.json({"data": numbered(1, 2), "next_cursor": None}),
    )
    assert (await reader.good({"url": url})).ids == [0, 1]
    assert [call.query for call in server.calls] == [{}, {"cursor": ["a"]}, {"cursor": ["b"]}]


@pytest.mark.parametrize("kind", ["page_number", "offset"])
async def test_r21_the_server_clamps_the_page_size(server: "Loopback", reader: "Reader", kind: str) -> None:
    def answer(call: "Call") -> "Reply":
        start = int(call.query["offset"][0]) if "offset" in call.query else (int(call.query["page"][0]) - 1) * 100
        return server.json(numbered(start, min(start + 100, 250)) if start < 250 else [])

    url = server.on("/items", answer)
    outcome = await reader.good({"url": url, "pagination": {"type": kind, "size": 100_000}})
    assert outcome.ids == list(range(250))
    assert server.calls[0].query["limit" if kind == "offset" else "per_page"] == ["100000"]


async def test_r22_total_as_text(server: "Loopback", reader: "Reader") -> None:
    url = paged(server, records=25, size=10, total="25")
    good = {"url": url, "pagination": {"type": "page_number", "total": "total"}}
    assert (await reader.good(good)).ids == list(range(25))
    url = paged(server, records=25, size=10, meta={"total": "abc"})
    error = await reader.bad({"url": url, "pagination": {"type": "page_number", "total": "meta.total"}})
    assert isinstance(error, Broken)
    assert "`meta.total`" in error.message
    assert "'abc'" in error.message
    assert "/items" in error.message


@pytest.mark.parametrize("start", [0, 1])
async def test_r24_first_page_zero_or_one(server: "Loopback", reader: "Reader", start: int) -> None:
    url = paged(server, records=5, size=2, first=start)
    outcome = await reader.good({"url": url, "pagination": {"type": "page_number", "start": start}})
    assert outcome.ids == [0, 1, 2, 3, 4]
    assert [call.query["page"] for call in server.calls] == [[str(start + at)] for at in range(4)]


@pytest.mark.parametrize("start", [0, 1])
async def test_r24_auto_sees_where_pages_begin(server: "Loopback", reader: "Reader", start: int) -> None:
    def answer(call: "Call") -> "Reply":
        page = int(call.query.get("page", [str(start)])[0])
        rows = numbered((page - start) * 2, (page - start) * 2 + 2)
        return server.json({"items": rows, "meta": {"page": page, "total_pages": 3}})

    assert (await reader.good({"url": server.on("/items", answer)})).ids == [0, 1, 2, 3, 4, 5]
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("pagination", "bodies"),
    [
        (
            {"type": "offset", "in": "body", "offset_param": "page.from", "size_param": "page.size", "size": 2},
            [{"q": "x", "page": {"size": 2, "from": 0}}, {"q": "x", "page": {"size": 2, "from": 2}}],
        ),
        (
            {"type": "cursor", "in": "body", "cursor": "next", "param": "paging.after"},
            [{"q": "x"}, {"q": "x", "paging": {"after": "tok"}}],
        ),
    ],
)
async def test_r25_paging_in_the_body(
    server: "Loopback", reader: "Reader", pagination: Any, bodies: Sequence[Any]
) -> None:
    url = server.replies(
        "/search", server.json({"hits": numbered(0, 2), "next": "tok"}), server.json({"hits": [], "next": None})
    )
    source = {"url": url, "method": "POST", "json": {"q": "x"}, "records": "hits", "pagination": pagination}
    outcome = await reader.good(source)
    assert outcome.ids == [0, 1]
    assert [call.json() for call in server.calls] == bodies
    assert {call.method for call in server.calls} == {"POST"}


@pytest.mark.parametrize(
    ("pagination", "first"),
    [
        ({"type": "offset", "size": None}, {"offset": ["0"]}),
        ({"type": "offset", "size": None, "send_first": False}, {}),
        ({"type": "cursor", "cursor": "c"}, {}),
        ({"type": "cursor", "cursor": "c", "first": "*"}, {"cursor": ["*"]}),
    ],
)
async def test_r26_first_request(server: "Loopback", reader: "Reader", pagination: Any, first: Any) -> None:
    url = server.replies("/items", server.json({"data": numbered(0, 1)}), server.json({"data": []}))
    await reader.good({"url": url, "pagination": pagination})
    assert server.calls[0].query == first


async def test_r28_a_row_inserted_at_the_head_doubles_one(server: "Loopback", reader: "Reader") -> None:
    url = server.replies(
        "/items",
        server.json([{"id": 2}, {"id": 1}]),
        server.json([{"id": 1}, {"id": 0}]),
        server.json([]),
    )
    outcome = await reader.good({"url": url, "pagination": {"type": "offset", "size": 2}})
    assert outcome.ids == [2, 1, 1, 0]  # the key makes them one


async def test_r30_continuation_of_several_keys(server: "Loopback", reader: "Reader") -> None:
    more = {"rccontinue": "2024|7", "continue": "-||"}
    url = server.replies(
        "/api",
        server.json({"continue": more, "query": {"changes": numbered(0, 1)}}),
        server.json({"query": {"changes": numbered(1, 2)}}),
    )
    source = {
        "url": url,
        "params": {"action": "query"},
        "records": "query.changes",
        "pagination": {"type": "cursor", "cursor": "continue"},
    }
    assert (await reader.good(source)).ids == [0, 1]
    assert server.calls[1].query == {"action": ["query"], "rccontinue": ["2024|7"], "continue": ["-||"]}


@pytest.mark.parametrize(
    ("header", "pagination", "param"),
    [
        ("X-Next-Page", "auto", "page"),
        ("Next-Page", "auto", "page"),
        ("X-Next-Page", {"type": "cursor", "cursor_header": "X-Next-Page", "param": "p"}, "p"),
        ("cursor", {"type": "cursor", "cursor_header": "Cursor"}, "cursor"),
    ],
)
async def test_r31_cursor_in_a_header(
    server: "Loopback", reader: "Reader", header: str, pagination: Any, param: str
) -> None:
    def named(value: str) -> Any:
        return {header: value}

    url = server.replies("/items", server.json(numbered(0, 1), **named("2")), server.json(numbered(1, 2), **named("")))
    assert (await reader.good({"url": url, "pagination": pagination})).ids == [0, 1]
    assert [call.query for call in server.calls] == [{}, {param: ["2"]}]


async def test_r34_cap_on_pages(server: "Loopback", reader: "Reader") -> None:
    url = paged(server, records=10, size=2)
    source = {"url": url, "pagination": "page_number", "max_pages": 2, "cursor_field": "id"}
    first = await reader.read(source)
    assert first.ids == [0, 1, 2, 3]
    assert isinstance(first.error, Broken)
    assert "max_pages" in first.error.message
    assert "incomplete" in first.error.message
    assert "mark" not in first.bookmark
    second = await reader.read({**source, "max_pages": 100}, first.bookmark)
    assert second.error is None
    assert second.ids == [4, 5, 6, 7, 8, 9]
    assert second.bookmark["mark"] == 9


@pytest.mark.parametrize(
    "pagination",
    [
        {"type": "offset", "stop_on_empty": False},
        {"type": "page_number", "stop_on_empty": False},
        {"type": "cursor"},
        {"type": "cursor", "cursor": "a", "cursor_header": "b"},
        {"type": "next_url"},
    ],
)
def test_r36_without_a_stop_it_is_refused(pagination: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Api).validate_python({"url": "http://x", "pagination": pagination})


@pytest.mark.parametrize("token", [0, ""])
async def test_a_token_may_be_zero_or_empty(server: "Loopback", reader: "Reader", token: object) -> None:
    url = server.replies(
        "/items", server.json({"data": numbered(0, 1), "c": token}), server.json({"data": numbered(1, 2), "c": None})
    )
    source = {"url": url, "records": "data", "pagination": {"type": "cursor", "cursor": "c"}}
    assert (await reader.good(source)).ids == [0, 1]
    assert server.calls[1].query == {"cursor": [str(token)]}


async def test_tokens_that_mean_the_end(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json({"data": numbered(0, 1), "c": ""}))
    pagination = {"type": "cursor", "cursor": "c", "end_values": [""]}
    assert (await reader.good({"url": url, "pagination": pagination})).ids == [0]
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"next_cursor": "n"}, {"cursor": ["n"]}),
        ({"meta": {"next_cursor": "n"}}, {"cursor": ["n"]}),
        ({"nextPageToken": "n"}, {"pageToken": ["n"]}),
        ({"paging": {"next": {"after": "7"}}}, {"after": ["7"]}),
        ({"has_more": True, "next_cursor": "n"}, {"cursor": ["n"]}),
        ({"next_page": 2}, {"page": ["2"]}),
        ({"offset": 0, "limit": 1, "total": 2}, {"offset": ["1"]}),
        ({"startAt": 0, "maxResults": 1, "total": 2}, {"startAt": ["1"]}),
        ({"page": {"number": 0, "totalPages": 2, "size": 1}}, {"page": ["1"]}),
        ({"pagination": {"page": 1, "has_more": True}}, {"page": ["2"]}),
        ({"_links": {"next": {"href": "?x=1"}}}, {"x": ["1"]}),
        ({"pagination": {"next_url": "?x=1"}}, {"x": ["1"]}),
        ({"info": {"next": "items?x=1"}}, {"x": ["1"]}),
    ],
)
async def test_auto_recognises(server: "Loopback", reader: "Reader", first: Any, second: Any) -> None:
    last = {"page": {"number": 1, "totalPages": 2}, "offset": 1, "startAt": 1, "total": 2, "has_more": False}
    url = server.replies(
        "/items", server.json({"data": numbered(0, 1), **first}), server.json({"data": numbered(1, 2), **last})
    )
    assert (await reader.good({"url": url})).ids == [0, 1]
    assert [call.query for call in server.calls] == [{}, second]


async def test_auto_does_not_leave_out_in_silence(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json({"data": numbered(0, 1), "has_more": True}))
    error = await reader.bad({"url": url})
    assert isinstance(error, Misconfigured)
    assert "`has_more`" in error.message


async def test_a_single_object_is_not_asked_for_a_next_page(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/train", server.json({"id": 1, "next": "/train?stop=2", "page": 1, "total_pages": 4}))
    assert (await reader.good({"url": url})).ids == [1]
    assert len(server.calls) == 1


async def test_a_page_beyond_the_last_may_be_404(server: "Loopback", reader: "Reader") -> None:
    replies = (server.json({"data": numbered(0, 1)}), server.json({"detail": "Invalid page."}, status=404))
    url = server.replies("/items", *replies)
    assert isinstance(await reader.bad({"url": url, "pagination": "page_number"}), NotFound)
    url = server.replies("/items", *replies)
    source = {"url": url, "pagination": "page_number", "ignore_status": [404]}
    assert (await reader.good(source)).ids == [0]
