import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.api.etag import question, tag, versions

ASKED = question("data", 10, 0, None)


@given(st.integers(-(2**63), 2**63 - 1))
def test_the_version_is_read_again(version: int) -> None:
    made = tag(version, ASKED)
    assert re.fullmatch(r'W/"[0-9a-f-]+"', made)
    assert versions(made, ASKED) == (version,)
    assert versions(f'"strong", {made}, W/"x"', ASKED) == (version,)


def test_several_versions() -> None:
    assert versions(f"{tag(1, ASKED)}, {tag(-1, ASKED)}", ASKED) == (1, -1)


def test_another_question_has_another_tag() -> None:
    assert versions(tag(1, question("data", 10, 10, None)), ASKED) == ()


@pytest.mark.parametrize("header", [None, "", "*", '"x"', 'W/"zz-yy"', "\udcff", 'W/"' + "0" * 99])
def test_tags_of_others(header: str | None) -> None:
    assert versions(header, ASKED) == ()


def test_questions_are_told_apart() -> None:
    asked = [question("a", 1), question("a", "1"), question("a", None), question("a1"), question("a", 1, 0)]
    assert len(set(asked)) == len(asked)
