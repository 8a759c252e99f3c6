import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Misconfigured, SchemaBroken
from kasparro.model.page import JsonRecords
from kasparro.sources.api_path import Steps, find
from kasparro.sources.api_records import Cut, cut, located, no_records, values_at
from kasparro.sources.json_answer import read_json


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        ([], ()),
        (None, ()),
        ({}, ()),
        ({"a": 1}, ()),
        ({"a": [1, 2], "b": ["x"]}, ()),
        ({"a": [{"x": 1}]}, ("a",)),
        ({"a": {"b": {"c": [{"x": 1}]}}}, ("a", "b", "c")),
        ({"a": {"b": {"c": {"d": [{"x": 1}]}}}}, ("a", "b", "c", "d")),
        ({"a": {"b": {"c": {"d": {"e": [{"x": 1}]}}}}}, ()),
        ({"a": [{"x": [{"y": 1}]}], "b": []}, ("a",)),
        ({"items": [], "count": 0}, ("items",)),
        ({"data": {"results": []}}, ("data", "results")),
        ({"id": 1, "notices": []}, ()),
        ({"a": [{"x": 1}, 2]}, ()),
    ],
)
def test_located(value: Any, steps: Steps) -> None:
    assert located(value, None, "here") == steps


def test_several_lists() -> None:
    value = {"a": [{"x": 1}], "b.c": {"d": [{"x": 1}]}}
    with pytest.raises(Misconfigured, match=r'here has several lists of objects: `a`, `"b.c".d`; say which'):
        located(value, None, "here")
    assert located(value, ("a",), "here") == ("a",)
    assert located({"a": [], "x": 1}, ("a",), "here") == ("a",)


@pytest.mark.parametrize("value", [1, "x", True])
def test_no_list_and_no_object(value: Any) -> None:
    with pytest.raises(SchemaBroken, match="neither a list nor an object"):
        located(value, None, "here")


def test_values_at() -> None:
    value = {"a": {"b": [1]}, "n": None, "s": "text", "o": {}}

    def at(*steps: str, optional: bool = False) -> list[Any]:
        return values_at(value, steps, place="here", optional=optional)

    assert at("a", "b") == [1]
    assert at("a") == [{"b": [1]}]
    assert at("n") == []
    assert at("o") == [{}]
    assert at("zz", optional=True) == []
    assert values_at({}, (), place="here", optional=False) == []
    with pytest.raises(SchemaBroken, match=r"nothing at `zz\.b`; it has a, n, s, o; check `records`"):
        at("zz", "b")
    with pytest.raises(SchemaBroken, match="no keys"):
        values_at([1], ("a",), place="here", optional=False)
    with pytest.raises(SchemaBroken, match="'text' at `s`, which is no list"):
        at("s")


def made(body: bytes, *steps: str | int, wanted: Any = None, first: int = 0) -> Cut:
    answer = read_json(body, "", "here", str)
    values = values_at(answer.value, steps, place="here", optional=False)
    return cut(answer, steps, values, origin="https://h/x", first=first, wanted=wanted)


def texts(found: Cut) -> list[bytes]:
    assert isinstance(found.records, JsonRecords)
    return list(found.records.texts)


def test_what_is_whole_is_stored_verbatim() -> None:
    body = b'{"n": 2, "d": [ {"a":1.10} , {"a":2} ] }'
    found = made(body, "d", first=10)
    assert found.content == body
    assert found.records == JsonRecords(texts=[b'{"a":1.10}', b'{"a":2}'], steps=("d",), origin="https://h/x", first=10)
    assert found.records.place(1) == "https://h/x#11"
    assert (found.count, found.rejects) == (2, ())


def test_what_is_left_out_is_not_stored() -> None:
    found = made(b'{"d":[{"a":1},{"a":2},3]}', "d", wanted=lambda one: one["a"] > 1, first=10)
    assert found.content == b'[{"a":2}]'
    assert (texts(found), found.count, found.values) == ([b'{"a":2}'], 3, [{"a": 2}])
    assert [(one.code, one.place, one.index) for one in found.rejects] == [("not_an_object", "https://h/x#12", None)]


def test_every_kind_of_json_value_that_is_no_record() -> None:
    found = made(b'[null,true,1.5,"x",[]]')
    said = [one.reason.rpartition(" ")[2] for one in found.rejects]
    assert said == ["null", "boolean", "number", "text", "array"]


def test_nul_outside_of_the_records_keeps_the_records_but_not_the_answer() -> None:
    found = made(b'{"note":"\\u0000","d":[{"a":1}]}', "d")
    assert found.content == b'[{"a":1}]'
    assert found.rejects == ()


@pytest.mark.parametrize(
    ("text", "nul"),
    [
        (b"\\u0000", True),
        (b"\\\\u0000", False),
        (b"\\\\\\u0000", True),
        (b"x\\\\\\\\u0000", False),
        (b"\\n\\u0000", True),
    ],
)
def test_nul_is_told_from_a_backslash(text: bytes, nul: bool) -> None:  # noqa: FBT001
    for record in (b'{"a":"' + text + b'"}', b'{"' + text + b'":1}'):
        found = made(b"[" + record + b"]")
        assert [one.code for one in found.rejects] == (["nul"] if nul else [])
        assert ("\x00" in "".join(map(str, *json.loads(record).items()))) is nul


def test_nothing() -> None:
    for found in (no_records("https://h/x"), made(b"[]"), made(b'{"d":[]}', "d"), made(b'{"d":null}', "d")):
        assert (found.content, len(found.records), found.count) == (b"[]", 0, 0)


RECORDS = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.integers() | st.text(), max_size=3) | st.integers(), max_size=6
)


@given(RECORDS, st.sampled_from([(), ("d",), ("d", "e"), ("d", 0)]))
def test_the_stored_content_holds_exactly_the_records(records: list[Any], steps: Steps) -> None:
    value: Any = records
    for step in reversed(steps):
        value = {step: value, "zz": 1} if isinstance(step, str) else [value]
    found = made(json.dumps(value).encode(), *steps)  # type: ignore[arg-type]
    assert isinstance(found.records, JsonRecords)
    stored = find(json.loads(found.content), found.records.steps)
    assert stored == [json.loads(text) for text in found.records.texts]
    assert len(texts(found)) + len(found.rejects) == found.count == len(records)
