from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kasparro.sources.paging import Auto, Cursor, HeaderLink, NextUrl, Offset, PageNumber, Pagination, SinglePage

ADAPTER: TypeAdapter[Any] = TypeAdapter(Pagination)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("auto", Auto()),
        ("single_page", SinglePage()),
        ({"type": "page_number", "size": 100}, PageNumber(size=100)),
        ({"type": "offset", "in": "body"}, Offset(place="body")),
        ({"type": "cursor", "cursor": "meta.next"}, Cursor(cursor="meta.next")),
        ({"type": "cursor", "cursor": "c", "end_values": ["", 0]}, Cursor(cursor="c", end_values=("", 0))),
        ({"type": "next_url", "next": "links.next"}, NextUrl(next="links.next")),
        ("header_link", HeaderLink()),
    ],
)
def test_declarations(declared: Any, expected: object) -> None:
    assert ADAPTER.validate_python(declared) == expected


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("pages", "pages"),
        ({"size": 5}, "type"),
        ({"type": "page_number", "page_size": 5}, "page_size"),
        ({"type": "offset", "size": 0}, "greater"),
        ({"type": "offset", "total": "a..b"}, "cannot be read"),
        ({"type": "offset", "in": "header"}, "query"),
        ({"type": "offset", "stop_on_empty": False}, "never stop"),
        ({"type": "page_number", "stop_on_empty": False}, "never stop"),
        ({"type": "cursor"}, "name where the token is"),
        ({"type": "cursor", "cursor": "a", "cursor_header": "b"}, "name where the token is"),
        ({"type": "next_url"}, "required"),
        ({"type": "next_url", "next": ""}, "at least 1"),
    ],
)
def test_refused(declared: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(declared)
    assert said in str(caught.value)


def test_a_stop_may_be_one_of_several() -> None:
    for more in ({"total": "t"}, {"total_pages": "t"}, {"has_more": "t"}):
        ADAPTER.validate_python({"type": "page_number", "stop_on_empty": False, **more})
