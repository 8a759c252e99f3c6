"""How a schema moves on under a contract, and what is said of what was kept out."""

import pytest
from tests.unit.judge.test_drift import BASE, profile, rename

from kasparro.judge.contract import breach_findings, breaches_of
from kasparro.judge.drift import drift
from kasparro.judge.evolution import accepting, evolved, moves, with_field, without_field
from kasparro.model.contract import Breach, Contract
from kasparro.model.profile import Profile
from kasparro.model.schema import Schema

BREACH = Breach(
    rule="types",
    word="discard_value",
    expected=("integer",),
    seen={"rank": ("text",)},
    records=2,
    place="t#1",
    version=3,
)

FIELDS_HELD, TYPES_HELD = Contract(fields="freeze"), Contract(types="discard_row")


def test_no_field_comes_or_goes_where_fields_are_held() -> None:
    for change in (rename, lambda one: one.update(new=1), lambda one: one.pop("rank")):
        seen = profile(500, change, seed=2)
        found = drift(BASE, seen)
        assert not moves(found, FIELDS_HELD)
        assert moves(found, TYPES_HELD)
        assert evolved(BASE, seen, FIELDS_HELD).fields.keys() == BASE.fields.keys()


def test_no_type_comes_or_goes_where_types_are_held() -> None:
    def both(one: dict[str, object]) -> None:
        one.update(rank=str(one["rank"]), new=1, name={"en": one["name"]})

    seen = profile(500, both, seed=2)
    assert moves(drift(BASE, seen), TYPES_HELD)  # by the new field
    after = evolved(BASE, seen, TYPES_HELD)
    assert after.fields.keys() == {*BASE.fields, "new"}  # what stands in an object that is not accepted is not either
    assert {path: one.types for path, one in after.fields.items() if path in BASE.fields} == {
        path: one.types for path, one in BASE.fields.items()
    }
    widened = profile(500, lambda one: one.update(rank=one["rank"] + 0.5), seed=2)
    assert not moves(drift(BASE, widened), TYPES_HELD)
    assert evolved(BASE, widened, TYPES_HELD).fields["rank"].types == {"integer"}


def test_null_shares_move_on_under_any_contract() -> None:
    seen = profile(500, lambda one: one.update(price=None), seed=2)
    held = Contract(fields="freeze", types="freeze")
    assert moves(drift(BASE, seen), held)
    after = evolved(BASE, seen, held)
    assert after.fields["price"].types == {"number"}
    assert drift(after, profile(500, lambda one: one.update(price=None), seed=3)) == ()
    assert drift(after, profile(500, seed=4))[0].kind == "null_share_changed"


def test_a_run_that_is_right_adds_and_takes_away_and_keeps_what_it_had_no_chance_to_meet() -> None:
    def otherwise(one: dict[str, object]) -> None:
        one.update(new=1)
        del one["quotes"]

    few = profile(6, otherwise, seed=2)
    after = accepting(BASE, few, {})
    assert "new" in after.fields
    assert "quotes.USD.price" not in after.fields  # the object with all its fields was to be expected
    rare = with_field(BASE, "rare", ("text",), nested=True)
    assert accepting(rare, profile(500, seed=2), {}).fields["rare"].types == {"text"}
    assert accepting(None, few, {}) == Schema.of(few)


def test_what_a_run_met_against_its_contract_is_accepted_although_no_sample_has_it() -> None:
    breach = Breach(
        rule="fields",
        word="freeze",
        seen={"rare": ("object",), "rare.a": ("integer",)},
        records=1,
        place="t#1",
        version=1,
    )
    for seen in (None, profile(500, seed=2)):
        after = accepting(BASE, seen, {"rare": breach, "rank": BREACH})
        assert after.fields["rare"].types == {"object"}
        assert after.fields["rare.a"].types == {"integer"}
        assert after.fields["rank"].types == {"integer", "text"}
        assert set(after.fields) > set(BASE.fields)
        assert drift(after, profile(500, lambda one: one.update(rank=str(one["rank"])), seed=3))[0].kind == (
            "type_narrowed"
        )


def test_a_field_by_hand_raises_nothing_and_survives_json() -> None:
    schema = with_field(with_field(BASE, "a.b.c", ("number", "text"), nested=True), "x", (), nested=True)
    assert Schema.from_json(schema.to_json()) == schema
    assert [schema.fields[path].types for path in ("a", "a.b", "a.b.c", "x")] == [
        {"object"},
        {"object"},
        {"number", "text"},
        frozenset(),
    ]
    assert drift(schema, profile(500, seed=2)) == ()
    seen = profile(500, lambda one: one.update(x=1, rank=str(one["rank"])), seed=2)
    both = with_field(schema, "rank", ("text",), nested=True)
    assert [one.kind for one in drift(both, seen)] == ["type_narrowed"]
    assert evolved(both, seen).fields["rank"].types == {"integer", "text"} - {"integer"} | {"text"}
    assert with_field(BASE, "a.b", ("text",), nested=False).fields.keys() - BASE.fields.keys() == {"a.b"}
    assert without_field(schema, "a").fields.keys() == {*BASE.fields, "x"}


@pytest.mark.parametrize(
    ("word", "kind", "severity", "said"),
    [
        ("discard_value", "value_discarded", "warning", "its value was left out of 2 records."),
        ("discard_row", "row_discarded", "warning", "2 records were rejected for it."),
        ("freeze", "contract_broken", "critical", "the run was ended by it, first at t#1."),
    ],
)
def test_breaches_are_one_finding_for_each_field(word: str, kind: str, severity: str, said: str) -> None:
    breach = Breach.from_json({**BREACH.to_json(), "word": word})
    (found,) = breach_findings({"rank": breach})
    assert (found.kind, found.severity, found.subject) == (kind, severity, "rank")
    assert found.message == f"rank is text, and the accepted schema (version 3) has integer; {said}"
    assert (found.expected, found.observed, found.facts["records"]) == (["integer"], ["text"], 2)
    assert breaches_of(kind, "rank", found.facts) == {"rank": breach}
    assert breaches_of("field_added", "rank", {}) == {}


def test_breaches_add_up_in_any_order() -> None:
    one = Profile(rows=1, breaches={"rank": BREACH})
    other = Profile(
        rows=2,
        breaches={
            "rank": Breach.from_json({**BREACH.to_json(), "seen": {"rank": ["array"]}, "place": "t#0", "records": 5}),
            "new": Breach(rule="fields", word="discard_value", seen={"new": ()}, records=1, place="t", version=3),
        },
    )
    third = Profile(breaches={"rank": Breach.from_json({**BREACH.to_json(), "version": 4, "word": "freeze"})})
    both = one | other
    assert both == other | one
    assert (both.breaches["rank"].records, both.breaches["rank"].seen) == (7, {"rank": ("array", "text")})
    assert both.breaches["rank"].place == "t#0"
    assert (one | other) | third == one | (other | third) == (third | one) | other
    assert Profile.from_json((both | third).to_json()) == both | third
    (new, _) = breach_findings(both.breaches)
    assert new.message == "new (null) is not in the accepted schema (version 3); its value was left out of 1 record."
