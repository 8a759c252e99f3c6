from collections.abc import Callable
from typing import Any

import pytest

from kasparro.config import Config

Load = Callable[..., Config]
Mistaken = Callable[..., list[str]]


def source(*lines: str) -> str:
    return "\n".join(["sources:", "  a:", *(f"    {line}" for line in lines), ""])


def web(*lines: str) -> str:
    return source("type: web", "url: https://x", *lines)


@pytest.mark.parametrize("kind", ["file", "database", "push", "singer"])
def test_kinds_of_a_later_version(mistakes_of: Mistaken, kind: str) -> None:
    (found,) = mistakes_of(source(f"type: {kind}"))
    said = f'sources of type "{kind}" are not available in this version; there are web, table'
    assert found == f"kasparro.yaml:3: sources.a.type: {said}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raw_retention: soon", "raw_retention: is a length of time such as 12h, 30d or 8w"),
        ("raw_retention: 0d", "raw_retention: is a length of time such as 12h, 30d or 8w"),
        ("max_deletions: half", "max_deletions: is a number of records such as 100, or a share such as 2.5%"),
        ("max_rejects: 101%", "max_rejects: is a number of records such as 100, or a share such as 2.5%"),
        (
            "write_disposition: append\n    sync_mode: full_refresh",
            "sync_mode: full_refresh does not go with write_disposition append, which adds to rows",
        ),
        (
            "write_disposition: replace\n    deletions: ignore",
            "deletions: ignore does not go with write_disposition replace; use soft or hard",
        ),
    ],
)
def test_rules_of_refreshes(mistakes_of: Mistaken, line: str, said: str) -> None:
    (found,) = mistakes_of(web(line))
    assert found.split("sources.a.")[1] == said


@pytest.mark.parametrize("key", ["lookback", "backfill"])
def test_keys_of_a_later_version(mistakes_of: Mistaken, key: str) -> None:
    assert mistakes_of(web(f"{key}: x")) == [
        f"kasparro.yaml:5: sources.a.{key}: is not available in this version; leave it out"
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ulr: x", 'ulr: unknown key; did you mean "url"?'),
        ("primary_kye: x", 'primary_kye: unknown key; did you mean "primary_key"?'),
        ("type: x", "type: appears twice; the first is in line 3"),
        ("wait: soon", 'wait: must be a number, not "soon"'),
        ("wait: 0", "wait: must be more than 0, not 0"),
        ("wait:", "wait: has no value; it must be a number"),
        ("wait: true", "wait: must be a number, not true"),
        ("pagination: {size: 5}", 'pagination: the key "type" is missing; it is one of page_number, cursor'),
        ("pagination: 5", "pagination: must be a mapping, not 5"),
        ("pagination: {type: page_number, size: 0}", "pagination.size: must be at least 1, not 0"),
        ("pagination: {type: page_number, size: 1001}", "pagination.size: must be at most 1000, not 1001"),
        ("pagination: {type: page_number, size: 1.5}", "pagination.size: must be a whole number, not 1.5"),
        ("pagination: {type: page_number, size: yes}", 'pagination.size: must be a whole number, not "yes"'),
        ("pagination: {type: page_number, size: false}", "pagination.size: must be a whole number, not false"),
        ("pagination: {type: cursor}", 'pagination: the key "cursor" is missing'),
        ("pagination: {type: cursor, cursor: 5}", "pagination.cursor: must be a text, not 5; put it in quotes"),
        ("pagination: {type: cursor, cursor: x, curso: 1}", 'pagination.curso: unknown key; did you mean "cursor"?'),
        ("pagination: {type: cursor, cursor: x, xyz: 1}", "pagination.xyz: unknown key; the keys are cursor, in, type"),
        ("pagination: {type: cursor, cursor: x, in: boddy}", None),
        ("pagination: {type: [a]}", "pagination.type: a list is not one of page_number, cursor"),
        ("headers: [a]", "headers: must be a mapping, not a list"),
        ("headers: {a: 1}", "headers.a: must be a text, not 1; put it in quotes"),
        ("dataset: normalised_data", None),
        ("dataset: [a]", "dataset: must be a text, not a list"),
        ("timezone: europe/berlin", None),
        ("timezone: 5", "timezone: must be a text, not 5; put it in quotes"),
        ("primary_key: []", "primary_key: is empty; name at least one raw path, or leave it out"),
        ("primary_key: [a, a]", 'primary_key[1]: names "a" twice'),
        ('primary_key: ""', "primary_key: is empty; name a raw path"),
        ("primary_key: 5", "primary_key: must be a text or a list, not 5; put it in quotes"),
        ("primary_key: [a, 5]", "primary_key[1]: must be a text, not 5; put it in quotes"),
        ("primary_key: {a: b}", "primary_key: must be a text or a list, not a mapping"),
        ('"a.b": 1', None),
        ("mapping: title", 'mapping: must be a mapping, not "title"'),
    ],
)
def test_one_mistake_is_said_once(mistakes_of: Mistaken, line: str, said: str | None) -> None:
    keys = (
        "auth, dataset, deletions, headers, hold_on, key, mapping, max_deletions, max_rejects, pagination, "
        "primary_key, rate_limit, raw_retention, schedule, schema_contract, sync_mode, timezone, type, url, wait, "
        "write_disposition"
    )
    longer = {
        '"a.b": 1': f'"a.b": unknown key; the keys are {keys}',
        "pagination: {type: cursor, cursor: x, in: boddy}": (
            'pagination.in: "boddy" is not one of query, body; did you mean "body"?'
        ),
        "dataset: normalised_data": (
            'dataset: the dataset "normalised_data" is not declared; there are normalized_data; '
            'did you mean "normalized_data"?'
        ),
        "timezone: europe/berlin": (
            'timezone: "europe/berlin" is not a time zone; use a name such as Europe/Berlin; '
            'did you mean "Europe/Berlin"?'
        ),
    }
    (found,) = mistakes_of(web(line))
    assert found == f"kasparro.yaml:5: sources.a.{longer[line] if said is None else said}"


def test_what_a_kind_refuses_as_a_whole_stands_at_the_source(mistakes_of: Mistaken) -> None:
    assert mistakes_of(source("type: web", "url: ftp://x")) == ["kasparro.yaml:2: sources.a: url must begin with http"]


def test_a_kind_of_another_type_than_text(mistakes_of: Mistaken) -> None:
    assert mistakes_of(source("type: [web]")) == ["kasparro.yaml:3: sources.a.type: a list is not one of web, table"]


@pytest.mark.parametrize("name", ["a", "A-1.b_c", "x" * 63, "2024"])
def test_names_of_sources(load: Load, name: str) -> None:
    assert load(f"sources:\n  {name}: {{type: table, path: x}}\n").sources[0].name == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b", "a b"), (".", "."), ("..", ".."), ("ä", "ä"), ("a/b", "a/b"), ("x" * 64, "x" * 59 + "…")],
)
def test_names_that_no_source_may_have(mistakes_of: Mistaken, name: str, shown: str) -> None:
    (found,) = mistakes_of(f"sources:\n  {name}: {{type: table, path: x}}\n")
    assert found.endswith(f'"{shown}" cannot be the name of a source; use 1 to 63 letters (a to z), digits, _, - and .')


@pytest.mark.parametrize(
    ("given", "keys"), [("id", ("id",)), ("[a, b.c]", ("a", "b.c")), ("'\"a.b\"[0]'", ('"a.b"[0]',))]
)
def test_shapes_of_a_primary_key(load: Load, given: str, keys: Any) -> None:
    assert load(web(f"primary_key: {given}")).sources[0].primary_key == keys


def test_a_key_under_another_name_than_its_attribute(load: Load) -> None:
    (declared,) = load(web("pagination: {type: cursor, cursor: next, in: body}")).sources
    assert declared.kind.pagination.place == "body"


def test_everything_else_is_checked_where_one_key_is_wrong(mistakes_of: Mistaken) -> None:
    found = mistakes_of(
        web("wait: soon", "timezone: Mars", "primary_key: 5", "mapping: {titel: a, value: 5, url: a..b}")
    )
    assert [line.split(": ")[1] for line in found] == [
        "sources.a.wait",
        "sources.a.timezone",
        "sources.a.primary_key",
        "sources.a.mapping.value",
        "sources.a.mapping.titel",
        "sources.a.mapping.url",
    ]
