import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.shaping.exact import protect

numbers = st.one_of(
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
strings = st.text(alphabet=st.sampled_from('ab"\\1.5e,:-é\n\ue000'))
values = st.recursive(
    st.one_of(numbers, strings, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(strings, inner)),
    max_leaves=12,
)


def written(value: object) -> str:
    """JSON with decimals as they are written."""
    match value:
        case Decimal():
            return str(value).replace("E+", "E")
        case list():
            return "[" + ", ".join(written(one) for one in value) + "]"
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{written(one)}" for key, one in value.items()) + "}"
        case _:
            return json.dumps(value, ensure_ascii=False)


@given(st.lists(values, min_size=1))
def test_every_inexact_number_is_marked_and_comes_back(records: list[object]) -> None:
    text = "\x1e".join(written(record) for record in records)
    protected, mark = protect(text.encode())
    shown = protected.decode()
    if mark is None:
        assert shown == text
        floats: list[str] = []
        for record in text.split("\x1e"):
            json.loads(record, parse_float=floats.append)
        assert floats == []
        return
    assert mark not in text
    assert re.sub(f'"{mark}([^"]*)"', r"\1", shown) == text
    left: list[str] = []
    for record in shown.split("\x1e"):
        json.loads(record, parse_float=left.append)
    assert left == []


@pytest.mark.parametrize("text", ['{"a":"1.5"}', '["x\\"1.5"]', '["\\\\\\"2.5", 3]', "[true,false]", '["1e5"]', ""])
def test_numbers_in_strings_are_left_alone(text: str) -> None:
    assert protect(text.encode()) == (text.encode(), None)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("1.5", '"M1.5"'),
        ("[1.5e3,2]", '["M1.5e3",2]'),
        ('["\\\\",1.0]', '["\\\\","M1.0"]'),
        ('{"1.5":-1E5}', '{"1.5":"M-1E5"}'),
    ],
)
def test_marks(text: str, marked: str) -> None:
    protected, mark = protect(text.encode())
    assert mark is not None
    assert protected.decode() == marked.replace("M", mark)


def test_a_text_with_every_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="every private mark"):
        protect(("".join(chr(code) for code in range(0xE000, 0xF900)) + ",1.5").encode())
