from collections.abc import Callable

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    return serve(loopback=True)


def test_without_a_database_it_answers_and_invents_nothing(client: TestClient) -> None:
    client.get("/livez")
    answer = client.get("/metrics")
    assert answer.status_code == 200
    told = [line for line in answer.text.splitlines() if not line.startswith("#")]
    # The total of all processes is not known, so what this one has counted is not told as if it were that.
    assert told == ["kasparro_database_up 0", 'kasparro_build_info{version="0"} 1']


def test_the_format_is_that_which_is_accepted(client: TestClient) -> None:
    plain, opened = client.get("/metrics"), client.get("/metrics", headers={"Accept": PROMETHEUS})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert opened.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert opened.text == f"{plain.text}# EOF\n"
    assert (plain.headers["vary"], plain.headers["cache-control"]) == ("Accept", "no-store")


def test_it_is_for_operators_though_reads_are_public(serve: Callable[..., TestClient]) -> None:
    closed = serve(api_key=SecretStr("s3cret-s3cret"), public_read=True)
    assert closed.get("/metrics").status_code == 401
    assert closed.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    for name, value in (("Authorization", "Bearer s3cret-s3cret"), ("X-API-Key", "s3cret-s3cret")):
        assert closed.get("/metrics", headers={name: value}).status_code == 200


def test_without_a_key_it_is_for_this_machine(serve: Callable[..., TestClient]) -> None:
    assert serve(loopback=True).get("/metrics").status_code == 200
    assert serve(loopback=False).get("/metrics").status_code == 403
    assert serve(loopback=True, caller="192.0.2.7").get("/metrics").status_code == 403
