from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends
from pydantic import SecretStr
from starlette.testclient import TestClient

from kasparro.api.security import operator_access, read_access
from kasparro.api.settings import ApiSettings
from kasparro.errors import Misconfigured

Serve = Callable[..., TestClient]

KEY = SecretStr("0123456789abcdef")
GOOD: list[dict[str, Any]] = [
    {"X-API-Key": "0123456789abcdef"},
    {"Authorization": "Bearer 0123456789abcdef"},
    {"Authorization": "bearer 0123456789abcdef"},
    {"X-API-Key": "wrong", "Authorization": "Bearer 0123456789abcdef"},
]
BAD: list[dict[str, Any]] = [
    {},
    {"X-API-Key": ""},
    {"X-API-Key": "0123456789abcde"},
    {"X-API-Key": "0123456789abcdef0"},
    {"X-API-Key": b"\xff\xfe"},
    {"Authorization": "0123456789abcdef"},
    {"Authorization": "Basic 0123456789abcdef"},
    {"Authorization": "Bearer"},
]


def routes() -> APIRouter:
    router = APIRouter()

    @router.post("/operate", dependencies=[Depends(operator_access)])
    async def operate() -> str:
        return "done"

    @router.get("/read", dependencies=[Depends(read_access)])
    async def read() -> str:
        return "read"

    return router


@pytest.mark.parametrize("headers", GOOD)
def test_the_key_opens(serve: Serve, headers: dict[str, Any]) -> None:
    client = serve(routes(), api_key=KEY, public_read=True)
    assert client.post("/operate", headers=headers).status_code == 200
    assert serve(routes(), api_key=KEY, public_read=False).get("/read", headers=headers).status_code == 200


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize("headers", BAD)
def test_nothing_else_does(serve: Serve, headers: dict[str, Any], *, loopback: bool) -> None:
    client = serve(routes(), api_key=KEY, loopback=loopback, public_read=False)
    for answer in (client.post("/operate", headers=headers), client.get("/read", headers=headers)):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "denied"
        assert KEY.get_secret_value() not in answer.text


def test_public_reads_are_open_and_operating_is_not(serve: Serve) -> None:
    client = serve(routes(), api_key=KEY, public_read=True)
    assert client.get("/read").status_code == 200
    assert client.post("/operate").status_code == 401


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_without_a_key_this_machine_may(serve: Serve, host: str) -> None:
    client = serve(routes(), loopback=True, public_read=False)
    for headers in ({"Host": host}, {"Host": host, "Origin": "http://localhost:8000"}):
        assert client.post("/operate", headers=headers).status_code == 200
        assert client.get("/read", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"Host": "["},
        {"Host": "localhost", "Origin": "https://evil.example"},
        {"Host": "localhost", "Origin": "null"},
        {"Host": "localhost", "Origin": "http://["},
        {"Host": "localhost", "X-Forwarded-For": "127.0.0.1"},
        {"Host": "localhost", "Via": "1.1 proxy"},
    ],
)
def test_pages_of_others_may_not(serve: Serve, headers: dict[str, str]) -> None:
    answer = serve(routes(), loopback=True).post("/operate", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("caller", ["10.0.0.9", "2001:db8::1", "", "testclient"])
def test_callers_from_elsewhere_may_not(serve: Serve, caller: str) -> None:
    assert serve(routes(), caller=caller, loopback=True).post("/operate").status_code == 403


@pytest.mark.parametrize("caller", ["127.0.0.1", "127.9.9.9", "::1"])
def test_callers_from_here_may(serve: Serve, caller: str) -> None:
    assert serve(routes(), caller=caller, loopback=True).post("/operate").status_code == 200


def test_without_a_key_other_machines_may_not(serve: Serve) -> None:
    answer = serve(routes(), loopback=False).post("/operate", headers={"X-API-Key": "guess"})
    assert answer.status_code == 403
    assert "Set API_KEY" in answer.json()["detail"]


@pytest.mark.parametrize("settings", [{"production": True}, {"api_key": SecretStr("")}, {"api_key": SecretStr("  ")}])
def test_settings_that_would_leave_it_open(settings: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="API_KEY"):
        ApiSettings(**settings)


def test_settings_hide_the_key() -> None:
    assert "0123456789abcdef" not in repr(ApiSettings(api_key=KEY, production=True))
