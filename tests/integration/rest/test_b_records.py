"""Section B of the behaviours of REST APIs: the shape of records and values."""

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kasparro.errors import Broken, Misconfigured, SchemaBroken

if TYPE_CHECKING:
    from tests.integration.rest.conftest import Loopback, Reader

TWO = [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    ("answer", "records", "steps"),
    [
        (TWO, None, ()),
        (TWO, "", ()),
        (TWO, "$", ()),
        ({"data": {"items": TWO}}, None, ("data", "items")),
        ({"data": {"items": TWO}}, "data.items", ("data", "items")),
        ({"data": {"items": TWO}}, "$.data.items", ("data", "items")),
        ({"pages": [{"rows": TWO}]}, "pages[0].rows", ("pages", 0, "rows")),
        ({"a.b": TWO}, '"a.b"', ("a.b",)),
        ({"quotes": {"x": {"id": 1}, "y": {"id": 2}}}, "quotes.*", ()),
        ({"x": {"id": 1}, "y": {"id": 2}}, "*", ()),
        ({"groups": [{"row": {"id": 1}}, {"none": 0}, {"row": {"id": 2}}]}, "groups[*].row", ()),
        ({"groups": [{"rows": [{"id": 1}]}, {"rows": [{"id": 2}]}]}, "groups.*.rows.*", ()),
        ({"groups": [{"rows": [{"id": 1}]}, {"rows": []}, {"rows": [{"id": 2}]}]}, "groups.*.rows", ()),
        ({"groups": {"a": [{"id": 1}], "b": [{"id": 2}]}}, "groups.*", ()),
    ],
)
async def test_r37_where_records_stand(
    server: "Loopback", reader: "Reader", answer: Any, records: str | None, steps: tuple[str | int, ...]
) -> None:
    url = server.replies("/items", server.json(answer))
    outcome = await reader.good({"url": url, "records": records})
    assert outcome.ids == [1, 2]
    assert outcome.pages[0].records.steps == steps  # type: ignore[union-attr]
    verbatim = "*" not in (records or "")
    assert (outcome.pages[0].content == json.dumps(answer).encode()) is verbatim


@pytest.mark.parametrize("records", [None, "", "$"])
async def test_r37_single_object(server: "Loopback", reader: "Reader", records: str | None) -> None:
    url = server.replies("/coin", server.json({"id": "btc", "tags": ["a"], "notices": [], "quotes": {"USD": {"p": 1}}}))
    assert (await reader.good({"url": url, "records": records})).ids == ["btc"]


async def test_r37_several_lists_must_be_named(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json({"data": TWO, "meta": {"facets": [{"n": 1}]}}))
    error = await reader.bad({"url": url})
    assert isinstance(error, Misconfigured)
    assert "`data`" in error.message
    assert "`meta.facets`" in error.message
    assert "/items" in error.message


async def test_r38_path_missing(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json({"rows": TWO}))
    error = await reader.bad({"url": url, "records": "data.items"})
    assert isinstance(error, SchemaBroken)
    assert "`data.items`" in error.message
    assert "rows" in error.message
    url = server.replies("/items", server.json({"data": {"items": []}}))
    outcome = await reader.good({"url": url, "records": "data.items"})
    assert [len(page.records) for page in outcome.pages] == [0]


async def test_r38_a_later_page_may_leave_the_list_out(server: "Loopback", reader: "Reader") -> None:
    url = server.replies(
        "/items", server.json({"kind": "x", "items": TWO, "nextPageToken": "n"}), server.json({"kind": "x"})
    )
    assert (await reader.good({"url": url, "records": "items"})).ids == [1, 2]
    where: dict[str, str]
    for where in ({"records": "items"}, {}):
        first = server.json({"kind": "x", "items": TWO, "nextPageToken": "n"})
        url = server.replies("/items", first, server.json({"message": "quota"}))
        assert isinstance(await reader.bad({"url": url, **where}), SchemaBroken)


async def test_r38_a_later_answer_of_another_shape(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json(TWO, link="<?p=2>; rel=next"), server.json({"message": "quota"}))
    outcome = await reader.read({"url": url})
    assert outcome.ids == [1, 2]
    assert isinstance(outcome.error, SchemaBroken)


async def test_r39_path_hits_an_object(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json({"data": {"id": 7}}))
    outcome = await reader.good({"url": url, "records": "data"})
    assert outcome.ids == [7]
    assert outcome.pages[0].records.steps == ("data",)  # type: ignore[union-attr]
    url = server.replies("/items", server.json({"data": 7}))
    assert isinstance(await reader.bad({"url": url, "records": "data"}), SchemaBroken)


@pytest.mark.parametrize("headers", [{}, {"content_type": "text/plain"}, {"content_type": "application/vnd.api+json"}])
async def test_r40_json_by_another_name(server: "Loopback", reader: "Reader", headers: Any) -> None:
    url = server.replies("/items", server.reply(200, json.dumps(TWO).encode(), **headers))
    assert (await reader.good({"url": url})).ids == [1, 2]


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
async def test_r41_html_with_status_200(server: "Loopback", reader: "Reader", content_type: str) -> None:
    page = b"<!DOCTYPE html><html><title>Log in</title><p>Please</p></html>"
    url = server.replies("/items", server.reply(200, page, content_type=content_type))
    outcome = await reader.read({"url": url})
    assert isinstance(outcome.error, Broken)
    assert "HTML, not JSON" in outcome.error.message
    assert "Log in" in outcome.error.message
    assert not outcome.pages


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ({"error": "Missing parameter ids"}, {}),
        ({"status": 500, "error": "Internal Server Error"}, {}),
        ({"errors": [{"message": "bad query"}], "data": None}, {"records": "data"}),
        ({"status": "ERROR", "message": "no"}, {}),
        ({"success": False, "result": [{"id": 1}]}, {"records": "result"}),
        ({"ok": False, "reason": "not_authed"}, {}),
        ({"status": {"error_code": 1001}, "data": [{"id": 1}]}, {"error": "status.error_code"}),
    ],
)
async def test_r42_status_200_with_an_error(server: "Loopback", reader: "Reader", answer: Any, source: Any) -> None:
    url = server.replies("/items", server.json(answer))
    outcome = await reader.read({"url": url, **source})
    assert isinstance(outcome.error, Broken)
    assert "but with an error" in outcome.error.message
    assert not outcome.pages


async def test_r42_error_in_a_header(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/api", server.json({"x": 1}, mediawiki_api_error="badtoken"))
    assert "badtoken" in (await reader.bad({"url": url})).message


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ({"error": None, "errors": [], "data": TWO}, {}),
        ({"error": "", "data": TWO, "status": "failed"}, {"records": "data"}),
        ({"error": "kept", "data": TWO}, {"error": ""}),
        ({"status": {"error_code": 0}, "data": TWO}, {"error": "status.error_code"}),
    ],
)
async def test_r42_no_error(server: "Loopback", reader: "Reader", answer: Any, source: Any) -> None:
    url = server.replies("/items", server.json(answer))
    assert (await reader.good({"url": url, **source})).ids == [1, 2]


@pytest.mark.parametrize(("status", "body"), [(204, b""), (205, b""), (200, b""), (200, b"  \n"), (200, b"null")])
async def test_r44_nothing(server: "Loopback", reader: "Reader", status: int, body: bytes) -> None:
    url = server.replies("/items", server.reply(status, body, content_type="application/json"))
    outcome = await reader.good({"url": url})
    assert outcome.rows == []
    assert outcome.pages[-1].content == b"[]"


async def test_r46_gzip(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.gzipped(json.dumps(TWO).encode(), **{"content-type": "application/json"}))
    outcome = await reader.good({"url": url})
    assert outcome.ids == [1, 2]
    assert "gzip" in server.calls[0].headers["accept-encoding"]


@pytest.mark.parametrize("mode", ["cut", "cut_chunk"])
async def test_r47_body_cut_short(server: "Loopback", reader: "Reader", mode: Any) -> None:
    url = server.replies("/items", server.json(TWO, mode=mode), server.json(TWO))
    outcome = await reader.good({"url": url})
    assert outcome.ids == [1, 2]
    assert len(outcome.pages) == 1
    assert len(reader.waits) == 1


async def test_r47_gzip_cut_short_without_a_length(server: "Loopback", reader: "Reader") -> None:
    whole = server.gzipped(json.dumps(TWO).encode())
    short = server.reply(200, whole.body[:-10], content_encoding="gzip")
    url = server.replies("/items", short, whole)
    assert (await reader.good({"url": url})).ids == [1, 2]
    assert len(reader.waits) == 1


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/jsonl", "text/plain", ""])
async def test_r48_json_lines(server: "Loopback", reader: "Reader", content_type: str) -> None:
    body = b'{"id":1}\r\n\r\n{"id":2, "n": 1.10}\n\n{"id":3}\n{"id":4, "na'
    url = server.replies("/items", server.reply(200, body, content_type=content_type))
    outcome = await reader.good({"url": url})
    assert outcome.texts == [b'{"id":1}', b'{"id":2, "n": 1.10}', b'{"id":3}']
    assert outcome.pages[0].content == b'[{"id":1},{"id":2, "n": 1.10},{"id":3}]'
    assert [(one.code, one.place, one.raw) for one in outcome.rejects] == [("not_json", f"{url}:6", '{"id":4, "na')]


async def test_r48_lines_that_only_together_are_json(server: "Loopback", reader: "Reader") -> None:
    body = b'{"id":1}\n{"id":2},{"id":3}\n{"a":[1\n2]}\n{"id":4}'
    url = server.replies("/items", server.reply(200, body, content_type="application/x-ndjson"))
    outcome = await reader.good({"url": url})
    assert outcome.ids == [1, 4]
    assert [one.place.rpartition(":")[2] for one in outcome.rejects] == ["2", "3", "4"]


async def test_r51_r52_numbers_stay_as_written(server: "Loopback", reader: "Reader") -> None:
    body = b'[{"a":"2343566.75","b":240213.7,"c":41389.57931641128,"d":4949.2425813062,"e":1.10,"f":1E+2,"g":-0.0}]'
    url = server.replies("/items", server.json(body))
    assert (await reader.good({"url": url})).texts == [body[1:-1]]


async def test_r53_a_field_changes_its_type(server: "Loopback", reader: "Reader") -> None:
    pages = [[{"id": 1, "v": 1}], [{"id": 2, "v": None}], [{"id": 3, "v": "x"}], []]
    url = server.replies("/items", *map(server.json, pages))
    outcome = await reader.good({"url": url, "pagination": "page_number"})
    assert [row["v"] for row in outcome.rows] == [1, None, "x"]


async def test_r54_instants_of_every_kind(server: "Loopback", reader: "Reader") -> None:
    values = [
        "2024-01-01T00:00:00Z",
        "2024-01-01T05:30:00+05:30",
        "2024-01-01T00:00:01",
        "2024-01-01T00:00:00.123456789Z",
    ]
    url = server.replies("/items", server.json([{"id": at, "t": value} for at, value in enumerate(values)]))
    outcome = await reader.good({"url": url, "cursor_field": "t"})
    assert [row["t"] for row in outcome.rows] == values
    assert outcome.bookmark["mark"] == "2024-01-01T00:00:01"


async def test_r55_nested_values_stay_as_they_are(server: "Loopback", reader: "Reader") -> None:
    body = b'[ {"id" : 1, "b":{"z":[1,{"y":null}],"a":"\\u00e9\xc3\xa9"} } ,\n{"id":2}]'
    url = server.replies("/items", server.json(body))
    outcome = await reader.good({"url": url})
    assert outcome.texts == [b'{"id" : 1, "b":{"z":[1,{"y":null}],"a":"\\u00e9\xc3\xa9"} }', b'{"id":2}']
    assert outcome.pages[0].content == body


async def test_r58_the_same_key_twice_in_a_page(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json([{"id": 1, "v": 1}, {"id": 1, "v": 2}]))
    assert (await reader.good({"url": url})).rows == [{"id": 1, "v": 1}, {"id": 1, "v": 2}]  # in order: last wins later


async def test_records_that_cannot_be_kept(server: "Loopback", reader: "Reader") -> None:
    body = b'{"n":4,"data":[{"id":1},{"id":2,"t":"a\\u0000b"},7,{"id":3,"t":"\\\\u0000"},[1],"x",null]}'
    url = server.replies("/items", server.json(body))
    outcome = await reader.good({"url": url, "records": "data"})
    assert outcome.ids == [1, 3]
    assert outcome.pages[0].content == b'[{"id":1},{"id":3,"t":"\\\\u0000"}]'
    found = [(one.code, one.place.rpartition("#")[2], one.raw) for one in outcome.rejects]
    assert found == [
        ("nul", "1", '{"id":2,"t":"a\\u0000b"}'),
        ("not_an_object", "2", "7"),
        ("not_an_object", "4", "[1]"),
        ("not_an_object", "5", '"x"'),
        ("not_an_object", "6", "null"),
    ]


@pytest.mark.parametrize(
    "bad",
    [b'{"id":2,"v":NaN}', b'{"id":2,"v":-Infinity}', b'{"id":2,"v":"\\ud83d"}', b'{"id":2,"v":"\xff"}', b'{"v":1e999}'],
)
@pytest.mark.parametrize("wrap", [b"[%s]", b'{"total":NaN,"data": [%s]}'])
async def test_one_unsound_value_costs_one_record(
    server: "Loopback", reader: "Reader", bad: bytes, wrap: bytes
) -> None:
    url = server.replies("/items", server.json(wrap % (b'{"id":1} , ' + bad + b',{"id":3}')))
    outcome = await reader.good({"url": url})
    assert outcome.ids == [1, 3]
    assert outcome.pages[0].content == b'[{"id":1},{"id":3}]'
    assert [(one.code, one.place) for one in outcome.rejects] == [("not_json", f"{url}#1")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'[{"id":1},]', "line 1, column 10"),
        (b'[{"id":1},\n{"id" 2}]', "line 2, column 7"),
        (b'[{"id":1}', "line 1, column"),
        (b"[" * 3000, "depth limit"),
        (b"id,name\n1,x", "not JSON"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b'"text"', "neither a list nor an object"),
    ],
)
async def test_what_is_not_json(server: "Loopback", reader: "Reader", body: bytes, said: str) -> None:
    url = server.replies("/items", server.json(body))
    error = await reader.bad({"url": url})
    assert isinstance(error, Broken)
    assert said in error.message
    assert url in error.message
    assert len(error.message) < 400


async def test_deep_but_allowed_by_the_parser(server: "Loopback", reader: "Reader") -> None:
    body = b'[{"a":' + b"[" * 1015 + b"]" * 1015 + b"}]"
    outcome = await reader.read({"url": server.replies("/items", server.json(body))})
    if sys.version_info < (3, 12):  # counts these levels as calls of Python
        assert outcome.error is not None
        assert "nested too deep" in outcome.error.message
    else:
        assert outcome.error is None
        assert outcome.pages[0].content == body


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'\xef\xbb\xbf[{"id":"\xc3\xa9"}]', "application/json"),
        ('[{"id":"é"}]'.encode("utf-16"), "application/json"),
        ('[{"id":"é"}]'.encode("latin-1"), "application/json; charset=ISO-8859-1"),
        ('[{"id":"é"}]'.encode(), "application/json; charset=ISO-8859-1"),
    ],
)
async def test_encodings(server: "Loopback", reader: "Reader", body: bytes, content_type: str) -> None:
    url = server.replies("/items", server.reply(200, body, content_type=content_type))
    outcome = await reader.good({"url": url})
    assert outcome.pages[0].content == '[{"id":"é"}]'.encode()


async def test_a_large_answer_is_read_in_a_thread(server: "Loopback", reader: "Reader") -> None:
    rows = [{"id": number, "text": "x" * 100} for number in range(5000)]
    url = server.replies("/items", server.json(rows))
    outcome = await reader.good({"url": url})
    assert len(outcome.texts) == 5000
    assert outcome.pages[0].bytes_read > 256 * 1024
