"""The client above a transport that is not the network. What sockets do is in the integration tests."""

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from kasparro.errors import Broken, Denied, KasparroError, Misconfigured, NotFound, RateLimited, Unreachable
from kasparro.model.events import Event, Fetched, Retrying
from kasparro.resilience.retry import RetryPolicy, Timing
from kasparro.sources.auth import ApiKey, Bearer
from kasparro.sources.http import HttpClient, HttpOptions
from kasparro.sources.http_errors import TRANSIENT, excerpt
from kasparro.sources.tools import Request

HERE = "https://api.example/items"
TOKEN = Bearer(token=SecretStr("very-secret"))


async def no_sleep(_seconds: float) -> None:
    return


def client(
    answer: Callable[[httpx2.Request], httpx2.Response], events: list[Event] | None = None, **more: object
) -> HttpClient:
    return HttpClient(
        source="coins",
        timing=Timing(sleep=no_sleep),
        emit=(events if events is not None else []).append,
        transport=httpx2.MockTransport(answer),
        **more,  # type: ignore[arg-type]
    )


def said(status: int = 200, body: bytes = b"", **headers: str) -> httpx2.Response:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    return httpx2.Response(status, headers=headers, content=stream())


async def failure(error: Exception) -> tuple[KasparroError, int]:
    calls = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request)
        raise error

    async with client(answer, options=HttpOptions(attempts=2)) as http:
        with pytest.raises(KasparroError) as caught:
            await http.fetch(Request(url=HERE))
    return caught.value, len(calls)


def caused(cause: BaseException) -> httpx2.ConnectError:
    error = httpx2.ConnectError("secret detail")
    error.__cause__ = cause
    return error


CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"


@pytest.mark.parametrize(
    ("error", "kind", "said", "calls"),
    [
        (caused(CERTIFICATE), Broken, "not trusted: self-signed certificate", 1),
        (caused(ssl.SSLError(1, "eof")), Unreachable, "TLS handshake", 2),
        (caused(socket.gaierror(-2, "unknown")), Unreachable, "DNS", 2),
        (caused(ConnectionRefusedError(111, "no")), Unreachable, "refused the connection", 2),
        (caused(ExceptionGroup("all", [ConnectionRefusedError(111, "no")])), Unreachable, "refused the connection", 2),
        (caused(OSError(113, "no route")), Unreachable, "not reached", 2),
        (httpx2.ConnectTimeout("x"), Unreachable, "http.connect_timeout", 2),
        (httpx2.ReadTimeout("x"), Unreachable, "http.read_timeout", 2),
        (httpx2.PoolTimeout("x"), Unreachable, "http.read_timeout", 2),
        (httpx2.ReadError("x"), Unreachable, "reset or closed", 2),
        (httpx2.RemoteProtocolError("x"), Unreachable, "broke off", 2),
        (httpx2.ProxyError("x"), Unreachable, "proxy", 2),
        (httpx2.LocalProtocolError("Illegal header value b'very-secret'"), Misconfigured, "what HTTP forbids", 1),
        (TimeoutError(), Unreachable, "did not answer in full within 300 s", 2),
    ],
)
async def test_what_goes_wrong_on_the_way(error: Exception, kind: type[KasparroError], said: str, calls: int) -> None:
    found, made = await failure(error)
    assert type(found) is kind
    assert said in found.message
    assert found.message.startswith(f"GET {HERE} ")
    assert "secret" not in found.message
    assert made == calls


@pytest.mark.parametrize("url", ["", "x", "ftp://h/", "http://", "http://["])
async def test_addresses_that_are_none(url: str) -> None:
    async with client(lambda _: said(200)) as http:
        with pytest.raises(Misconfigured):
            await http.fetch(Request(url=url))


@pytest.mark.parametrize(("name", "value"), [("X", "a\nb"), ("X", "a\x00b"), ("X Y", "a"), ("Ü", "a"), ("", "a")])
async def test_headers_that_http_forbids(name: str, value: str) -> None:
    async with client(lambda _: said(), headers={name: value}) as http:
        with pytest.raises(Misconfigured, match="characters that HTTP forbids"):
            await http.fetch(Request(url=HERE))


async def test_every_status_is_an_answer_or_an_error() -> None:
    calls: list[httpx2.Request] = []
    status = 300

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request)
        return said(status, b"told why")

    async with client(answer, options=HttpOptions(attempts=3)) as http:
        for status in range(300, 600):
            calls.clear()
            with pytest.raises(KasparroError) as caught:
                await http.fetch(Request(url=HERE))
            transient = isinstance(caught.value, Unreachable | RateLimited)
            assert transient is (status in TRANSIENT)
            assert len(calls) == (3 if transient else 1)
            assert isinstance(caught.value, Denied) is (status in {401, 403})
            assert isinstance(caught.value, NotFound) is (status in {404, 410})
            assert str(status) in caught.value.message
            assert ("told why" in caught.value.message) is (status not in {301, 302, 303, 307, 308})


async def test_an_expected_status_is_an_answer() -> None:
    async with client(lambda _: said(304, ETag="x")) as http:
        answer = await http.fetch(Request(url=HERE, expect=(304,)))
    assert (answer.status, answer.headers["etag"], answer.url) == (304, "x", HERE)


async def test_events() -> None:
    left = [said(503, b"token very-secret"), said(200, b"ok")]
    events: list[Event] = []
    async with client(lambda _: left.pop(0), events, auth=TOKEN) as http:
        answer = await http.fetch(Request(url=HERE + "?api_key=hidden", method="post"))
    assert answer.body == b"ok"
    first, event, second = events
    assert isinstance(first, Fetched)
    assert isinstance(event, Retrying)
    assert isinstance(second, Fetched)
    assert (first.host, first.method, first.status) == ("api.example", "POST", 503)
    assert (second.source, second.status, second.bytes_read) == ("coins", 200, 2)
    assert (event.code, event.asked) == ("unreachable", False)
    assert (event.source, event.place, event.attempt) == ("coins", f"POST {HERE}?api_key=****", 1)
    assert event.reason == f"POST {HERE}?api_key=**** answered 503: token ****"


async def test_home_is_the_first_address_unless_it_is_said() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return said(200)

    async with client(answer, auth=TOKEN, headers={"X-Mine": "1"}) as http:
        await http.fetch(Request(url=HERE))
        await http.fetch(Request(url="https://other.example/"))
        await http.fetch(Request(url="http://api.example/items"))
    assert ["authorization" in request.headers for request in seen] == [True, False, False]
    assert ["x-mine" in request.headers for request in seen] == [True, False, False]
    seen.clear()
    async with client(answer, auth=TOKEN, home=HERE) as http:
        await http.fetch(Request(url="https://other.example/"))
        await http.fetch(Request(url=HERE))
    assert ["authorization" in request.headers for request in seen] == [False, True]


async def test_the_users_headers_win_and_the_key_wins_over_them() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return said(200)

    key = ApiKey(name="key", value=SecretStr("k1"), place="query")
    async with client(answer, auth=key, headers={"accept": "text/csv", "User-Agent": "mine", "X": "é"}) as http:
        result = await http.fetch(Request(url=HERE + "?key=old&a=1", headers={"Accept": "application/json"}))
    assert seen[0].headers["accept"] == "text/csv"
    assert seen[0].headers["user-agent"] == "mine"
    assert str(seen[0].url) == HERE + "?a=1&key=k1"
    assert result.url == HERE + "?key=old&a=1"


async def test_a_url_with_a_password_is_not_shown() -> None:
    async with client(lambda _: said(403, b"pass-word!")) as http:
        with pytest.raises(Denied) as caught:
            await http.fetch(Request(url="https://me:pass-word!@api.example/items"))
    assert "pass-word!" not in f"{caught.value.message}{caught.value.facts}"
    assert "auth.password" in caught.value.message


async def test_outside_of_its_context() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await client(lambda _: said(200)).fetch(Request(url=HERE))


async def test_download_of_what_is_refused_leaves_no_file(tmp_path: Path) -> None:
    async with client(lambda _: said(404)) as http:
        with pytest.raises(NotFound):
            await http.download(Request(url=HERE), tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"  a \n b\t", "a b"),
        (b"<html><style>x{}</style><script>1</script><b>Not&nbsp;here</b></html>", "Not here"),
        (b"\xff\x00x", "\N{REPLACEMENT CHARACTER}x"),
        (b"y" * 500, "y" * 200 + "…"),
        (b"", ""),
    ],
)
def test_excerpt(body: bytes, said: str) -> None:
    assert excerpt(body, str) == said


def test_excerpt_masks_before_it_cuts() -> None:
    body = b"." * 195 + b"very-secret-token"
    assert "very" not in excerpt(body, lambda text: text.replace("very-secret-token", "****"))


def test_options() -> None:
    adapter = TypeAdapter(HttpOptions)
    found = adapter.validate_python({"attempts": 3, "retry_seconds": 9, "backoff": "constant", "first_wait": 2})
    assert found.policy() == RetryPolicy(attempts=3, total_seconds=9, first_wait=2, backoff="constant")
    for wrong in ({"attempts": 0}, {"read_timeout": 0}, {"max_bytes": -1}, {"backoff": "linear"}, {"timeout": 3}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
