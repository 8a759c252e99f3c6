import inspect
from collections.abc import Callable

import pytest
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from kasparro import errors
from kasparro.api.problems import STATUS, status_of, unknown

Serve = Callable[..., TestClient]

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.KasparroError)]


def failing(error: Exception) -> APIRouter:
    router = APIRouter()

    @router.get("/fail")
    async def fail() -> None:
        raise error

    return router


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.KasparroError, 500),
        (errors.Misconfigured, 500),
        (errors.Transient, 503),
        (errors.Unreachable, 503),
        (errors.RateLimited, 503),
        (errors.StoreBusy, 503),
        (errors.Broken, 500),
        (errors.Denied, 401),
        (errors.SchemaBroken, 500),
        (errors.BookmarkLost, 500),
        (errors.NotFound, 404),
        (errors.Conflict, 409),
        (errors.Stopped, 503),
    ],
)
def test_status_of_each_error(serve: Serve, kind: type[errors.KasparroError], status: int) -> None:
    assert status_of(kind("x")) == status
    answer = serve(failing(kind("Secret place."))).get("/fail")
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert problem["code"] == kind.code
    assert problem["type"] == f"urn:kasparro:problem:{kind.code}"
    assert problem["instance"] == "/fail"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert ("Secret place." in problem["detail"]) == (status < 500)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_every_error_of_the_tree_has_a_status() -> None:
    assert set(STATUS) <= set(KINDS)
    assert {status_of(kind("x")) for kind in KINDS} == {401, 404, 409, 500, 503}


def test_what_nobody_foresaw(serve: Serve) -> None:
    error = RuntimeError("password=hunter2")
    with capture_logs() as logged:
        answer = serve(failing(error)).get("/fail", headers={"X-Request-ID": "mine"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json() == {
        "type": "urn:kasparro:problem:internal",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The server failed at this request. Its log says why, under this request id.",
        "instance": "/fail",
        "code": "internal",
        "request_id": "mine",
    }
    told = {"event": "request failed", "log_level": "error", "path": "/fail", "request_id": "mine", "exc_info": error}
    assert told in logged


def test_errors_of_the_framework(serve: Serve) -> None:
    answer = serve(failing(HTTPException(418, "No coffee."))).get("/fail")
    assert (answer.status_code, answer.json()["detail"], answer.json()["code"]) == (418, "No coffee.", "i_m_a_teapot")


def test_no_such_address(client: TestClient) -> None:
    answer = client.get("/no/such%20place%00%ff")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["instance"] == "/no/such%20place%00%EF%BF%BD"


@pytest.mark.parametrize("path", ["/data/", "/stats/", "//data"])
def test_addresses_are_not_guessed(client: TestClient, path: str) -> None:
    assert client.get(f"http://localhost{path}", follow_redirects=False).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/data", "/data/x", "/stats", "/health", "/livez"])
def test_wrong_method(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, HEAD"


def test_unknown_parameter() -> None:
    assert unknown("lmit", ["limit", "offset"]) == "There is no such parameter. Did you mean limit?"
    assert unknown("zzz", ["limit", "offset"]) == "There is no such parameter. There are: limit, offset."


def test_database_that_is_down(client: TestClient) -> None:
    answer = client.get("/data")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_busy")
    assert "db.internal" not in answer.text
    health = client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert client.get("/readyz").json()["detail"] == "The database does not answer."
    assert client.get("/livez").json() == {"status": "ok"}
