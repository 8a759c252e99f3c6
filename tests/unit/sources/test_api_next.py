from typing import Any

import pytest
from pydantic import TypeAdapter

from kasparro.errors import Broken, Misconfigured
from kasparro.sources.api_auto import auto_next
from kasparro.sources.api_next import (
    Position,
    Seen,
    declared_next,
    first_position,
    fixed_params,
    link,
    number_at,
    share,
    truth,
)
from kasparro.sources.paging import Pagination

ADAPTER: TypeAdapter[Any] = TypeAdapter(Pagination)


def seen(value: object = None, count: int = 2, walked: int = 2, at: Position | None = None, **headers: str) -> Seen:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Seen(value=value, headers=named, count=count, walked=walked, at=Position() if at is None else at)


def after(declared: Any, answer: Seen) -> Position | None:
    return declared_next(ADAPTER.validate_python(declared), answer)


def at(**params: object) -> Position:
    return Position(params=params)


@pytest.mark.parametrize(
    ("declared", "answer", "following"),
    [
        ({"type": "offset"}, seen(at=at(offset=10), count=7), at(offset=17)),
        ({"type": "offset"}, seen(at=at(offset=10), count=0), None),
        ({"type": "offset", "start": 1}, seen(count=7), at(offset=8)),
        ({"type": "offset", "total": "t"}, seen({"t": 9}, at=at(offset=7), count=2), None),
        ({"type": "offset", "total": "t"}, seen({"t": 10}, at=at(offset=7), count=2), at(offset=9)),
        ({"type": "offset", "total": "t", "start": 1}, seen({"t": 9}, at=at(offset=8), count=2), None),
        ({"type": "offset", "total": "t"}, seen({"t": None}, at=at(offset=7), count=2), at(offset=9)),
        ({"type": "offset", "has_more": "m"}, seen({"m": "false"}, at=at(offset=0)), None),
        ({"type": "offset", "has_more": "m"}, seen({"m": 1}, at=at(offset=0)), at(offset=2)),
        ({"type": "offset", "has_more": "m"}, seen({}, at=at(offset=0)), None),
        ({"type": "page_number"}, seen(), at(page=2)),
        ({"type": "page_number", "start": 0}, seen(at=at(page=0)), at(page=1)),
        ({"type": "page_number", "total_pages": "p"}, seen({"p": "2"}, at=at(page=2)), None),
        ({"type": "page_number", "total_pages": "p", "start": 0}, seen({"p": 2}, at=at(page=0)), at(page=1)),
        ({"type": "page_number", "total": "t"}, seen({"t": 30}, walked=30, at=at(page=3)), None),
        ({"type": "page_number", "stop_on_empty": False, "total_pages": "p"}, seen({"p": 3}, count=0), at(page=2)),
        ({"type": "cursor", "cursor": "c"}, seen({"c": 0}), at(cursor=0)),
        ({"type": "cursor", "cursor": "c"}, seen({"c": ""}), at(cursor="")),
        ({"type": "cursor", "cursor": "c"}, seen({"c": None}), None),
        ({"type": "cursor", "cursor": "c"}, seen({}), None),
        ({"type": "cursor", "cursor": "c"}, seen([]), None),
        ({"type": "cursor", "cursor": "c"}, seen({"c": {}}), None),
        ({"type": "cursor", "cursor": "c", "end_values": ["0"]}, seen({"c": "0"}), None),
        ({"type": "cursor", "cursor": "c", "has_more": "m"}, seen({"c": "x", "m": False}), None),
        ({"type": "cursor", "cursor": "c", "param": "after"}, seen({"c": "x"}), at(after="x")),
        ({"type": "cursor", "cursor_header": "X-C"}, seen(x_c="7"), at(cursor="7")),
        ({"type": "next_url", "next": "n"}, seen({"n": "/x"}), Position(url="/x")),
        ({"type": "next_url", "next": "n"}, seen({"n": False}), None),
        ("header_link", seen(link="<u>; rel=next"), Position(url="u")),
        ({"type": "header_link", "rel": "more"}, seen(link="<u>; rel=next"), None),
    ],
)
def test_declared(declared: Any, answer: Seen, following: Position | None) -> None:
    assert after(declared, answer) == following


@pytest.mark.parametrize(
    ("declared", "answer", "said"),
    [
        ({"type": "offset", "total": "t.n"}, seen({"t": {"n": "abc"}}), "`t.n`.*'abc'"),
        ({"type": "offset", "total": "t"}, seen({"t": True}), "`t`.*'True'"),
        ({"type": "offset", "total": "t"}, seen({"t": [1]}), "`t`"),
        ({"type": "next_url", "next": "n"}, seen({"n": 7}), "`n` is not an address but '7'"),
        ({"type": "cursor", "cursor": "c"}, seen({"c": [1]}), "`c` is a list"),
    ],
)
def test_values_that_cannot_decide(declared: Any, answer: Seen, said: str) -> None:
    with pytest.raises(Broken, match=said):
        after(declared, answer)


@pytest.mark.parametrize(
    ("declared", "first", "fixed"),
    [
        ("auto", {}, {}),
        ("single_page", {}, {}),
        ("offset", {"offset": 0}, {"limit": 100}),
        ({"type": "offset", "send_first": False, "size": None}, {}, {}),
        ({"type": "page_number", "size": 5, "size_param": "n", "start": 0}, {"page": 0}, {"n": 5}),
        ({"type": "page_number", "send_first": False}, {}, {}),
        ({"type": "cursor", "cursor": "c", "size": 9}, {}, {"limit": 9}),
        ({"type": "cursor", "cursor": "c", "first": 0}, {"cursor": 0}, {}),
        ({"type": "next_url", "next": "n"}, {}, {}),
        ("header_link", {}, {}),
    ],
)
def test_first_request(declared: Any, first: Any, fixed: Any) -> None:
    paging = ADAPTER.validate_python(declared)
    assert first_position(paging) == Position(params=first)
    assert fixed_params(paging) == fixed


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("", None),
        ("<a>; rel=next", "a"),
        ("<a>;rel='next'", None),
        ('<a,b;c>; rel="prev", <d>; title="x; rel=next, <y>"; rel="last next"', "d"),
        ('<a>; rel="last",<b>;REL=Next', "b"),
        ("<a>; relation=next", None),
        ('<a>; rel="nextish"', None),
        ("garbage, <a>; rel=next", "a"),
    ],
)
def test_link(header: str, target: str | None) -> None:
    assert link(header, "next") == target


@pytest.mark.parametrize(
    ("declared", "answer", "part"),
    [
        ({"type": "offset", "total": "t"}, seen({"t": 8}, walked=2), 0.25),
        ({"type": "offset", "total": "t"}, seen({"t": 1}, walked=2), 1.0),
        ({"type": "offset", "total": "t"}, seen({"t": 0}, walked=0), None),
        ({"type": "page_number", "total_pages": "p"}, seen({"p": 4}, at=at(page=1)), 0.25),
        ({"type": "page_number", "total_pages": "p", "start": 0}, seen({"p": 4}, at=at(page=1)), 0.5),
        ("page_number", seen(), None),
        ("auto", seen(), None),
    ],
)
def test_share(declared: Any, answer: Seen, part: float | None) -> None:
    assert share(ADAPTER.validate_python(declared), answer) == part


def test_numbers_and_flags() -> None:
    assert number_at({"a": 5.0}, "a") == 5
    assert number_at({"a": " 7 "}, "a") == 7
    assert number_at({"a": None}, "a") is None
    yes: list[object] = ["true", "Yes", "1", 1, True, [0]]
    no: list[object] = ["false", "no", "0", "", 0, None, []]
    assert all(map(truth, yes))
    assert not any(map(truth, no))


@pytest.mark.parametrize(
    ("answer", "following"),
    [
        (seen({"next": "/x", "next_cursor": "c"}, link="<u>; rel=next"), Position(url="u", scheme="link")),
        (seen({"next_cursor": "c", "links": {"next": "/x"}}), Position(url="/x", scheme="url")),
        (seen({"next_cursor": "c", "page": 1, "total_pages": 9}), Position(params={"cursor": "c"}, scheme="token")),
        (seen({"page": 1, "total_pages": 9}, x_next_page="4"), Position(params={"page": "4"}, scheme="header")),
        (seen({"page": 1, "pages": 9, "offset": 0, "total": 99}), Position(params={"page": 2}, scheme="page")),
        (seen({"page": 0, "pages": 9}), Position(params={"page": 1}, scheme="page", base=0)),
        (seen({"meta": {"current_page": 1, "last_page": "2"}}), Position(params={"page": 2}, scheme="page")),
        (seen({"page": 5, "pages": 9}), Position(params={"page": 6}, scheme="page")),
        (seen({"skip": 0, "total": 99}), Position(params={"skip": 2}, scheme="offset")),
        (seen({"offset": 4, "hasMore": True}), Position(params={"offset": 6}, scheme="more")),
        (seen({"next_cursor": None, "page": 1, "total_pages": 2}), Position(params={"page": 2}, scheme="page")),
        (seen({"next": "abc"}), Position(params={"cursor": "abc"}, scheme="token")),
        (seen({"pagination": {"next": 2}}), Position(params={"page": 2}, scheme="token")),
        (seen({"info": {"next": {"after": 5}}}), Position(params={"after": 5}, scheme="token")),
        (seen({"next_cursor": "c", "has_more": False}), None),
        (seen({"next_cursor": ""}), None),
        (seen({"next": None, "results": []}), None),
        (seen({"page": 9, "pages": 9}), None),
        (seen({"page": 1, "pages": 9}, count=0), None),
        (seen({"links": {"page": {"next": "/x"}}}), Position(url="/x", scheme="url")),
        (seen({"offset": 97, "total": 99}), None),
        (seen({"has_more": False}), None),
        (seen({"start": "2024-01-01", "total": 5}), None),
        (seen({"page": {"size": 3}, "pages": {"x": 1}}), None),
        (seen({}), None),
        (seen([]), None),
    ],
)
def test_auto(answer: Seen, following: Position | None) -> None:
    assert auto_next(answer, enveloped=True) == following


def test_auto_stays_with_what_it_has_found() -> None:
    for scheme in ("link", "url", "token", "header"):
        answer = seen({"page": 1, "total_pages": 9}, at=Position(scheme=scheme))
        assert auto_next(answer, enveloped=True) is None
    zero = seen({"page": 1, "total_pages": 2}, at=Position(scheme="page", base=0))
    assert auto_next(zero, enveloped=True) is None


def test_auto_looks_only_at_headers_where_the_answer_is_the_record() -> None:
    value = {"next": "/x", "page": 1, "total_pages": 9, "has_more": True}
    assert auto_next(seen(value), enveloped=False) is None
    assert auto_next(seen(value, x_next_page="2"), enveloped=False) is not None


def test_auto_does_not_guess() -> None:
    with pytest.raises(Misconfigured, match=r"`meta.has_more` but not how"):
        auto_next(seen({"meta": {"has_more": True}}), enveloped=True)
    with pytest.raises(Broken, match="`total`"):
        auto_next(seen({"offset": 0, "total": "abc"}), enveloped=True)
