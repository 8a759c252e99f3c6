"""What changed between two samples of records: each change once, and nothing where there is only chance."""

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from kasparro.judge.drift import drift
from kasparro.judge.evolution import evolved
from kasparro.model.page import JsonRecords, Page
from kasparro.model.profile import Profile
from kasparro.model.schema import Schema
from kasparro.shaping.profiling import profile_of

Record = dict[str, Any]


def record(number: int, dice: random.Random) -> Record:
    return {
        "id": number,
        "name": f"coin {number}",
        "price": round(dice.lognormvariate(3, 1), 2),
        "rank": dice.randint(1, 500),
        "state": dice.choice(["active", "paused", "closed"]),
        "note": None if dice.random() < 0.3 else "text",
        "quotes": {"USD": {"price": dice.random(), "volume": dice.randint(1, 9)}},
        "updated_at": f"2026-01-{dice.randint(1, 28):02d}T10:00:00Z",
    }


def profile(count: int, change: Callable[[Record], object] = lambda _one: None, seed: int = 1) -> Profile:
    dice = random.Random(seed)
    made = []
    for number in range(count):
        one = record(number + 1000 * seed, dice)
        change(one)
        made.append(orjson.dumps(one))
    seen = Profile()
    for at in range(0, count, 100):
        texts = made[at : at + 100]
        page = Page(
            content=b"[]",
            content_type="application/json",
            records=JsonRecords(texts=texts, origin="t"),
            origin="t",
            bytes_read=1,
        )
        seen |= profile_of([page])
    return seen


BASE = Schema.of(profile(2000))


def rename(one: Record) -> None:
    one["market_rank"] = one.pop("rank")


def nest(one: Record) -> None:
    one["name"] = {"en": one["name"], "de": one["name"]}


CHANGES: list[tuple[str, Callable[[Record], object], list[tuple[str, str]]]] = [
    ("nothing", lambda one: one, []),
    ("added", lambda one: one.update(symbol="x"), [("field_added", "symbol")]),
    ("added object", lambda one: one.update(links={"a": {"b": 1}}), [("field_added", "links")]),
    ("removed", lambda one: one.pop("rank"), [("field_removed", "rank")]),
    ("removed below", lambda one: one["quotes"]["USD"].pop("volume"), [("field_removed", "quotes.USD.volume")]),
    ("object gone", lambda one: one.pop("quotes"), [("field_removed", "quotes")]),
    ("renamed", rename, [("field_renamed", "rank")]),
    ("number to text", lambda one: one.update(rank=str(one["rank"])), [("type_changed", "rank")]),
    ("integer to number", lambda one: one.update(rank=one["rank"] + 0.5), [("type_widened", "rank")]),
    (
        "number to integer",
        lambda one: one["quotes"]["USD"].update(price=round(one["quotes"]["USD"]["price"])),
        [("type_narrowed", "quotes.USD.price")],
    ),
    ("time to day", lambda one: one.update(updated_at=one["updated_at"][:10]), [("type_changed", "updated_at")]),
    ("nested", nest, [("shape_changed", "name")]),
    ("flattened", lambda one: one.update(quotes=one["quotes"]["USD"]["price"]), [("shape_changed", "quotes")]),
    ("list", lambda one: one.update(state=[one["state"]]), [("shape_changed", "state")]),
    ("null", lambda one: one.update(price=None), [("null_share_changed", "price")]),
    ("no longer null", lambda one: one.update(note="text"), [("null_share_changed", "note")]),
    (
        "new value",
        lambda one: one.update(state="frozen") if one["id"] % 5 == 0 else None,
        [("value_added", "state")],
    ),
]


@pytest.mark.parametrize(("change", "wanted"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES])
@pytest.mark.parametrize("count", [60, 1000])
def test_each_change_is_found_once(
    count: int, change: Callable[[Record], object], wanted: list[tuple[str, str]]
) -> None:
    seen = profile(count, change, seed=2)
    assert [(one.kind, one.subject) for one in drift(BASE, seen)] == wanted
    again = drift(evolved(BASE, seen), profile(count, change, seed=3))
    assert [one.kind for one in again] == []  # what was accepted is not said again


@pytest.mark.parametrize("seed", range(2, 42))
def test_chance_raises_nothing(seed: int) -> None:
    for count in (1, 5, 20, 100, 700):
        assert drift(BASE, profile(count, seed=seed)) == ()


def odd(one: Record) -> None:
    if one["id"] == 2050:
        one.update(rank="odd", surprise=1, price=None, state="odd")
        one.pop("name")


def test_one_odd_record_raises_nothing() -> None:
    assert drift(BASE, profile(100, odd, seed=2)) == ()
    assert drift(BASE, profile(400, odd, seed=2)) == ()


def test_few_records_say_nothing_and_a_first_schema_is_what_was_seen() -> None:
    assert drift(BASE, profile(4, lambda one: one.clear(), seed=2)) == ()
    assert drift(Schema(), Profile()) == ()
    assert Schema.from_json(BASE.to_json()) == BASE
    assert evolved(BASE, Profile()) == BASE


def test_a_rename_says_how_sure_it_is() -> None:
    (found,) = drift(BASE, profile(500, rename, seed=2))
    assert found.observed == "market_rank"
    assert 0.6 < found.facts["confidence"] <= 1
    assert "probably renamed" in found.message


def test_fields_that_have_nothing_in_common_are_not_taken_for_renamed() -> None:
    def swap(one: Record) -> None:
        one["launched"] = "2020-01-01"
        del one["rank"]

    assert {one.kind for one in drift(BASE, profile(500, swap, seed=2))} == {"field_removed", "field_added"}
