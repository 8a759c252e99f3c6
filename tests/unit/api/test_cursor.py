import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.api.cursor import decode, encode
from kasparro.store.browse_page import Position

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(texts, texts)
def test_round_trip(source: str, key: str) -> None:
    cursor = encode(Position(source=source, key=key))
    assert decode(cursor) == Position(source=source, key=key)
    assert cursor.replace("-", "a").replace("_", "a").isalnum()


def packed(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "a",
        "nonsense",
        "☃",
        "Wy==",
        " WyJhIiwiYiJd",
        "WyJhIiwiYiJd\n",
        "WyJhIiwiYiJd=",
        packed(b'["a"]'),
        packed(b'["a","b","c"]'),
        packed(b'["a",1]'),
        packed(b'{"a":"b"}'),
        packed(b'["a","\\u0000"]'),
        packed(b'["a","\\ud800"]'),
        packed(b'["a","\xff"]'),
        packed(b"null"),
        packed(b"[" * 5000),
    ],
)
def test_broken(cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode(cursor)


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_refused(cursor: str) -> None:
    with suppress(ValueError):
        assert encode(decode(cursor)) == cursor
