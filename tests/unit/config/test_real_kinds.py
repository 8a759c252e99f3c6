"""The kinds that there are, read as a user writes them."""

import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from kasparro.config import declare_sources, load_config
from kasparro.config.json_schema import json_schema
from kasparro.config.yaml_file import read_yaml
from kasparro.errors import Misconfigured
from kasparro.sources.api import Api
from kasparro.sources.csv import Csv
from kasparro.sources.kinds import KINDS
from kasparro.sources.rss import Rss

PROMISED = """
sources:
  coins:
    type: api                       # api | csv | file | rss | database | push | singer
    url: https://api.example.com/v1/tickers
    records: data.items             # where the list of records is; found by itself when there is only one
    primary_key: id
    cursor_field: updated_at        # incremental: only what changed since the checkpoint
    schedule: "*/15 * * * *"
    pagination: {type: page_number, size: 100}
    auth: {type: bearer, token: "${COINS_TOKEN}"}
    rate_limit: 10/s
    mapping:
      title: name
      value: quotes.USD.price
      occurred_at: last_updated
      attributes: [symbol, rank]    # everything not named goes to attributes when this line is absent
  sales:
    type: csv
    path: data/sales-*.csv
    dataset: sales                  # default: normalized_data, which is built in
    primary_key: [order_id, line]
datasets:
  sales:                            # own typed table data.sales, served at /data/sales
    fields:
      order_id: {type: text, required: true, max_length: 20}
      line: integer                 # text | integer | numeric | float | boolean | timestamp | date | json
      amount: {type: numeric, min: 0}
      sold_at: timestamp
"""
"""The example that the promises to users give."""

DOCS = Path(__file__).parents[3] / "docs" / "configuration.md"


def documented() -> str:
    found = re.search(r"```yaml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("text", [PROMISED, documented()], ids=["promised", "documented"])
def test_the_promised_example_is_taken_by_reader_and_schema(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kasparro.yaml"
    path.write_text(text, "utf-8")
    config = load_config(path, {"COINS_TOKEN": "sesame-open"})
    coins, sales = config.sources
    assert isinstance(coins.kind, Api)
    assert isinstance(sales.kind, Csv)
    assert sales.kind.path == "data/sales-*.csv"
    assert config.secrets == {"sesame-open"}
    assert list(Draft202012Validator(json_schema()).iter_errors(read_yaml(path).data)) == []


def test_kinds_cannot_be_changed() -> None:
    assert dict(KINDS) == {"csv": Csv, "api": Api, "rss": Rss}
    with pytest.raises(TypeError):
        cast("MutableMapping[str, type]", KINDS)["x"] = Csv


def test_a_declaration_in_python() -> None:
    config = declare_sources(
        {
            "api_source": {"type": "api", "url": "https://api.example.com/data"},
            "csv_source": {"type": "csv", "path": "data/sample.csv"},
            "feed": Rss(url="https://example.com/feed"),
        }
    )
    assert [(one.name, type(one.kind)) for one in config.sources] == [
        ("api_source", Api),
        ("csv_source", Csv),
        ("feed", Rss),
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "csv"}, "sources.a: "),
        ({"type": "csv", "path": 5}, "sources.a.path: must be a text or a list, not 5; put it in quotes"),
        ({"type": "csv", "path": "x", "delimeter": ";"}, 'sources.a.delimeter: unknown key; did you mean "delimiter"?'),
        ({"type": "api"}, 'sources.a: the key "url" is missing'),
        ({"type": "api", "url": "x"}, "sources.a: url must look like https://host/path"),
        ({"type": "csv", "url": "http://[::1"}, "sources.a: an address must look like https://host/path"),
        ({"type": "csv", "path": ["a.csv", "http://h:0x/"]}, "sources.a: an address must look like https://host/path"),
        (
            {"type": "api", "url": "https://x", "pagination": {"type": "page_nummer"}},
            'sources.a.pagination.type: "page_nummer" is not one of auto, single_page, offset, page_number',
        ),
        (
            {"type": "api", "url": "https://x", "pagination": "singel_page"},
            'sources.a.pagination.type: "singel_page" is not one of auto, single_page, offset, page_number',
        ),
        (
            {"type": "api", "url": "https://x", "auth": {"type": "bearer", "tokn": "sesame"}},
            'sources.a.auth.tokn: unknown key; did you mean "token"?',
        ),
        (
            {"type": "api", "url": "https://x", "auth": {"type": "bearer", "token": " "}},
            "sources.a.auth: token is empty",
        ),
        ({"type": "rss", "url": "https://x", "remember": 0}, "sources.a.remember: must be at least 1, not 0"),
    ],
)
def test_mistakes_of_real_kinds(source: dict[str, Any], said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        declare_sources({"a": source})
    assert str(caught.value).startswith(said)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "api", "url": "https://x", "auth": {"type": "bearer", "token": "${NOWHERE}"}},
        {"type": "api", "url": "${NOWHERE}"},
        {"type": "csv", "path": "${NOWHERE}"},
    ],
)
def test_a_missing_variable_is_no_empty_value_too(source: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        declare_sources({"a": source}, environ={})
    (mistake,) = caught.value.facts["mistakes"]
    assert mistake["problem"].startswith("the environment variable NOWHERE is not set")
