"""Section C of the behaviours of REST APIs: errors, retries and transport, over real sockets."""

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.conftest import nobody

from kasparro.errors import Broken, Denied, KasparroError, Misconfigured, NotFound, RateLimited, Unreachable
from kasparro.model.events import Retrying
from kasparro.model.redact import Redactor
from kasparro.sources.http import HttpClient, HttpOptions
from kasparro.sources.tools import Request

if TYPE_CHECKING:
    from tests.integration.rest.conftest import Loopback, Reader

TWO = [{"id": 1}, {"id": 2}]
QUICK = {"read_timeout": 0.2, "connect_timeout": 0.5, "attempts": 2}
SECRET = "s3cr3t/tok+en"


async def test_r59_retry_after_seconds(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(429, b"slow down", retry_after="3"), server.json(TWO))
    assert (await reader.good({"url": url})).ids == [1, 2]
    assert reader.waits == [3.0]
    (event,) = (event for event in reader.events if isinstance(event, Retrying))
    told = (event.source, event.place, event.attempt, event.wait, event.code, event.asked)
    assert told == ("test", f"GET {url}", 1, 3.0, "rate_limited", True)
    assert "asked to wait for 3 s (429): slow down" in event.reason


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("Thu, 01 Jan 2026 12:00:30 GMT", [30.0]),
        ("Thu, 01 Jan 2026 11:00:00 GMT", [1.0]),
        ("-5", [1.0]),
        ("soon", [1.0]),
        ("0", [1.0]),
    ],
)
async def test_r60_retry_after_date(server: "Loopback", reader: "Reader", text: str, waits: list[float]) -> None:
    url = server.replies("/items", server.reply(503, retry_after=text), server.json(TWO))
    assert (await reader.good({"url": url})).ids == [1, 2]
    assert reader.waits == waits


async def test_r60_a_wait_with_a_fraction_is_told_in_full(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(429, retry_after="1000.4"))
    error = await reader.bad({"url": url})
    assert "asked to wait for 1,001 s (429)" in error.message


async def test_headers_without_end_are_named(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(429, retry_after="1" * 200_000))
    error = await reader.bad({"url": url, "http": {"attempts": 1}})
    assert "more than 100 KB of headers" in error.message


async def test_r60_a_date_is_read_by_the_clock_of_the_provider(server: "Loopback", reader: "Reader") -> None:
    """Ours shows 2026-01-01 12:00: by it the date would be two hours away."""
    until, now = "Thu, 01 Jan 2026 14:00:20 GMT", "Thu, 01 Jan 2026 14:00:00 GMT"
    url = server.replies("/items", server.reply(429, retry_after=until, date=now), server.json(TWO))
    assert (await reader.good({"url": url})).ids == [1, 2]
    assert reader.waits == [20.0]


async def test_r60_retry_after_beyond_the_cap(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(429, retry_after="3600"))
    error = await reader.bad({"url": url})
    assert isinstance(error, RateLimited)
    assert error.retry_after == 3600
    assert reader.waits == []
    assert len(server.calls) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 521, 529])
async def test_r64_transient_statuses(server: "Loopback", reader: "Reader", status: int) -> None:
    url = server.replies("/items", *[server.reply(status)] * 3, server.json(TWO))
    assert (await reader.good({"url": url})).ids == [1, 2]
    assert reader.waits == [1.0, 2.0, 4.0]  # the longest waits: the dice of the test always show 1


@pytest.mark.parametrize(("status", "kind"), [(500, Unreachable), (429, RateLimited)])
async def test_r64_bounded(server: "Loopback", reader: "Reader", status: int, kind: type[KasparroError]) -> None:
    url = server.replies("/items", server.reply(status, b"out of order"))
    error = await reader.bad({"url": url, "http": {"attempts": 4}})
    assert type(error) is kind
    assert "out of order" in error.message
    assert "tried 4 times" in error.message
    assert len(server.calls) == 4
    assert [event.attempt for event in reader.events if isinstance(event, Retrying)] == [1, 2, 3]


async def test_r64_constant_backoff_and_total_time(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(500))
    http = {"attempts": 50, "backoff": "constant", "first_wait": 2, "retry_seconds": 7}
    await reader.bad({"url": url, "http": http})
    assert reader.waits == [2.0, 2.0, 2.0]


async def test_r64_the_deadline_of_a_page_ends_an_attempt(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(500), server.reply(mode="hang"))
    error = await reader.bad({"url": url, "http": {"attempts": 2, "first_wait": 0.1, "retry_seconds": 1.2}})
    assert isinstance(error, Unreachable)
    assert "did not answer in full within 1.1 s (the rest of http.retry_seconds)" in error.message
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Broken),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (405, Broken),
        (410, NotFound),
        (422, Broken),
        (501, Broken),
    ],
)
async def test_r65_final_statuses(server: "Loopback", reader: "Reader", status: int, kind: type[KasparroError]) -> None:
    url = server.replies("/items", server.json({"message": "because\n of this"}, status=status))
    error = await reader.bad({"url": url})
    assert type(error) is kind
    assert str(status) in error.message
    assert url in error.message
    assert "because" in error.message
    assert error.facts["status"] == status
    assert len(server.calls) == 1
    assert reader.waits == []


async def test_r67_connection_refused(reader: "Reader") -> None:
    with nobody() as port:
        error = await reader.bad({"url": f"http://127.0.0.1:{port}/items", "http": {"attempts": 3}})
    assert isinstance(error, Unreachable)
    assert "refused the connection" in error.message
    assert len(reader.waits) == 2


async def test_r67_name_unknown(reader: "Reader") -> None:
    error = await reader.bad({"url": "http://no-such-host.invalid/items", "http": {"attempts": 2}})
    assert isinstance(error, Unreachable)
    assert "DNS" in error.message
    assert len(reader.waits) == 1


async def test_r67_no_tls_there(reader: "Reader") -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        error = await reader.bad({"url": f"https://127.0.0.1:{port}/items", "http": {"attempts": 2}})
    assert isinstance(error, Unreachable)
    assert "TLS" in error.message
    assert len(reader.waits) == 1


@pytest.mark.parametrize(("mode", "said"), [("reset", "reset or closed"), ("hang", "http.read_timeout")])
async def test_r67_reset_and_silence(server: "Loopback", reader: "Reader", mode: Any, said: str) -> None:
    url = server.replies("/items", server.reply(mode=mode), server.json(TWO))
    assert (await reader.good({"url": url, "http": QUICK})).ids == [1, 2]
    url = server.replies("/items", server.reply(mode=mode))
    error = await reader.bad({"url": url, "http": QUICK})
    assert isinstance(error, Unreachable)
    assert said in error.message


async def test_r67_an_answer_that_trickles_for_ever(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json(TWO, mode="trickle"))
    error = await reader.bad({"url": url, "http": {"attempts": 1, "total_timeout": 0.2}})
    assert isinstance(error, Unreachable)
    assert "http.total_timeout" in error.message


async def test_r68_the_next_run_goes_on_at_the_page_that_failed(server: "Loopback", reader: "Reader") -> None:
    pages = [server.json([{"id": number}]) for number in range(3)]
    url = server.replies("/items", pages[0], server.reply(500))
    source = {"url": url, "pagination": "page_number", "http": {"attempts": 2}}
    first = await reader.read(source)
    assert first.ids == [0]
    assert isinstance(first.error, Unreachable)
    server.calls.clear()
    server.replies("/items", pages[1], pages[2], server.json([]))
    second = await reader.read(source, first.bookmark)
    assert second.error is None
    assert second.ids == [1, 2]
    assert server.calls[0].query == {"page": ["2"]}
    assert "pass" not in second.bookmark


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_r68_a_token_that_has_expired_begins_the_pass_again(
    server: "Loopback", reader: "Reader", status: int
) -> None:
    url = server.replies("/items", server.json({"data": [{"id": 0}], "next_cursor": "old"}))
    first = await reader.read({"url": url, "max_pages": 1})
    server.calls.clear()
    server.replies("/items", server.reply(status), server.json({"data": [{"id": 0}]}))
    second = await reader.read({"url": url}, first.bookmark)
    assert second.error is None
    assert [call.query for call in server.calls] == [{"cursor": ["old"]}, {}]


async def test_r71_a_page_answered_too_late_comes_once(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(mode="hang"), server.json(TWO))
    outcome = await reader.good({"url": url, "http": QUICK})
    assert outcome.ids == [1, 2]
    assert len(outcome.pages) == 1
    assert len(server.calls) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_r75_redirects(server: "Loopback", reader: "Reader", status: int) -> None:
    url = server.replies("/a/items", server.reply(status, b"<html>moved</html>", location="../b/items?x=1&y=2"))
    server.replies("/b/items", server.json(TWO))
    outcome = await reader.good({"url": url})
    assert outcome.ids == [1, 2]
    assert outcome.pages[0].origin == server.url + "/b/items?x=1&y=2"


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "POST", b'{"q":1}'), (308, "POST", b'{"q":1}')],
)
async def test_r75_redirected_post(server: "Loopback", reader: "Reader", status: int, method: str, body: bytes) -> None:
    url = server.replies("/a", server.reply(status, location="/b"))
    server.replies("/b", server.json(TWO))
    await reader.good({"url": url, "method": "POST", "json": {"q": 1}})
    assert (server.calls[1].method, server.calls[1].body) == (method, body)


@pytest.mark.parametrize("location", ["/a", "/b"])
async def test_r76_redirect_loop(server: "Loopback", reader: "Reader", location: str) -> None:
    url = server.replies("/a", server.reply(302, location=location))
    server.replies("/b", server.reply(302, location="/a"))
    error = await reader.bad({"url": url})
    assert isinstance(error, Broken)
    assert "circle" in error.message
    assert len(server.calls) == 11


@pytest.mark.parametrize("location", ["", "ftp://127.0.0.1/x", "http://", "http://[", "javascript:x"])
async def test_r76_redirect_to_nowhere(server: "Loopback", reader: "Reader", location: str) -> None:
    url = server.replies("/a", server.reply(302, location=location))
    assert isinstance(await reader.bad({"url": url}), Broken)
    assert len(server.calls) == 1


AUTHS = [
    ({"auth": {"type": "bearer", "token": SECRET}}, "authorization"),
    ({"auth": {"type": "api_key", "name": "X-Key", "value": SECRET}}, "x-key"),
    ({"auth": {"type": "api_key", "name": "apikey", "value": SECRET, "in": "query"}}, None),
    ({"auth": {"type": "basic", "username": "u", "password": SECRET}}, "authorization"),
    ({"headers": {"X-Custom-Token": SECRET}}, "x-custom-token"),
]


@pytest.mark.parametrize(("source", "header"), AUTHS)
@pytest.mark.parametrize("by", ["redirect", "next", "link"])
async def test_credentials_never_leave_their_origin(  # noqa: PLR0917 - parametrised
    server: "Loopback", other: "Loopback", reader: "Reader", source: Any, header: str | None, by: str
) -> None:
    target = f"{other.url}/items?page=2"
    first = {
        "redirect": server.reply(302, location=target + "&echo=s3cr3t%2Ftok%2Ben"),
        "next": server.json({"data": [{"id": 0}], "next": target}),
        "link": server.json([{"id": 0}], link=f"<{target}>; rel=next"),
    }[by]
    url = server.replies("/items", first)
    other.replies("/items", server.json({"data": TWO} if by == "next" else TWO))
    outcome = await reader.read({"url": url, **source})
    assert outcome.error is None
    ours, theirs = server.calls[0], other.calls[0]
    assert SECRET in str(ours) or "Basic" in str(ours)
    if header is not None:
        assert header in ours.headers
    assert theirs.query == {"page": ["2"]}
    assert set(theirs.headers) <= {"host", "user-agent", "accept", "accept-encoding", "connection"}


async def test_credentials_are_not_sent_where_a_bookmark_leads_away(
    server: "Loopback", other: "Loopback", reader: "Reader"
) -> None:
    url = server.replies("/items", server.json({"data": [{"id": 0}], "next": other.url + "/items"}))
    other.replies("/items", server.json({"data": TWO}))
    source = {"url": url, "auth": {"type": "bearer", "token": SECRET}, "params": {"api_key": SECRET}, "max_pages": 1}
    first = await reader.read(source)
    second = await reader.read(source, first.bookmark)
    assert second.ids == [1, 2]
    assert SECRET not in str(other.calls)
    assert other.calls[0].query == {}


async def test_a_body_never_follows_to_another_origin(server: "Loopback", other: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(307, location=other.url + "/items"))
    error = await reader.bad({"url": url, "method": "POST", "json": {"password": SECRET}})
    assert isinstance(error, Broken)
    assert other.calls == []


async def test_credentials_follow_within_their_origin(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/a", server.reply(302, location="/b"))
    server.replies("/b", server.json(TWO))
    for source, header in AUTHS:
        server.calls.clear()
        await reader.good({"url": url, **source})
        for call in server.calls:
            assert call.query == ({} if header is not None else {"apikey": [SECRET]})
            assert header is None or header in call.headers


async def test_user_and_password_in_the_address(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.json({"data": TWO, "next": "/items?page=2"}), server.json({"data": []}))
    outcome = await reader.good({"url": url.replace("http://", "http://me:p%40ss%2Bword@")})
    assert [call.headers["authorization"] for call in server.calls] == ["Basic bWU6cEBzcyt3b3Jk"] * 2
    assert "p%40ss" not in str(outcome)


@pytest.mark.parametrize(("source", "header"), AUTHS)
@pytest.mark.parametrize("echo", ["plain", "json", "html", "url"])
@pytest.mark.parametrize("status", [401, 500, 200])
async def test_r80_secrets_are_nowhere(  # noqa: PLR0917 - parametrised
    server: "Loopback", reader: "Reader", source: Any, header: str | None, echo: str, status: int
) -> None:
    assert header is None or header
    said = {
        "plain": f"bad token {SECRET}",
        "json": json.dumps({"said": SECRET}).replace("/", "\\/"),
        "html": f"<p>no <b>{SECRET}</b></p>",
        "url": "see https://x/y?apikey=s3cr3t%2Ftok%2Ben",
    }[echo]
    url = server.replies("/items", server.reply(status, said.encode()))
    outcome = await reader.read({"url": url, "http": {"attempts": 2}, **source})
    shown = f"{outcome.error!r} {outcome.error} {getattr(outcome.error, 'facts', None)} {reader.events}"
    for form in (SECRET, SECRET.replace("/", "\\/"), "s3cr3t%2Ftok%2Ben"):
        assert form not in shown
    if echo != "json" or status != 200:
        assert "****" in shown


async def test_r80_secrets_are_not_in_bookmarks_or_places(server: "Loopback", reader: "Reader") -> None:
    target = f"{server.url}/items?api_key=s3cr3t%2Ftok%2Ben&key2=s3cr3t%2Ftok%2Ben&page_token=n2"
    url = server.replies("/items", server.json({"data": TWO, "next": target}), server.json({"data": [7]}))
    source = {
        "url": url,
        "params": {"api_key": SECRET, "lang": "en"},
        "auth": {"type": "api_key", "name": "key2", "value": SECRET, "in": "query"},
        "max_pages": 1,
    }
    first = await reader.read(source, secrets=[SECRET])
    assert first.bookmark["pass"]["url"] == f"{server.url}/items?page_token=n2"
    second = await reader.read(source, first.bookmark, secrets=[SECRET])
    assert second.error is None
    assert server.calls[1].query == {"api_key": [SECRET], "key2": [SECRET], "page_token": ["n2"]}
    shown = f"{[page.origin for page in (*first.pages, *second.pages)]} {second.rejects} {first.bookmark}"
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"auth": {"type": "bearer", "token": "wrong-token"}}, "check auth.token"),
        ({"auth": {"type": "api_key", "name": "k", "value": "wrong-key"}}, "check auth.name and auth.value"),
        ({"auth": {"type": "basic", "username": "u", "password": "wrong"}}, "check auth.username"),
        ({}, "set `auth`"),
    ],
)
async def test_r83_wrong_credential(server: "Loopback", reader: "Reader", source: Any, said: str) -> None:
    url = server.replies("/items", server.reply(401, b"who are you?", www_authenticate="Bearer"))
    error = await reader.bad({"url": url, **source})
    assert isinstance(error, Denied)
    assert said in error.message
    assert len(server.calls) <= 2


async def test_endless_body(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(mode="endless"))
    error = await reader.bad({"url": url, "http": {"max_bytes": 1_000_000}})
    assert isinstance(error, Broken)
    assert "1,000,000 bytes" in error.message
    assert "http.max_bytes" in error.message
    assert len(server.calls) == 1


async def test_a_small_body_that_unpacks_without_end(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.gzipped(b"[" + b" " * 20_000_000 + b"]"))
    error = await reader.bad({"url": url, "http": {"max_bytes": 1_000_000}})
    assert "http.max_bytes" in error.message


async def test_an_encoding_nobody_asked_for(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/items", server.reply(200, b"xx", content_encoding="br"))
    assert "'br'" in (await reader.bad({"url": url})).message
    url = server.replies("/items", server.reply(200, b"plain", content_encoding="gzip"))
    assert "not the gzip" in (await reader.bad({"url": url})).message


async def test_download(server: "Loopback", reader: "Reader", tmp_path: Path) -> None:
    body = bytes(range(256)) * 20_000
    url = server.replies("/file", server.reply(200, body, mode="cut"), server.gzipped(body, etag='"v1"'))
    target = tmp_path / "file"
    async with HttpClient(source="test", timing=reader.timing()) as http:
        answer = await http.download(Request(url=url), target)
    assert target.read_bytes() == body
    assert answer.body == b""
    assert answer.headers["etag"] == '"v1"'
    assert len(reader.waits) == 1


async def test_download_leaves_nothing_behind(server: "Loopback", reader: "Reader", tmp_path: Path) -> None:
    url = server.replies("/file", server.reply(mode="endless"))
    options = HttpOptions(max_bytes=3_000_000)
    async with HttpClient(source="test", options=options, timing=reader.timing()) as http:
        with pytest.raises(Broken, match="max_bytes"):
            await http.download(Request(url=url), tmp_path / "file")
        with pytest.raises(Misconfigured, match="No such file"):
            await http.download(Request(url=url), tmp_path / "missing" / "file")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - one call that may block


async def test_peek_reads_only_the_beginning(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/file", server.reply(500), server.reply(mode="endless", content_type="text/csv"))
    async with HttpClient(source="test", timing=reader.timing()) as http:
        answer = await http.peek(Request(url=url))
    assert answer.body == b" " * 8192
    assert answer.headers["content-type"] == "text/csv"
    assert len(reader.waits) == 1


async def test_a_proxy_of_the_environment_is_used_but_not_for_loopback(
    server: "Loopback", reader: "Reader", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.replies("/items", server.json(TWO))
    assert (await reader.good({"url": "http://no-such-host.invalid/items"})).ids == [1, 2]
    assert server.calls[0].headers["host"] == "no-such-host.invalid"
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert (await reader.good({"url": server.url + "/items"})).ids == [1, 2]


async def test_cancelled_in_the_middle(server: "Loopback", reader: "Reader", tmp_path: Path) -> None:
    url = server.replies("/file", server.reply(200, b"x" * 10_000, mode="trickle"))
    async with HttpClient(source="test", timing=reader.timing()) as http:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):  # the first request loads the HTTP library
                await http.download(Request(url=url), tmp_path / "file")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - one call that may block
    assert len(server.calls) == 1


async def test_form_bodies_and_odd_queries(server: "Loopback", reader: "Reader") -> None:
    url = server.replies("/x", server.reply(200, b"ok"))
    async with HttpClient(source="test", timing=reader.timing(), redact=Redactor()) as http:
        request = Request(url=url + "?a=1&a=2&b&c=%2F", method="POST", form={"q": "x y"}, params={"b": "ü&"})
        answer = await http.fetch(request)
    assert answer.body == b"ok"
    assert server.calls[0].body == b"q=x+y"
    assert server.calls[0].query == {"a": ["1", "2"], "c": ["/"], "b": ["ü&"]}
