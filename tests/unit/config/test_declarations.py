"""A whole configuration: what it becomes, and what is said when it has several mistakes."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from kasparro.config import Config, declare_sources, load_config
from kasparro.errors import Misconfigured
from kasparro.model.dataset import NORMALIZED, Dataset, Field
from kasparro.model.mapping import FieldRule
from kasparro.model.mapping import Mapping as FieldMapping

Load = Callable[..., Config]
Mistaken = Callable[..., list[str]]

SOUND = """
sources:
  coins:
    type: web
    url: https://api.example.com/v1/tickers
    primary_key: id
    auth: {type: bearer, token: "${COINS_TOKEN}"}
    timezone: Europe/Berlin
    mapping:
      title: [name, "labels.en"]
      value: quotes.USD.price
      occurred_at: {path: day, format: "%d/%m/%Y"}
      description: {const: 1.10}
      url: {sql: "'https://x/' || {slug}"}
      attributes: [symbol, rank]
  sales:
    type: table
    path: [a.csv, b.csv]
    dataset: sales
    primary_key: [order_id, line]
datasets:
  sales:
    fields:
      order_id: {type: text, required: true, max_length: 20}
      line: integer
      amount: {type: numeric, min: 0.10, max: "0.12345678901234567891"}
      state: {one_of: [open, "no"], pattern: "[a-z]+"}
"""

FIVE_MISTAKES = """sources:
  coins:
    type: web
    ulr: https://api.example.com
    pagination: {type: page_nummer, size: 100}
    mapping:
      titel: name
  sales:
    type: table
    path: 7
datasets:
  sales:
    fields:
      amount: {type: decimal}
"""


def test_a_sound_file_becomes_values_of_the_model(load: Load, kinds: Mapping[str, type]) -> None:
    config = load(SOUND, {"COINS_TOKEN": "sesame"})
    coins, sales = config.sources
    assert isinstance(coins.kind, kinds["web"])
    assert coins.primary_key == ("id",)
    assert coins.timezone == "Europe/Berlin"
    assert coins.mapping == FieldMapping(
        rules={
            "title": FieldRule(paths=("name", "labels.en")),
            "value": FieldRule(paths=("quotes.USD.price",)),
            "occurred_at": FieldRule(paths=("day",), format="%d/%m/%Y"),
            "description": FieldRule(const="1.10"),
            "url": FieldRule(sql="'https://x/' || {slug}"),
        },
        attributes=("symbol", "rank"),
    )
    assert sales.kind.path == ("a.csv", "b.csv")
    assert (sales.dataset, sales.primary_key, sales.mapping) == ("sales", ("order_id", "line"), None)
    assert config.datasets == {
        "normalized_data": NORMALIZED,
        "sales": Dataset(
            name="sales",
            fields=(
                Field(name="order_id", required=True, max_length=20),
                Field(name="line", type="integer"),
                Field(name="amount", type="numeric", min=0.1, max="0.12345678901234567891"),
                Field(name="state", one_of=("open", "no"), pattern="[a-z]+"),
            ),
        ),
    }
    assert (config.path, config.folder) == (Path("kasparro.yaml"), Path())


def test_five_mistakes_are_said_at_once_word_by_word(load: Load) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(FIVE_MISTAKES)
    assert str(caught.value) == (
        "kasparro.yaml has 5 mistakes:\n"
        '  kasparro.yaml:4: sources.coins.ulr: unknown key; did you mean "url"?\n'
        '  kasparro.yaml:5: sources.coins.pagination.type: "page_nummer" is not one of page_number, cursor; '
        'did you mean "page_number"?\n'
        '  kasparro.yaml:7: sources.coins.mapping.titel: the dataset normalized_data has no field "titel"; '
        'did you mean "title"?\n'
        "  kasparro.yaml:10: sources.sales.path: must be a text or a list, not 7; put it in quotes\n"
        '  kasparro.yaml:14: datasets.sales.fields.amount.type: "decimal" is not one of text, integer, numeric, float, '
        'boolean, timestamp, date, json; did you mean "numeric"?'
    )
    assert caught.value.facts["mistakes"][0] == {
        "file": "kasparro.yaml",
        "line": 4,
        "path": "sources.coins.ulr",
        "problem": 'unknown key; did you mean "url"?',
    }


def test_the_error_survives_a_process_boundary(load: Load) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(FIVE_MISTAKES)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.facts) == (str(caught.value), caught.value.facts)


def test_secrets_are_known_and_never_shown(load: Load) -> None:
    text = """
sources:
  a: {type: web, url: "https://u:${PW}@x/", key: "written-here", headers: {X-Api-Key: "Token in-a-header"}}
"""
    config = load(text, {"PW": "from-the-environment"})
    assert config.secrets == {"from-the-environment", "written-here", "Token in-a-header", "in-a-header"}
    assert "from-the-environment" not in repr(config).replace(config.sources[0].kind.url, "")
    assert "written-here" not in repr(config)


@pytest.mark.parametrize(
    "line",
    [
        'key: ["${SECRET}"]',
        'key: {a: "${SECRET}"}',
        'wait: "${SECRET}"',
        'pagination: "${SECRET}"',
        'pagination: {type: "${SECRET}"}',
        'dataset: "${SECRET}"',
        'timezone: "${SECRET}"',
        'primary_key: "..${SECRET}"',
        'mapping: {title: "..${SECRET}"}',
        'mapping: {title: {sql: "${SECRET} ("}}',
        'mapping: {title: {sql: "{..${SECRET}}"}}',
        'auth: "${SECRET}"',
        'auth: {type: bearer, token: ["${SECRET}"]}',
    ],
)
@pytest.mark.parametrize("secret", ["xyq", "sesame-open-thyself"])
def test_no_message_echoes_what_came_from_the_environment(mistakes_of: Mistaken, line: str, secret: str) -> None:
    found = mistakes_of(f"sources:\n  a:\n    type: web\n    url: https://x\n    {line}\n", {"SECRET": secret})
    assert found[0].startswith("kasparro.yaml:5: sources.a.")
    assert secret not in "\n".join(found)


@pytest.mark.parametrize(
    "line", ["auth: sesame", "key: [sesame]", "key: 12345678", "auth: {type: bearer, token: 12345678}"]
)
def test_no_message_echoes_what_stands_where_a_secret_belongs(mistakes_of: Mistaken, line: str) -> None:
    (found,) = mistakes_of(f"sources:\n  a:\n    type: web\n    url: https://x\n    {line}\n")
    assert "sesame" not in found
    assert "12345678" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'kasparro.yaml: is empty; declare at least one source under "sources:"'),
        ("# nothing\n", 'kasparro.yaml: is empty; declare at least one source under "sources:"'),
        ("- a\n", "kasparro.yaml:1: must be a mapping with the keys sources and datasets, not a list"),
        ("sources\n", 'kasparro.yaml:1: must be a mapping with the keys sources and datasets, not "sources"'),
        ("{}\n", 'kasparro.yaml:1: the key "sources" is missing; declare at least one source'),
        ("sources:\n", 'kasparro.yaml:1: the key "sources" is missing; declare at least one source'),
        ("sources: [a]\n", "kasparro.yaml:1: sources: must be a mapping, not a list"),
        ("sources: {}\nsource: {}\n", 'kasparro.yaml:2: source: unknown key; did you mean "sources"?'),
        (
            "sources: {}\nxyz: 1\n",
            "kasparro.yaml:2: xyz: unknown key; the keys are datasets, hosts, notifications, sources",
        ),
        ("sources:\n  a:\n", 'kasparro.yaml:2: sources.a: the key "type" is missing; it is one of web, table'),
        ("sources:\n  a: b\n", 'kasparro.yaml:2: sources.a: must be a mapping of keys such as type, not "b"'),
        ("sources: {}\ndatasets: 5\n", "kasparro.yaml:2: datasets: must be a mapping, not 5"),
    ],
)
def test_a_file_of_another_shape_ends_in_one_sentence(mistakes_of: Mistaken, text: str, message: str) -> None:
    assert mistakes_of(text) == [message]


def test_a_file_without_sources_in_it_is_allowed(load: Load) -> None:
    assert load("sources: {}\n").sources == ()


def test_a_missing_variable_is_one_mistake_and_not_two(mistakes_of: Mistaken) -> None:
    (found,) = mistakes_of('sources:\n  a: {type: web, url: https://x, wait: "${WAIT}"}\n', {"WAITS": "1"})
    assert found == (
        "kasparro.yaml:2: sources.a.wait: the environment variable WAIT is not set; set it, or write ${WAIT:-default}; "
        'did you mean "WAITS"?'
    )


def test_variables_stand_for_numbers_and_booleans(load: Load) -> None:
    text = """
sources:
  a: {type: web, url: "${U:-https://x}", wait: "${W}"}
  b: {type: table, path: p, header: "${H}"}
"""
    web, table = load(text, {"W": "2.5", "H": "false"}).sources
    assert (web.kind.url, web.kind.wait, table.kind.header) == ("https://x", 2.5, False)


def test_a_schedule_that_is_kept_needs_no_note(load: Load) -> None:
    assert load('sources: {a: {type: web, url: "https://x", schedule: "0 * * * *"}}\n').notes == ()


def test_anchors_and_merge_keys_share_what_sources_have_in_common(load: Load) -> None:
    text = """
sources:
  a: &shared
    type: web
    url: https://x
    wait: 3
  b:
    <<: *shared
    url: https://y
"""
    a, b = load(text).sources
    assert (a.kind.url, a.kind.wait) == ("https://x", 3.0)
    assert (b.kind.url, b.kind.wait) == ("https://y", 3.0)


def test_the_same_from_python(kinds: Mapping[str, type], tmp_path: Path) -> None:
    class Sale(BaseModel):
        order_id: str

    sources: dict[str, Any] = {
        "coins": {"type": "web", "url": "https://x", "mapping": {"title": ("name", "label")}},
        "sales": {"type": "table", "path": tmp_path / "a.csv", "dataset": "sales"},
        "old": kinds["table"](path="b.csv"),
    }
    datasets: dict[str, Any] = {
        "sales": Sale,
        "more": {"fields": {"a": "text"}},
        "given": Dataset(name="x", fields=(Field(name="a"),)),
    }
    config = declare_sources(sources, datasets, tmp_path, kinds=kinds)
    coins, sales, old = config.sources
    assert coins.mapping == FieldMapping(rules={"title": FieldRule(paths=("name", "label"))})
    assert sales.kind.path == str(tmp_path / "a.csv")
    assert (old.name, old.kind.path, old.dataset) == ("old", "b.csv", "normalized_data")
    assert [dataset.name for dataset in config.datasets.values()] == ["normalized_data", "sales", "more", "given"]
    assert (config.folder, config.path) == (tmp_path, None)


def test_mistakes_from_python_have_no_line(kinds: Mapping[str, type]) -> None:
    with pytest.raises(Misconfigured) as caught:
        declare_sources({"a": {"type": "wep", "mapping": {"titel": "x"}}, "b": kinds["table"](path=5)}, kinds=kinds)
    assert str(caught.value) == (
        "the declaration has 3 mistakes:\n"
        '  sources.a.type: "wep" is not one of web, table; did you mean "web"?\n'
        '  sources.a.mapping.titel: the dataset normalized_data has no field "titel"; did you mean "title"?\n'
        "  sources.b.path: must be a text or a list, not 5; put it in quotes"
    )


def test_python_fills_in_variables_only_when_given_an_environment(kinds: Mapping[str, type]) -> None:
    sources = {"a": {"type": "table", "path": "${FOLDER}/a.csv"}}
    plain = declare_sources(sources, kinds=kinds)
    filled = declare_sources(sources, environ={"FOLDER": "data"}, kinds=kinds)
    assert (plain.sources[0].kind.path, plain.secrets) == ("${FOLDER}/a.csv", frozenset())
    assert (filled.sources[0].kind.path, filled.secrets) == ("data/a.csv", frozenset({"data"}))


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match='there is no such file; create it with "kasparro init", or name another'):
        load_config(tmp_path / "kasparro.yaml", {})
