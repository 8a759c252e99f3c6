"""What is proposed for fields with new names: every place of the declaration that names them, and no other."""

from typing import Any

import pytest

from kasparro.judge.proposal import Naming, propose, with_proposals
from kasparro.model.finding import Finding
from kasparro.model.mapping import FieldRule, Mapping

GUESSES = {"title": ("title", "name", "symbol"), "value": ("price", "amount"), "url": ("url", "link")}


def naming(rules: dict[str, Any] | None = None, attributes: tuple[str, ...] | None = None, **more: Any) -> Naming:
    made = None
    if rules is not None:
        as_rules = {
            name: one if isinstance(one, FieldRule) else FieldRule(paths=tuple(one)) for name, one in rules.items()
        }
        made = Mapping(rules=as_rules, attributes=attributes)
    return Naming(source="s", fields=("title", "value", "url"), mapping=made, **more)


CASES: list[tuple[str, Naming, tuple[str, str], dict[str, Any]]] = [
    (
        "one path",
        naming({"value": ["rank"], "title": ["name"]}),
        ("rank", "market_rank"),
        {"mapping": {"value": ["market_rank", "rank"]}},
    ),
    (
        "several paths",
        naming({"value": ["top", "rank"]}),
        ("rank", "place"),
        {"mapping": {"value": ["top", "place", "rank"]}},
    ),
    ("there already", naming({"value": ["place", "rank"]}), ("rank", "place"), {}),
    (
        "an object with its fields",
        naming({"value": ["quotes.USD.price", "quotes.USDT"], "title": ['quotes.USD."a.b"[0].c']}),
        ("quotes.USD", "quotes.dollar"),
        {
            "mapping": {
                "value": ["quotes.dollar.price", "quotes.USD.price", "quotes.USDT"],
                "title": ['quotes.dollar."a.b"[0].c', 'quotes.USD."a.b"[0].c'],
            }
        },
    ),
    (
        "a key with a dot",
        naming({"value": ['"a.b"']}),
        ("a.b", "a.c"),
        {"mapping": {"value": ['"a.c"', '"a.b"']}},
    ),
    (
        "a column with a dot",
        naming({"value": ["a.b"]}, columns=True),
        ("a.b", "a c"),
        {"mapping": {"value": ["a c", "a.b"]}},
    ),
    ("a column is no object", naming({"value": ["a.b"]}, columns=True), ("a", "b"), {}),
    (
        "with a format",
        naming({"value": FieldRule(paths=("day",), format="%d.%m.%Y")}),
        ("day", "date"),
        {"mapping": {"value": {"path": ["date", "day"], "format": "%d.%m.%Y"}}},
    ),
    (
        "sql",
        naming({"value": FieldRule(sql="{a} || {b} || {a}")}),
        ("a", "c"),
        {"mapping": {"value": {"sql": "coalesce({c}, {a}) || {b} || coalesce({c}, {a})"}}},
    ),
    (
        "sql of a column",
        naming({"value": FieldRule(sql="upper({a})")}, columns=True),
        ("a", "c"),
        {"mapping": {"value": {"sql": "upper({c})"}}},
    ),
    ("const", naming({"value": FieldRule(const="a")}), ("a", "c"), {}),
    (
        "attributes",
        naming({"title": ["name"]}, attributes=("rank", "x")),
        ("rank", "place"),
        {"mapping": {"attributes": ["place", "rank", "x"]}},
    ),
    (
        "the field of its name",
        naming(),
        ("value", "amount"),
        {"mapping": {"value": ["amount", "value"]}},
    ),
    (
        "the field of its name beside rules",
        naming({"title": ["name"]}),
        ("value", "amount"),
        {"mapping": {"value": ["amount", "value"]}},
    ),
    (
        "a guess",
        naming(guesses=GUESSES),
        ("price", "cost"),
        {"mapping": {"title": ["name", "symbol"], "value": ["cost", "price"]}},
    ),
    ("a guess that another one precedes", naming(guesses=GUESSES), ("symbol", "ticker"), {}),
    ("a guess that is one too", naming(guesses=GUESSES), ("price", "amount"), {}),
    (
        "keys",
        naming({"value": ["id"]}, primary_key=("id", "line"), cursor_field="id"),
        ("id", "key"),
        {"primary_key": ["key", "line"], "cursor_field": "key", "mapping": {"value": ["key", "id"]}},
    ),
    ("key alone", naming({}, primary_key=("id",)), ("id", "key"), {"primary_key": "key"}),
]


@pytest.mark.parametrize(("given", "rename", "changes"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_what_is_to_be_changed(given: Naming, rename: tuple[str, str], changes: dict[str, Any]) -> None:
    made = propose(given, dict([rename]), {"name", "symbol", "price", *rename})
    assert made.changes == changes
    assert bool(made.notes) or changes != {}


def test_all_rules_are_in_the_whole_mapping_in_their_order() -> None:
    given = naming({"title": ["name"], "value": ["rank"], "url": FieldRule(const="x")}, attributes=("rank", "other"))
    made = propose(given, {"rank": "place", "name": "label"}, set())
    assert list(made.whole["mapping"].items()) == [
        ("title", ["label", "name"]),
        ("value", ["place", "rank"]),
        ("url", {"const": "x"}),
        ("attributes", ["place", "rank", "other"]),
    ]
    assert set(made.changes["mapping"]) == {"title", "value", "attributes"}


def test_two_guesses_are_stated_once() -> None:
    made = propose(naming(guesses=GUESSES), {"price": "cost", "name": "label"}, {"name", "price"})
    assert made.whole == {"mapping": {"title": ["label", "name"], "value": ["cost", "price"]}}
    assert len(made.notes) == 1


@pytest.mark.parametrize(
    ("given", "new", "said"),
    [
        (naming({}, collects=True), "b", "Nothing names a; the values are collected in attributes, by the name that"),
        (naming({}), "b", "Nothing names a; the values are in no row"),
        (naming(), "url", "url fills the field of its name already."),
        (naming(guesses=GUESSES), "amount", "amount fills the field of its name already."),
    ],
)
def test_nothing_to_change_is_said_with_the_reason(given: Naming, new: str, said: str) -> None:
    made = propose(given, {"a": new}, set())
    assert (made.changes, made.whole) == ({}, {})
    (note,) = made.notes
    assert note.startswith(said)
    assert note.endswith("There is nothing to change.")


def test_notes_tell_what_a_change_brings() -> None:
    made = propose(naming({}, primary_key=("a",), cursor_field="a"), {"a": "b"}, set())
    assert [note.split(":")[-1].strip() for note in made.notes] == [
        "kasparro run s --full-refresh",
        "With another cursor_field the next run reads from the start; rows are updated by their key.",
    ]
    made = propose(naming({"value": FieldRule(sql="{a}")}, columns=True), {"a": "b"}, set())
    assert made.notes == ("A sql expression with {b} fails for files that have a instead.",)


def test_findings_about_renamed_fields_carry_the_proposal() -> None:
    renamed = Finding(kind="field_renamed", severity="warning", subject="rank", message="", observed="place")
    other = Finding(kind="field_added", severity="info", subject="x", message="")
    first, second = with_proposals((renamed, other), naming({"value": ["rank"]}), {"rank"})
    assert first.facts["proposal"] == {"mapping": {"value": ["place", "rank"]}, "notes": []}
    assert second is other
