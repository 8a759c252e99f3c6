from collections.abc import Callable

import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from kasparro.api.exchange import exchange

Serve = Callable[..., TestClient]


@pytest.mark.parametrize("given", ["a", "9f1c-2_3.4~5", "00-4bf92f3577b34da6a3ce929d0e0e4736-01", "x" * 128, "a/b+c=="])
def test_request_id_is_kept(client: TestClient, given: str) -> None:
    answer = client.get("/livez", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b" ", b"x" * 129, b'a"b', b"a b", b"\xff", b"<script>", b"a,b", b"a\tb"])
def test_harmful_request_id_is_replaced(client: TestClient, given: bytes) -> None:
    answer = client.get("/nowhere", headers=[(b"X-Request-ID", given)])
    made = answer.headers["x-request-id"]
    assert len(made) == 32
    assert made.isalnum()
    assert answer.json()["request_id"] == made


def test_request_ids_differ(client: TestClient) -> None:
    assert len({client.get("/livez").headers["x-request-id"] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "path", ["/livez", "/nowhere", "/health", "/data?limit=0", "/data?%ff=1", "/docs", "/openapi.json"]
)
def test_every_answer_is_guarded(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/data?limit=0", "/openapi.json", "/docs"])
def test_head(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == get.headers["content-length"]


UTF8, NUL, TWICE = "This is not UTF-8.", "A NUL character is not allowed.", "This is given more than once."


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("source=%ff", [("source", UTF8)]),
        ("%c3=x", [("%c3", UTF8)]),
        ("source=%ed%a0%80", [("source", UTF8)]),
        ("source=a%00b", [("source", NUL)]),
        ("%00=x", [("%00", NUL)]),
        ("a=1&a=1", [("a", TWICE)]),
        ("a=1&%61=2", [("a", TWICE)]),
        ("a=%ff&b=%00&c=1&c=2", [("a", UTF8), ("b", NUL), ("c", TWICE)]),
    ],
)
def test_unsound_queries(client: TestClient, query: str, faults: list[tuple[str, str]]) -> None:
    answer = client.get(f"/livez?{query}")
    assert answer.status_code == 422
    assert [(fault["name"], fault["detail"]) for fault in answer.json()["errors"]] == faults


@pytest.mark.parametrize("query", ["", "&&", "a=1&b=1", "q=%E2%98%83", "q=a+b%20c", "a", "=1", "a=b=c"])
def test_sound_queries(client: TestClient, query: str) -> None:
    assert client.get(f"/livez?{query}").status_code == 200


def test_headers_of_the_answer_win(serve: Serve) -> None:
    router = APIRouter()

    @router.get("/own")
    async def own() -> Response:
        return PlainTextResponse("x", headers={"Content-Security-Policy": "default-src 'self'"})

    answer = serve(router).get("/own")
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_failure_after_the_answer_began_cuts_it() -> None:
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("in the middle")

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    with pytest.raises(RuntimeError, match="in the middle"):
        await exchange(app)(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
