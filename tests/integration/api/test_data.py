"""Pages of rows: complete, in order, exact, and the same whichever way they are walked."""

import asyncio
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from kasparro.api import cursor
from kasparro.model.dataset import Dataset, Field, FieldType
from kasparro.store.browse_page import Position
from kasparro.store.database import Database
from kasparro.store.datasets import ensure

Serve = Callable[..., TestClient]

KEYS = "SELECT source, record_key FROM normalized_data ORDER BY source, record_key"


def keys_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["source"], row["record_key"]) for row in page["data"]]


def stored(url: str, condition: str = "true") -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(KEYS.replace("ORDER", f"WHERE {condition} ORDER").encode()).fetchall()


def walk(client: TestClient, **chosen: Any) -> list[tuple[str, str]]:
    """Follow the cursors to the end."""
    found: list[tuple[str, str]] = []
    parameters = dict(chosen)
    while True:
        page = client.get("/data", params=parameters).json()
        found += keys_of(page)
        following = page["pagination"]["next_cursor"]
        assert (following is not None) == page["pagination"]["has_more"]
        if following is None:
            return found
        parameters["cursor"] = following


async def declare(url: str, name: str, kinds: dict[str, FieldType]) -> None:
    fields = tuple(Field(name=field, type=kind) for field, kind in kinds.items())
    async with Database(url, size=1) as database:
        await ensure(database, Dataset(name=name, fields=fields))


def test_envelope(client: TestClient) -> None:
    answer = client.get("/data")
    page = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert list(page) == ["request_id", "api_latency_ms", "data", "pagination"]
    assert page["request_id"] == answer.headers["x-request-id"]
    assert 0 < page["api_latency_ms"] < 10_000
    assert page["pagination"] | {"next_cursor": ""} == {
        "limit": 10,
        "offset": 0,
        "total": 1457,
        "total_kind": "exact",
        "has_more": True,
        "next_cursor": "",
    }


def test_row_is_exact(client: TestClient) -> None:
    text = client.get("/data", params={"source": "news", "limit": 1}).text
    row = json.loads(text, parse_float=Decimal)["data"][0]
    number = row["raw_index"]
    assert list(row) == [
        "source",
        "record_key",
        "title",
        "description",
        "url",
        "value",
        "occurred_at",
        "attributes",
        "run_id",
        "raw_page_id",
        "raw_index",
        "first_seen_at",
        "updated_at",
    ]
    assert row["value"] == Decimal(f"12345678901234567890.{number:012}")
    assert row["occurred_at"] == f"2024-03-01T00:{number - 1:02}:59.123456+00:00"
    assert row["attributes"] == {"n": number, "exact": "0.12345678901234567891", "text": "snow ☃"}
    assert row["description"] == (None if number % 3 == 0 else f'a "quoted"\nline\t\\ {number}')


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_cursors_walk_all_rows_of_a_source_once(client: TestClient, shared_url: str, limit: int) -> None:
    source = "news" if limit == 1 else "coins"
    assert walk(client, source=source, limit=limit) == stored(shared_url, f"source = '{source}'")


def test_cursors_walk_all_rows_once(client: TestClient, shared_url: str) -> None:
    assert walk(client, limit=100) == stored(shared_url)


@pytest.mark.parametrize("condition", ["", "coins"])
def test_offsets_lead_to_the_same_rows(client: TestClient, shared_url: str, condition: str) -> None:
    rows = stored(shared_url, f"source = '{condition}'" if condition else "true")
    chosen = {"source": condition} if condition else {}
    for offset in (0, 1, 99, len(rows) - 1, len(rows), len(rows) + 5, 2**31 - 1):
        page = client.get("/data", params={"limit": 40, "offset": offset, **chosen}).json()
        assert keys_of(page) == rows[offset : offset + 40]
        assert page["pagination"]["has_more"] == (offset + 40 < len(rows))
        assert page["pagination"]["offset"] == offset
        assert page["pagination"]["total"] == len(rows)


def test_cursor_stays_where_it_was_while_a_run_writes(serve: Serve, seeded_url: str) -> None:
    client = serve(seeded_url)
    first = client.get("/data", params={"source": "coins", "limit": 100}).json()
    before = stored(seeded_url, "source = 'coins'")
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("UPDATE normalized_data SET title = 'changed' WHERE source = 'coins'")
        connection.execute(
            "INSERT INTO normalized_data (source, record_key, record_hash, run_id, raw_page_id, raw_index) "
            "VALUES ('coins', '!first of all', 0, 1, 1, 0)"
        )
    following = first["pagination"]["next_cursor"]
    second = client.get("/data", params={"source": "coins", "limit": 100, "cursor": following}).json()
    assert keys_of(first) + keys_of(second) == before[:200]
    assert second["pagination"]["offset"] is None


def test_link_gives_the_next_page(client: TestClient, shared_url: str) -> None:
    answer = client.get("/data", params={"limit": 5, "source": "news"})
    link = re.fullmatch(r'<(\?[^>]+)>; rel="next"', answer.headers["link"])
    assert link is not None
    following = client.get(f"/data{link[1]}")
    assert keys_of(following.json()) == stored(shared_url, "source = 'news'")[5:]
    assert "link" not in following.headers


def test_nothing_there(client: TestClient) -> None:
    page = client.get("/data", params={"source": "nobody"}).json()
    assert page["data"] == []
    assert page["pagination"] == {
        "limit": 10,
        "offset": 0,
        "total": 0,
        "total_kind": "exact",
        "has_more": False,
        "next_cursor": None,
    }


def test_cursor_behind_the_last_row(client: TestClient) -> None:
    behind = cursor.encode(Position(source="zzz", key=""))
    page = client.get("/data", params={"cursor": behind}).json()
    assert (page["data"], page["pagination"]["has_more"], page["pagination"]["total"]) == ([], False, 1457)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=0", ["limit"]),
        ("limit=101", ["limit"]),
        ("limit=", ["limit"]),
        ("limit=5.0", ["limit"]),
        ("limit=%205", ["limit"]),
        ("limit=1_0", ["limit"]),
        ("limit=٣", ["limit"]),
        ("offset=-1", ["offset"]),
        ("offset=2147483648", ["offset"]),
        ("offset=99999999999999999999999", ["offset"]),
        ("source=", ["source"]),
        ("source=%00", ["source"]),
        ("source=%ff", ["source"]),
        ("cursor=", ["cursor"]),
        ("cursor=%00", ["cursor"]),
        ("cursor=nonsense", ["cursor"]),
        ("limit=1&limit=2", ["limit"]),
        ("limit=1&%6cimit=2", ["limit"]),
        ("limit=0&offset=-1", ["limit", "offset"]),
        ("page=2", ["page"]),
        ("%ff=1", ["%ff"]),
    ],
)
def test_refused(client: TestClient, query: str, names: list[str]) -> None:
    answer = client.get(f"/data?{query}")
    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "invalid_request"
    assert [fault["name"] for fault in problem["errors"]] == names
    assert all(fault["detail"] in problem["detail"] for fault in problem["errors"])


def test_did_you_mean(client: TestClient) -> None:
    assert "Did you mean limit?" in client.get("/data?limt=1").json()["detail"]
    assert "There are: limit." in client.get("/stats?colour=red").json()["detail"]


def test_cursor_is_not_mixed_with_another_place(client: TestClient) -> None:
    place = cursor.encode(Position(source="coins", key="a"))
    both = client.get("/data", params={"cursor": place, "offset": 0})
    other = client.get("/data", params={"cursor": place, "source": "news"})
    assert (both.status_code, other.status_code) == (422, 422)
    assert "not both" in both.json()["detail"]
    assert "another source" in other.json()["detail"]


def test_etag_changes_with_the_data(serve: Serve, seeded_url: str) -> None:
    client = serve(seeded_url)
    first = client.get("/data?limit=3")
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    again = client.get("/data?limit=3", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/data?limit=4", headers={"If-None-Match": tag}).status_code == 200
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("UPDATE dataset_total SET changes = changes + 1 WHERE source = 'news' AND shard = 0")
    changed = client.get("/data?limit=3", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_etag_of_a_source_ignores_the_others(serve: Serve, seeded_url: str) -> None:
    client = serve(seeded_url)
    tag = client.get("/data?source=coins").headers["etag"]
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("UPDATE dataset_total SET changes = changes + 1 WHERE source = 'news' AND shard = 0")
    assert client.get("/data?source=coins", headers={"If-None-Match": tag}).status_code == 304


def test_not_modified_reads_no_row(serve: Serve, seeded_url: str) -> None:
    client = serve(seeded_url)
    tag = client.get("/data").headers["etag"]
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("DELETE FROM normalized_data")
        connection.execute("INSERT INTO normalized_data VALUES ('x','y',NULL,NULL,NULL,'NaN',NULL,NULL,0,0,0,0)")
    assert client.get("/data", headers={"If-None-Match": tag}).status_code == 304


def test_declared_dataset(serve: Serve, seeded_url: str) -> None:
    client = serve(seeded_url)
    kinds: dict[str, FieldType] = {
        "order": "integer",
        "page": "float",
        "paid": "boolean",
        "on_day": "date",
        "extra": "json",
    }
    asyncio.run(declare(seeded_url, "sales", kinds))
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO data.sales ("order", page, paid, on_day, extra, source, record_key, record_hash, run_id, '
            "raw_page_id, raw_index) VALUES "
            "(9007199254740993, 'NaN', true, '2024-02-29', '[1.10]', 'shop', 'a', 0, 1, 1, 0)"
        )
        connection.execute("INSERT INTO dataset_total VALUES ('sales', 'shop', 0, 1, 1)")
    answer = client.get("/data/sales")
    row = answer.json()["data"][0]
    assert answer.json()["pagination"]["total"] == 1
    assert {name: row[name] for name in kinds} == {
        "order": 9007199254740993,
        "page": "NaN",
        "paid": True,
        "on_day": "2024-02-29",
        "extra": [1.1],
    }
    assert '"extra":[1.10]' in answer.text


def test_built_in_dataset_by_its_name(client: TestClient) -> None:
    assert client.get("/data/normalized_data").json()["data"] == client.get("/data").json()["data"]


@pytest.mark.parametrize("name", ["nobody", "UPPER", "a'b", "%00", "%ff", 'x"; DROP TABLE etl_run; --', "a" * 5000])
def test_unknown_dataset(client: TestClient, name: str) -> None:
    answer = client.get(f"/data/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_head_is_get_without_a_body(client: TestClient) -> None:
    head, get = client.head("/data?limit=3"), client.get("/data?limit=3")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == get.headers["etag"]
    assert abs(int(head.headers["content-length"]) - len(get.content)) < 10
