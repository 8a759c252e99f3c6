import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from kasparro.errors import Broken
from kasparro.model.page import JsonRecords, Page
from kasparro.model.redact import Redactor
from kasparro.model.source import Slice
from kasparro.sources.rss import Rss
from kasparro.sources.tools import Answer, Request, Tools

URL = "https://example.com/feed"
FEED = Slice(name="feed")


@dataclass
class FakeHttp:
    """Serves one document with validators, as a well-behaved server does."""

    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    async def fetch(self, request: Request) -> Answer:
        self.requests.append(request)
        etag, changed = self.headers.get("etag"), self.headers.get("last-modified")
        asked = request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")
        if (etag is not None and etag == asked[0]) or (etag is None and changed is not None and changed == asked[1]):
            assert 304 in request.expect
            return Answer(url=request.url, status=304, headers={})
        return Answer(url=request.url, status=200, headers=self.headers, body=self.body)

    async def download(self, request: Request, target: Path) -> Answer:
        raise NotImplementedError

    async def peek(self, request: Request) -> Answer:
        raise NotImplementedError


def tools(http: FakeHttp, **options: Any) -> Tools:
    return Tools(source="blog", http=http, scratch=Path(), folder=Path(), **options)


def item(name: str, title: str = "x", more: str = "") -> str:
    return f"<item><guid>{name}</guid><title>{title}</title>{more}</item>"


def rss(*items: str) -> bytes:
    return f"<rss version='2.0'><channel><title>Blog</title>{''.join(items)}</channel></rss>".encode()


async def pages(http: FakeHttp, bookmark: Mapping[str, Any], kind: Rss | None = None, **options: Any) -> list[Page]:
    kind = kind or Rss(url=URL)
    return [page async for page in kind.read(FEED, bookmark, tools(http, **options))]


def ids(page: Page) -> list[str]:
    return [one["id"] for one in json.loads(page.content)]


def test_a_declaration_is_checked() -> None:
    kind = TypeAdapter(Rss)
    assert kind.validate_python({"type": "rss", "url": URL}) == Rss(url=URL, remember=2000)
    wrong: list[dict[str, Any]] = [{"url": "ftp://x/"}, {"url": "example.com"}, {"url": URL, "remember": 0}, {}]
    for mistaken in [*wrong, {"url": URL, "colour": "red"}]:
        with pytest.raises(ValidationError):
            kind.validate_python(mistaken)
    assert Rss.natural_key == ("id",)
    assert Rss.well_known["occurred_at"] == ("published", "updated")


async def test_a_feed_is_one_slice() -> None:
    assert await Rss(url=URL).slices(tools(FakeHttp())) == (FEED,)


async def test_the_entries_are_one_page_of_json() -> None:
    http = FakeHttp(
        rss(item("a", "A"), item("b", "B")), {"etag": 'W/"1"', "last-modified": "Thu, 01 Jan 2004 00:00:00 GMT"}
    )
    [page] = await pages(http, {})
    assert json.loads(page.content) == [
        {"id": "a", "title": "A", "link": "https://example.com/a"},
        {"id": "b", "title": "B", "link": "https://example.com/b"},
    ]
    assert isinstance(page.records, JsonRecords)
    assert b"[" + b",".join(page.records.texts) + b"]" == page.content
    assert page.records.steps == ()
    assert page.records.place(1) == f"{URL}#1"
    assert (page.content_type, page.origin, page.bytes_read, page.done) == (
        "application/json",
        URL,
        len(http.body),
        1.0,
    )
    assert page.rejects == ()
    assert "If-None-Match" not in http.requests[0].headers
    assert http.requests[0].expect == ()


async def test_an_unchanged_feed_costs_one_304() -> None:
    http = FakeHttp(rss(item("a")), {"etag": 'W/"1"', "last-modified": "Thu, 01 Jan 2004 00:00:00 GMT"})
    [page] = await pages(http, {})
    assert await pages(http, page.bookmark) == []
    sent = http.requests[1].headers
    assert sent["If-None-Match"] == 'W/"1"'
    assert sent["If-Modified-Since"] == "Thu, 01 Jan 2004 00:00:00 GMT"


async def test_validators_of_another_address_are_not_sent() -> None:
    http = FakeHttp(rss(item("a")), {"etag": '"1"'})
    [page] = await pages(http, {})
    assert await pages(http, page.bookmark, Rss(url="https://example.com/other")) != []
    assert "If-None-Match" not in http.requests[1].headers


async def test_new_validators_are_remembered_even_without_news() -> None:
    http = FakeHttp(rss(item("a")), {"etag": '"1"'})
    [first] = await pages(http, {})
    http.headers = {"etag": '"2"'}
    [second] = await pages(http, first.bookmark)
    assert (second.content, len(second.records), second.bookmark["etag"]) == (b"[]", 0, '"2"')
    assert await pages(http, second.bookmark) == []


async def test_without_validators_the_same_feed_gives_no_page() -> None:
    http = FakeHttp(rss(item("a"), item("b")))
    [page] = await pages(http, {})
    assert await pages(http, json.loads(json.dumps(page.bookmark, sort_keys=True))) == []


async def test_a_feed_without_entries_is_a_page_without_records() -> None:
    [page] = await pages(FakeHttp(rss(), {"etag": '"1"'}), {})
    assert (page.content, len(page.records), page.done) == (b"[]", 0, 1.0)


async def test_only_new_and_edited_entries_are_sent() -> None:
    http = FakeHttp(rss(item("b"), item("a")))
    [first] = await pages(http, {})
    http.body = rss(item("a"), item("c"), item("b", "edited"))
    [second] = await pages(http, first.bookmark)
    assert ids(second) == ["c", "b"]
    http.body = rss(item("b"))  # edited back
    [third] = await pages(http, second.bookmark)
    assert ids(third) == ["b"]


async def test_an_entry_that_left_and_came_back_is_not_sent_again() -> None:
    http = FakeHttp(rss(item("a")))
    [first] = await pages(http, {})
    http.body = rss(item("b"))
    [second] = await pages(http, first.bookmark)
    http.body = rss(item("b"), item("a"))
    assert [ids(page) for page in await pages(http, second.bookmark)] in ([], [[]])


async def test_the_memory_is_bounded_and_drops_the_oldest() -> None:
    kind = Rss(url=URL, remember=3)
    http = FakeHttp(rss(*(item(str(n)) for n in (3, 2, 1))))
    [page] = await pages(http, {}, kind)
    http.body = rss(item("4"))
    [page] = await pages(http, page.bookmark, kind)
    assert [mark.split(" ")[1] for mark in page.bookmark["seen"]] == ["2", "3", "4"]
    http.body = rss(*(item(str(n)) for n in range(10)))
    [page] = await pages(http, page.bookmark, kind)
    assert await pages(http, page.bookmark, kind) == []  # a feed longer than the memory is known as a whole


async def test_the_bookmark_stays_small_with_long_ids() -> None:
    [page] = await pages(FakeHttp(rss(*(item("x" * 500 + str(n)) for n in range(100)))), {})
    assert len(json.dumps(page.bookmark)) < 100 * 40


async def test_of_entries_with_one_id_the_latest_counts_and_the_others_are_told_once() -> None:
    dated = "<pubDate>Thu, 0{} Jan 2004 00:00:00 GMT</pubDate>"
    http = FakeHttp(rss(item("a", "old", dated.format(1)), item("a", "new", dated.format(2)), item("b"), item("b")))
    [page] = await pages(http, {})
    assert [one["title"] for one in json.loads(page.content)] == ["new", "x"]
    assert [(one.code, one.value, json.loads(one.raw)["title"]) for one in page.rejects] == [
        ("duplicate_id", "a", "old")
    ]
    assert await pages(http, page.bookmark) == []


async def test_a_cut_feed_is_asked_for_again() -> None:
    whole = rss(item("a"), item("b"))
    http = FakeHttp(whole[: whole.index(b"b</guid>")], {"etag": '"1"'})
    [page] = await pages(http, {})
    assert ids(page) == ["a"]
    [reject] = page.rejects
    assert (reject.code, reject.place, reject.raw) == ("truncated", f"{URL}#1", "<item><guid>")
    assert "etag" not in page.bookmark
    http.body = whole
    [page] = await pages(http, page.bookmark)
    assert (ids(page), page.rejects) == (["b"], ())
    assert page.bookmark["etag"] == '"1"'


@pytest.mark.parametrize(("options", "sizes"), [({"page_records": 2}, [2, 2, 1]), ({"page_bytes": 120}, [2, 2, 1])])
async def test_many_entries_are_several_pages(options: dict[str, Any], sizes: list[int]) -> None:
    http = FakeHttp(rss(*(item(str(n)) for n in range(5))), {"etag": '"1"'})
    found = await pages(http, {}, **options)
    assert [len(page.records) for page in found] == sizes
    assert [page.records.place(0) for page in found] == [f"{URL}#0", f"{URL}#2", f"{URL}#4"]
    assert ["etag" in page.bookmark for page in found] == [False, False, True]
    assert [page.bytes_read for page in found] == [len(http.body), 0, 0]
    assert [page.done for page in found] == [0.4, 0.8, 1.0]


async def test_the_charset_of_the_answer_counts() -> None:
    body = "<rss><channel><item><title>Привет</title></item></channel></rss>".encode("koi8-r")
    [page] = await pages(FakeHttp(body, {"content-type": "text/xml; charset=koi8-r"}), {})
    assert json.loads(page.content)[0]["title"] == "Привет"


async def test_secrets_are_not_shown() -> None:
    kind = Rss(url="https://example.com/feed?token=abcdef")
    http = FakeHttp(rss(item("a", more="<link>/x</link>")), {"etag": '"1"'})
    [page] = await pages(http, {}, kind, redact=Redactor())
    assert "abcdef" not in str(page)
    with pytest.raises(Broken) as caught:
        await pages(FakeHttp(b"<html>"), {}, kind, redact=Redactor())
    assert "abcdef" not in str(caught.value)


entries = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), max_size=8, unique_by=lambda one: one[0]
)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(entries, st.booleans(), st.integers(0, 3)), max_size=6), st.integers(1, 3))
def test_whatever_a_feed_does_and_wherever_a_run_dies_the_table_is_right(
    story: Sequence[tuple[list[tuple[str, str]], bool, int]], size: int
) -> None:
    asyncio.run(_told(story, size))


async def _told(story: Sequence[tuple[list[tuple[str, str]], bool, int]], size: int) -> None:
    http, table, latest, bookmark = FakeHttp(), dict[str, str](), dict[str, str](), dict[str, Any]()
    runs = [*story, (story[-1][0], False, 99)] if story else []  # the last feed is read once more, to its end
    for number, (feed, has_etag, survives) in enumerate(runs):
        http.body = rss(*(item(name, title) for name, title in feed))
        http.headers = {"etag": f'"{hash(tuple(feed))}"'} if has_etag else {}
        latest |= dict(feed) if number == len(story) else {}
        for page in (await pages(http, bookmark, page_records=size))[:survives]:
            for one in json.loads(page.content):
                assert table.get(one["id"]) != one["title"], "sent again without an edit"
                table[one["id"]] = one["title"]
            bookmark = json.loads(json.dumps(page.bookmark, sort_keys=True))
    assert latest.items() <= table.items()
