import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import BookmarkLost
from kasparro.sources.api_next import Position
from kasparro.sources.api_walk import Walk, fingerprint, place_of, walk_from

WALKS = st.builds(
    Walk,
    paging=st.just("cursor"),
    cursor_field=st.just("at"),
    position=st.none()
    | st.builds(
        Position,
        url=st.none() | st.just("https://h/x?page=2"),
        params=st.dictionaries(st.text(), st.integers() | st.text(), max_size=2),
        scheme=st.none() | st.just("page"),
        base=st.integers(0, 1),
    ),
    mark=st.none() | st.integers() | st.text(min_size=1),
    records_at=st.none() | st.just("data.items"),
    keys=st.lists(st.text(), max_size=3).map(tuple),
    validators=st.dictionaries(st.just("etag"), st.text(), max_size=1),
)


@given(WALKS)
def test_a_bookmark_is_json_and_comes_back(walk: Walk) -> None:
    bookmark = json.loads(json.dumps(walk.to_bookmark()))
    assert walk_from(bookmark, paging="cursor", cursor_field="at") == walk


def test_the_middle_of_a_pass_comes_back() -> None:
    walk = Walk(paging="offset", position=Position(params={"offset": 0}), high=0, walked=5, pages=1, trail=("a", "b"))
    bookmark = json.loads(json.dumps(walk.to_bookmark()))
    assert walk_from(bookmark, paging="offset", cursor_field=None) == walk


def test_the_end_of_a_pass_moves_the_mark_only_up() -> None:
    walk = Walk(paging="auto", position=Position(), mark=5, high=9, walked=3, pages=2, trail=("a",))
    assert walk.finished(None) == Walk(paging="auto", mark=9)
    assert Walk(paging="auto", mark=5, high=3).finished(None).mark == 5
    assert Walk(paging="auto", mark=5).finished(None).mark == 5
    assert walk.restarted() == Walk(paging="auto", mark=5)


def test_what_no_longer_fits_is_forgotten() -> None:
    walk = Walk(paging="auto", cursor_field="at", position=Position(params={"x": 1}), mark=5, records_at="data")
    other = walk_from(walk.to_bookmark(), paging="offset", cursor_field="at")
    assert (other.position, other.mark, other.records_at) == (None, 5, "data")
    field = walk_from(walk.to_bookmark(), paging="auto", cursor_field="id")
    assert (field.position, field.mark) == (None, None)
    assert walk_from({}, paging="auto", cursor_field=None) == Walk(paging="auto")


@pytest.mark.parametrize(
    "bookmark", [{"pass": {}}, {"pass": 5}, {"pass": {"params": 3}}, {"keys": 7}, {"validators": "x"}]
)
def test_what_is_none_of_ours(bookmark: Any) -> None:
    with pytest.raises(BookmarkLost, match="reset it"):
        walk_from({"paging": "auto", **bookmark}, paging="auto", cursor_field=None)


def test_fingerprints() -> None:
    assert place_of(Position(params={"a": 1, "b": 2})) == place_of(Position(params={"b": 2, "a": 1}, scheme="x"))
    assert len({place_of(Position(url=url)) for url in ("a", "b", None)}) == 3
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")
    assert len(fingerprint("x")) == 16
