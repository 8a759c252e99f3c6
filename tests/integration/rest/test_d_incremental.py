"""Section D of the behaviours of REST APIs: incremental reading and its state, as far as no database is needed."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.rest.conftest import Call, Loopback, Reader, Reply


def row(number: int, at: object) -> dict[str, Any]:
    return {"id": number, "at": at}


async def test_r85_second_run_without_change(server: "Loopback", reader: "Reader") -> None:
    rows = [row(1, "2024-01-02T00:00:00Z"), row(2, "2024-01-01T00:00:00Z")]
    url = server.replies("/items", server.json(rows))
    source = {"url": url, "cursor_field": "at"}
    first = await reader.good(source)
    second = await reader.good(source, first.bookmark)
    assert first.bookmark == second.bookmark
    assert second.ids == [1]  # the boundary comes again, as it is


async def test_r86_inclusive_since(server: "Loopback", reader: "Reader") -> None:
    def answer(call: "Call") -> "Reply":
        since = int(call.query.get("since", ["0"])[0])
        return server.json([row(number, number) for number in range(1, 6) if number >= since])

    source = {"url": server.on("/items", answer), "cursor_field": "at", "cursor_param": "since"}
    first = await reader.good(source)
    assert first.bookmark["mark"] == 5
    second = await reader.good(source, first.bookmark)
    assert second.ids == [5]
    assert server.calls[1].query == {"since": ["5"]}
    assert second.bookmark["mark"] == 5


async def test_r87_exclusive_since_with_one_timestamp_over_pages(server: "Loopback", reader: "Reader") -> None:
    rows = [row(number, "2024-01-01T00:00:00Z") for number in range(500)]

    def answer(call: "Call") -> "Reply":
        since = call.query.get("since", [""])[0]
        newer = [one for one in rows if one["at"] > since]
        start = int(call.query["offset"][0])
        return server.json(newer[start : start + 100])

    source = {
        "url": server.on("/items", answer),
        "cursor_field": "at",
        "cursor_param": "since",
        "pagination": "offset",
        "max_pages": 2,
    }
    got: list[int] = []
    bookmark: dict[str, Any] = {}
    for _ in range(3):  # interrupted in the middle of the pass: the mark must not have moved
        outcome = await reader.read(source, bookmark)
        bookmark = outcome.bookmark
        got += outcome.ids
    assert got == list(range(500))
    assert bookmark["mark"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize("odd", [{"id": 9}, row(9, None), row(9, True), row(9, {"x": 1}), row(9, "")])
async def test_r92_rows_without_the_cursor_field(server: "Loopback", reader: "Reader", odd: Any) -> None:
    url = server.replies("/items", server.json([odd, row(1, 3), row(2, 2)]))
    source = {"url": url, "cursor_field": "at"}
    first = await reader.good(source)
    assert first.ids == [9, 1, 2]
    assert first.bookmark["mark"] == 3
    second = await reader.good(source, first.bookmark)
    assert second.ids == [9, 1]
    assert second.bookmark["mark"] == 3


@pytest.mark.parametrize(
    ("values", "lookback", "form", "sent"),
    [
        ([10, 20], 5, None, "15"),
        (["10", "9"], 0, None, "10"),
        (["2024-03-01T00:00:00Z"], 3600, None, "2024-02-29T23:00:00Z"),
        (["2024-03-01T02:00:00+02:00", "2024-02-29T23:59:59Z"], 0, "iso", "2024-03-01T00:00:00Z"),
        (["2024-03-01"], 86400, None, "2024-02-29"),
        (["2024-03-01T00:00:00"], 0, "epoch", "1709251200"),
        (["2024-03-01T00:00:00.5Z"], 0, "epoch_ms", "1709251200500"),
        (["Fri, 01 Mar 2024 00:00:00 GMT"], 0, "%d/%m/%Y", "01/03/2024"),
        (["b", "a"], 7, None, "b"),
    ],
)
async def test_r95_lookback_and_format(  # noqa: PLR0917 - parametrised
    server: "Loopback", reader: "Reader", values: list[Any], lookback: float, form: str | None, sent: str
) -> None:
    url = server.replies("/items", server.json([row(at, value) for at, value in enumerate(values)]))
    source = {"url": url, "cursor_field": "at", "cursor_param": "q", "lookback": lookback, "cursor_format": form}
    first = await reader.good(source)
    await reader.good(source, first.bookmark)
    assert [call.query for call in server.calls] == [{}, {"q": [sent]}]


async def test_r95_lookback_without_a_parameter(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json([row(number, number) for number in range(10)]))
    source = {"url": url, "cursor_field": "at", "lookback": 3}
    first = await reader.good(source)
    second = await reader.good(source, first.bookmark)
    assert second.ids == [6, 7, 8, 9]
    assert second.pages[0].content == b'[{"id": 6, "at": 6},{"id": 7, "at": 7},{"id": 8, "at": 8},{"id": 9, "at": 9}]'


async def test_all_old_pages_are_no_circle(server: "Loopback", reader: "Reader") -> None:
    pages = [server.json([row(at, at)]) for at in range(3)]
    source = {
        "url": server.replies("/items", *pages, server.json([])),
        "cursor_field": "at",
        "pagination": "page_number",
    }
    first = await reader.good(source)
    server.replies("/items", *pages, server.json([]))
    second = await reader.good({**source, "cursor_field": "at"}, first.bookmark)
    assert second.ids == [2]
    assert len(second.pages) == 4


async def test_start_of_the_very_first_run(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json([row(1, "2024-05-01"), row(2, "2023-01-01")]))
    source = {"url": url, "cursor_field": "at", "cursor_start": "2024-01-01"}
    assert (await reader.good(source)).ids == [1]
    await reader.good({**source, "cursor_param": "from"})
    assert server.calls[1].query == {"from": ["2024-01-01"]}


async def test_mark_in_a_json_body(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json([row(1, 7)]))
    source = {
        "url": url,
        "method": "POST",
        "json": {"filter": {"kind": "a"}},
        "cursor_field": "at",
        "cursor_param": "filter.since",
        "cursor_in": "body",
    }
    first = await reader.good(source)
    await reader.good(source, first.bookmark)
    assert [call.json() for call in server.calls] == [
        {"filter": {"kind": "a"}},
        {"filter": {"kind": "a", "since": "7"}},
    ]


async def test_the_mark_does_not_move_before_the_end(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json([row(1, 5)]), server.json([row(2, 1)]), server.json([]))
    source = {"url": url, "cursor_field": "at", "pagination": "page_number"}
    outcome = await reader.good(source)
    marks = [dict(page.bookmark).get("mark") for page in outcome.pages]
    assert marks == [None, None, 5]
    assert [dict(page.bookmark).get("pass", {}).get("high") for page in outcome.pages] == [5, 5, None]


async def test_another_declaration_starts_over(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json([row(1, 5)]))
    first = await reader.read({"url": url, "cursor_field": "at", "pagination": "page_number", "max_pages": 1})
    other = await reader.good({"url": url, "cursor_field": "id", "pagination": "single_page"}, first.bookmark)
    assert server.calls[-1].query == {}
    assert other.bookmark["mark"] == 1


async def test_a_bookmark_of_something_else(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json([]))
    error = await reader.bad({"url": url}, {"paging": "auto", "pass": {"offset": 5}})
    assert error.code == "bookmark_lost"
