from typing import Any

import pytest
from starlette.testclient import TestClient

PATHS = {"/data", "/data/{dataset}", "/stats", "/runs", "/runs/{run_id}", "/runs/compare", "/findings"} | {
    *("/health", "/livez", "/readyz", "/metrics", "/queue", "/queue/{job_id}"),
}

DECISIONS = {"/runs/{run_id}/release", "/runs/{run_id}/drop", "/queue/{job_id}/cancel"}


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def test_it_lists_what_there_is(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == PATHS | DECISIONS
    for path, operations in document["paths"].items():
        wanted = {"get", "post"} if path == "/runs" else {"post"} if path in DECISIONS else {"get"}
        assert set(operations) == wanted


def test_decisions_need_the_key_whether_reads_are_open_or_not(document: dict[str, Any]) -> None:
    for path in (*DECISIONS, "/runs"):
        operation = document["paths"][path]["post"]
        assert operation["security"] == [{"ApiKey": []}, {"Bearer": []}]
        assert {"401", "403", "404", "409", "422"} <= operation["responses"].keys()


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    each = [(path, one) for path, operations in document["paths"].items() for one in operations.values()]
    for path, operation in each:
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and (path, status) != ("/health", "503"):
                assert answer["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }
            assert "X-Request-ID" in answer["headers"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_objects_are_closed_unless_they_say_so(document: dict[str, Any]) -> None:
    open_ones = {name for name, schema in document["components"]["schemas"].items() if schema["additionalProperties"]}
    assert open_ones == {"DatasetRow"}


def test_parameters(document: dict[str, Any]) -> None:
    parameters = {one["name"]: one["schema"] for one in document["paths"]["/data"]["get"]["parameters"]}
    assert list(parameters) == ["limit", "offset", "source", "cursor"]
    limit = parameters["limit"]
    assert (limit["type"], limit["minimum"], limit["maximum"], limit["default"]) == ("integer", 1, 100, 10)
    assert parameters["offset"]["maximum"] == 2**31 - 1


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    def references(value: object) -> list[str]:
        match value:
            case {"$ref": str(reference)}:
                return [reference]
            case dict():
                return [found for one in value.values() for found in references(one)]
            case list():
                return [found for one in value for found in references(one)]
            case _:
                return []

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names == set(document["components"]["schemas"])
