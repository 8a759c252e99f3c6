from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kasparro.sources.api import Api
from kasparro.sources.http import HttpClient, HttpOptions
from kasparro.sources.paging import Auto, Cursor, HeaderLink, NextUrl, Offset, PageNumber
from kasparro.sources.tools import Tools

ADAPTER = TypeAdapter(Api)


async def test_one_slice(tmp_path: Path) -> None:
    async with HttpClient(source="x") as http:
        slices = await Api(url="https://h/x").slices(Tools(source="x", http=http, scratch=tmp_path, folder=tmp_path))
    assert [one.name for one in slices] == ["all"]


def test_defaults() -> None:
    api = Api(url="https://h/x")
    assert (api.type, api.method, api.pagination, api.records) == ("api", "GET", Auto(), None)
    assert api.natural_key == ()
    assert api.well_known["title"][0] == "title"
    assert ADAPTER.validate_python({"type": "api", "url": "https://h/x"}) == api


def test_the_example_of_the_contract() -> None:
    api = ADAPTER.validate_python(
        {
            "type": "api",
            "url": "https://api.example.com/v1/tickers",
            "records": "data.items",
            "cursor_field": "updated_at",
            "pagination": {"type": "page_number", "size": 100},
            "auth": {"type": "bearer", "token": "very-secret"},
            "params": {"key": "very-secret"},
            "headers": {"X": "very-secret"},
        }
    )
    assert api.pagination == PageNumber(size=100)
    assert "very-secret" not in repr(api)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "example.com/x"}, "https://host/path"),
        ({"url": "http://["}, "https://host/path"),
        ({"records": "a..b"}, "cannot be read"),
        ({"records": "a[b=c]"}, "condition"),
        ({"json": {"a": 1}}, "needs `method: POST`"),
        ({"form": {"a": 1}}, "needs `method: POST`"),
        ({"method": "POST", "json": {}, "form": {}}, "either"),
        ({"method": "DELETE"}, "GET"),
        ({"cursor_param": "since"}, "needs `cursor_field`"),
        ({"pagination": {"type": "offset", "in": "body"}}, "needs `method: POST`"),
        ({"cursor_field": "a", "cursor_in": "body"}, "needs `method: POST`"),
        ({"lookback": -1}, "greater"),
        ({"max_pages": 0}, "greater"),
        ({"http": {"attempts": 0}}, "greater"),
        ({"auth": {"type": "oauth9"}}, "oauth9"),
        ({"page_size": 5}, "page_size"),
    ],
)
def test_refused(more: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python({"type": "api", "url": "https://h/x", **more})
    assert said in str(caught.value)


def test_every_option_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api-sources.md").read_text(encoding="utf-8")
    known = {"type", "place"}
    for kind in (Api, HttpOptions, Offset, PageNumber, Cursor, NextUrl, HeaderLink):
        for option in fields(kind):
            assert f"`{option.name}`" in text or option.name in known, option.name
    assert "`in`" in text


def test_it_has_a_schema_with_descriptions() -> None:
    properties = ADAPTER.json_schema()["properties"]
    assert all("description" in one for name, one in properties.items() if name != "type"), properties
