"""Requests are counted by the template of their route, by what was answered, and whoever answers."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.testclient import TestClient

from kasparro.api.exchange import exchange
from kasparro.api.measuring import measured
from kasparro.observe.metrics import Meter

Counted = Callable[..., dict[tuple[str, ...], float]]


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def client(meter: Meter) -> TestClient:
    app = FastAPI(docs_url=None, redoc_url=None)
    router = APIRouter()

    @router.get("/data/{dataset}")
    async def data(dataset: str) -> Response:
        return PlainTextResponse(dataset)

    @router.get("/stream")
    async def stream() -> Response:
        return StreamingResponse(iter(["a", "b"]))

    async def plain(_request: object) -> Response:
        return PlainTextResponse("plain")

    app.include_router(router)
    app.add_route("/plain", plain)
    app.mount("/assets", PlainTextResponse("file"))
    app.add_middleware(exchange)
    app.add_middleware(measured, meter=meter)
    return TestClient(app, raise_server_exceptions=False)


def counted(meter: Meter) -> dict[tuple[str, ...], float]:
    return {series.labels: tally.value for series, tally in meter.look().items() if not series.bounds}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/data/coins", ("/data/{dataset}", "GET", "200")),
        ("GET", "/data/coins?limit=1", ("/data/{dataset}", "GET", "200")),
        ("HEAD", "/data/coins", ("/data/{dataset}", "HEAD", "200")),
        ("POST", "/data/coins", ("/data/{dataset}", "POST", "405")),
        ("BREW", "/data/coins", ("/data/{dataset}", "other", "405")),
        ("GET", "/nowhere", ("unmatched", "GET", "404")),
        ("GET", "/data/coins?a=1&a=2", ("unmatched", "GET", "422")),
        ("GET", "/stream", ("/stream", "GET", "200")),
        ("GET", "/plain", ("/plain", "GET", "200")),
        ("GET", "/assets/a.css", ("/assets", "GET", "200")),
        ("GET", "/openapi.json", ("/openapi.json", "GET", "200")),
    ],
)
def test_labels(client: TestClient, meter: Meter, method: str, path: str, expected: tuple[str, ...]) -> None:
    client.request(method, path)
    assert counted(meter) == {expected: 1}
    ((labels, tally),) = [(one.labels, tally) for one, tally in meter.look().items() if one.bounds]
    assert labels == expected[:2]
    assert sum(tally.counts) == 1
    assert tally.value > 0


async def test_ten_thousand_addresses_are_one_series(client: TestClient, meter: Meter) -> None:
    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        assert message.get("status", 404) == 404

    for number in range(10_000):
        path = f"/wp-admin/{number}"
        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
        await client.app({**scope, "http_version": "1.1", "scheme": "http"}, receive, send)
    assert counted(meter) == {("unmatched", "GET", "404"): 10_000}


async def test_what_is_no_request_passes_through() -> None:
    passed: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(scope["type"])

    async def nothing(*_: Any) -> Any: ...

    meter = Meter()
    await measured(app, meter)({"type": "websocket"}, nothing, nothing)
    assert passed == ["websocket"]
    assert meter.look() == {}


async def test_an_answer_that_never_began_is_an_error() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError

    async def nothing(*_: Any) -> Any: ...

    meter = Meter()
    with pytest.raises(RuntimeError):
        await measured(app, meter)({"type": "http", "method": "GET"}, nothing, nothing)
    assert counted(meter) == {("unmatched", "GET", "500"): 1}
