"""Who may read."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

KEY = "correct horse ☂"
READS = ["/data", "/data/sales", "/stats", "/"]
OPEN = ["/health", "/livez", "/readyz", "/docs", "/redoc", "/openapi.json"]


def given(name: str, value: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode())]


@pytest.fixture
def closed(serve: Callable[..., TestClient], shared_url: str) -> TestClient:
    """An application whose reads need a key."""
    return serve(shared_url, public_read=False, api_key=SecretStr(KEY))


@pytest.mark.parametrize("path", READS)
def test_reads_need_the_key(closed: TestClient, path: str) -> None:
    for name, value in (("X-Other", "x"), ("X-API-Key", "wrong"), ("Authorization", "Bearer wrong"), ("X-API-Key", "")):
        answer = closed.get(path, headers=given(name, value))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "denied"
        assert KEY not in answer.text
    for name, value in (("X-API-Key", KEY), ("Authorization", f"Bearer {KEY}")):
        assert closed.get(path, headers=given(name, value)).status_code == (404 if path == "/data/sales" else 200)


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_documentation_do_not(closed: TestClient, path: str) -> None:
    assert closed.get(path).status_code == 200


def test_closed_answers_are_private(closed: TestClient, client: TestClient) -> None:
    assert closed.get("/data", headers=given("X-API-Key", KEY)).headers["cache-control"] == "private, no-cache"
    assert client.get("/data").headers["cache-control"] == "no-cache"


def test_document_tells_of_the_key(closed: TestClient, client: TestClient) -> None:
    document = closed.get("/openapi.json").json()
    assert document["paths"]["/data"]["get"]["security"] == [{"ApiKey": []}, {"Bearer": []}]
    assert {"401", "403"} <= document["paths"]["/stats"]["get"]["responses"].keys()
    assert "security" not in document["paths"]["/health"]["get"]
    public = client.get("/openapi.json").json()
    assert "security" not in public["paths"]["/data"]["get"]
    assert "401" not in public["paths"]["/data"]["get"]["responses"]
