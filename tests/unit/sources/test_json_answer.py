import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Broken
from kasparro.sources import json_rescue
from kasparro.sources.api_path import Every, Steps, find, steps_of
from kasparro.sources.json_answer import Json, pieces, read_json, strict

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = st.sampled_from(["a", "b", "items", 'q"uo', "ü", ""])
VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4))
STEPS = st.lists(KEYS | st.integers(0, 2) | st.just(Every()), max_size=3).map(tuple)


def dumped(value: Any, indent: int | None) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=indent is None).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "text",
    [
        *(b"NaN", b"[Infinity]", b"[-Infinity]", b"[1,]", b"[,1]", b'{"a":1,}', b"[01]", b"[+1]", b"[.5]", b"[1.]"),
        *(b"['a']", b'["\\ud800"]', b'["\\udc00\\ud800"]', b'["\xff"]', b'["\xed\xa0\x80"]', b'["\xc0\xaf"]'),
        *(b'["\t"]', b'["\\x41"]', b"[1] 2", b"", b" ", b"[1e999]", b"\xef\xbb\xbf[]", b"{a:1}", b"[1 2]", b"/**/[]"),
        *(b"[tru]", b"[" * 1100 + b"]" * 1100),
    ],
)
def test_strict_refuses(text: bytes) -> None:
    with pytest.raises(ValueError, match="at line 1, column"):
        strict(text)


def test_strict_says_where() -> None:
    with pytest.raises(ValueError, match="at line 3, column 6"):
        strict(b"[\n1,\n    x]".replace(b"    x", b"     x"))
    with pytest.raises(ValueError, match="UTF-8 at line 2, column 3"):
        strict(b'["a",\n "\xff"]')


@given(VALUES, st.sampled_from([None, 1]), STEPS)
def test_pieces_are_what_find_finds(value: Any, indent: int | None, steps: Steps) -> None:
    body = dumped(value, indent)
    found = find(value, steps, ...)
    expected = [] if found is ... else (found if isinstance(found, list) else [found])
    texts = pieces(Json(value=value, body=body), steps)
    assert [json.loads(text) for text in texts] == expected
    assert json_rescue.pieces(body, steps) == texts
    assert all(text in body for text in texts)


@given(VALUES)
def test_rescue_agrees_with_the_strict_parse(value: Any) -> None:
    body = dumped(value, None)
    assert json_rescue.value(body) == json.loads(body)


def test_of_a_key_twice_the_last_counts() -> None:
    body = b'{"items":[1],"items":[{"a":1,"a":2}]}'
    answer = read_json(body, "", "here", str)
    assert answer.value == {"items": [{"a": 2}]}
    assert pieces(answer, ("items",)) == json_rescue.pieces(body, ("items",)) == [b'{"a":1,"a":2}']


@pytest.mark.parametrize(
    ("body", "path", "texts"),
    [
        (b' [ {"a" : NaN} , 2 ]', "", [b'{"a" : NaN}', b"2"]),
        (b'{"x":{"y":[1,"\\ud800"]},"n":NaN}', "x.y", [b"1", b'"\\ud800"']),
        (b'{"x":{"y":"\xff"}}', "x.*", [b'"\xff"']),
        (b'{"x":[NaN]}', "x[0]", [b"NaN"]),
        (b'{"x":[NaN]}', "y", []),
        (b"[ ]", "", []),
        (b'{"x":[{"k":"v"}],"n":NaN}', "x[k=v]", []),
    ],
)
def test_rescue_cuts_verbatim(body: bytes, path: str, texts: list[bytes]) -> None:
    assert json_rescue.pieces(body, steps_of(path)) == texts


def test_a_condition_picks_no_records() -> None:
    body = b'{"x":[{"k":"v"}]}'
    assert pieces(Json(value=strict(body), body=body), steps_of("x[k=v]")) == []


@pytest.mark.parametrize("body", [b"[NaN", b"[NaN,]", b"NaN x", b'{"a" NaN}', b"[" * 100_000, b"", b"[1e]"])
def test_rescue_gives_up_on_a_broken_structure(body: bytes) -> None:
    assert json_rescue.value(body) is json_rescue.BROKEN


def test_lines_are_read_at_once_or_one_by_one() -> None:
    good = read_json(b'{"a":1}\r\n\n {"a":2} ', "application/jsonl", "here", str)
    assert (good.value, list(good.lines or ()), good.bad_lines) == ([{"a": 1}, {"a": 2}], [1, 3], ())
    assert good.body == b'[{"a":1},{"a":2}]'
    bad = read_json(b'{"a":1}\n{"a"\n\xff\n{"a":2}\n', "", "here", str)
    assert (bad.value, list(bad.lines or ())) == ([{"a": 1}, {"a": 2}], [1, 4])
    assert [(line.number, line.text) for line in bad.bad_lines] == [(2, b'{"a"'), (3, b"\xff")]
    assert "UTF-8" in bad.bad_lines[1].reason


@given(st.lists(VALUES, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_lines_of_any_values(values: list[Any], newline: str) -> None:
    body = newline.join(json.dumps(value) for value in values).encode()
    found = read_json(body, "application/x-ndjson; charset=utf-8", "here", str)
    assert found.value == json.loads(json.dumps(values))
    assert found.bad_lines == ()


@pytest.mark.parametrize("body", [b'{"a":1}\n', b'{\n"a":1}', b'[{"a":1},\n{"a":2}]'])
def test_what_is_not_lines(body: bytes) -> None:
    assert read_json(body, "application/json", "here", str).lines is None


def test_errors_are_short_and_masked() -> None:
    body = b'{"a": "' + b"x" * 5000 + b'", "key": "very-secret" "b"}'
    with pytest.raises(Broken) as caught:
        read_json(body, "", "https://h/x", lambda text: text.replace("very-secret", "****"))
    assert "very-secret" not in caught.value.message
    assert "https://h/x answered what is not JSON" in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("body", "media", "said"),
    [
        (b"<!doctype html><p>Log in", "", "HTML, not JSON: a login or maintenance page?"),
        (b"\n <div>x", "text/html; charset=utf-8", "HTML, not JSON"),
        (b"<rss/>", "application/json", "XML or markup"),
        (b"\xff\xfe\xff", "", "UTF-8"),
        (b'{"a":1\n}x\n{"b":2}', "", "not JSON"),
        (b"callback({})", "text/javascript", "not JSON"),
    ],
)
def test_what_it_is_instead(body: bytes, media: str, said: str) -> None:
    with pytest.raises(Broken, match=said.replace("?", r"\?")):
        read_json(body, media, "here", str)


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ('["é"]'.encode("utf-8-sig"), ""),
        ('["é"]'.encode("utf-16"), ""),
        ('["é"]'.encode("utf-32"), ""),
        ('["é"]'.encode("cp1252"), "application/json; charset=windows-1252"),
        ('["é"]'.encode("cp1252"), 'application/json; charset="windows-1252"'),
        ('["é"]'.encode(), "application/json; charset=no-such-thing"),
    ],
)
def test_encodings(body: bytes, media: str) -> None:
    assert read_json(body, media, "here", str).body == '["é"]'.encode()


def test_an_encoding_that_does_not_help() -> None:
    with pytest.raises(Broken, match="UTF-8 at line 1, column 2"):
        read_json(b"[\xe9]", "application/json; charset=ascii", "here", str)
