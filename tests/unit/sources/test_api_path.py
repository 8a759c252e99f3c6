from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.sources.api_path import Every, Steps, Where, find, steps_of, written

DATA: dict[str, Any] = {
    "data": {"items": [{"id": 1}, {"id": 2}]},
    "@odata.nextLink": "u",
    "link": [{"relation": "self"}, "odd", {"relation": "next", "url": "v"}],
    "quotes": {"USD": {"p": 1}, "EUR": {"p": 2}, "XXX": None},
    "": "empty",
}


@pytest.mark.parametrize(
    ("text", "steps", "value"),
    [
        ("", (), DATA),
        ("$", (), DATA),
        ("$.data", ("data",), DATA["data"]),
        ("data.items[1].id", ("data", "items", 1, "id"), 2),
        ("$.data.items[*].id", ("data", "items", Every(), "id"), [1, 2]),
        ("data.items.*.id", ("data", "items", Every(), "id"), [1, 2]),
        ('"@odata.nextLink"', ("@odata.nextLink",), "u"),
        ("link[relation=next].url", ("link", Where("relation", "next"), "url"), "v"),
        ("link[ relation = last ].url", ("link", Where("relation", "last"), "url"), ...),
        ("quotes.*.p", ("quotes", Every(), "p"), [1, 2]),
        ("quotes.*", ("quotes", Every()), [{"p": 1}, {"p": 2}, None]),
        ('"*"', ("*",), ...),
        ("*.*[0].id", (Every(), Every(), 0, "id"), [1]),
        ("a*.b*c", ("a*", "b*c"), ...),
        ("nothing.*", ("nothing", Every()), ...),
        ("data.items[7]", ("data", "items", 7), ...),
        ("data[0]", ("data", 0), ...),
        ('""', ("",), "empty"),
    ],
)
def test_paths(text: str, steps: Steps, value: object) -> None:
    assert steps_of(text) == steps
    assert find(DATA, steps, ...) == value


@pytest.mark.parametrize("text", ["a..b", "a.", "a[", "a[x]", 'a"b"', ".a"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        steps_of(text)


@given(st.lists(st.text() | st.integers(0, 99), max_size=4).map(tuple))
def test_written_is_read_again(steps: Steps) -> None:
    assert steps_of(written(steps)) == steps


def test_written() -> None:
    assert written((Every(), "id")) == "*.id"
    assert written(("link", Where("rel", "next"), "a.b")) == 'link[rel=next]."a.b"'
