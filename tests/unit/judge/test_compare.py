from typing import Any

from kasparro.judge.compare import NUMBERS, TEXTS, compare
from kasparro.model.profile import FieldProfile, Profile


def run(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "source": "s", **dict.fromkeys(NUMBERS, 10), **dict.fromkeys(TEXTS, "x"), **more}


def seen(**fields: FieldProfile) -> Profile:
    return Profile(rows=100, looked=100, fields=fields)


def test_numbers_texts_and_fields_side_by_side() -> None:
    one = FieldProfile(present=100, types={"integer": 100}, low=1, high=9, sample=((1, "5"), (2, "5")))
    other = FieldProfile(present=100, nulls=40, types={"integer": 60}, low=1, high=9)
    found = compare(
        run(1, extracted=0), run(2, extracted=30, error="No route.", seconds=None), seen(a=one, b=one), seen(a=other)
    )
    assert found["numbers"]["extracted"] == {"base": 0, "head": 30, "change": 30, "ratio": None}
    assert found["numbers"]["seconds"] == {"base": 10, "head": None, "change": None, "ratio": None}
    assert found["texts"] == {"error": {"base": "x", "head": "No route."}}
    assert found["fields"]["a"]["differs"] == ["null_share"]
    assert found["fields"]["b"] == {**found["fields"]["b"], "head": None, "differs": ["presence"]}
    assert found["fields"]["a"]["base"]["top"] == [{"value": "5", "share": 1.0}]
    assert [one["kind"] for one in found["drift"]] == ["field_removed", "null_share_changed"]
    assert found["same_source"]


def test_without_a_profile_there_are_no_fields() -> None:
    found = compare(run(1), run(2, source="t"), None, seen())
    assert (found["fields"], found["drift"], found["same_source"], found["texts"]) == (None, [], False, {})
