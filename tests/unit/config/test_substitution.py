from typing import Any

import pytest

from kasparro.config.substitution import substitute


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwoz"),
        ("${A:-other}", "one"),
        ("${NONE:-other}", "other"),
        ("${NONE:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A {A} $ a$", "$A {A} $ a$"),
    ],
)
def test_texts_are_filled_in(text: str, expected: str) -> None:
    filled = substitute(text, {"A": "one", "B": "two", "EMPTY": ""})
    assert (filled.data, filled.mistakes) == (expected, ())


def test_what_came_from_the_environment_is_remembered_and_defaults_are_not() -> None:
    data: dict[str, Any] = {"a": ["x", "${A}"], "b": {"c": "${NONE:-open}"}, "${A}": 1, "d": None}
    filled = substitute(data, {"A": "one"})
    assert filled.data == {"a": ["x", "one"], "b": {"c": "open"}, "${A}": 1, "d": None}
    assert filled.secrets == {"one"}
    assert filled.hidden == {("a", 1)}


@pytest.mark.parametrize("text", ["${", "a ${1x}", "${A", "${}", "${A:?no}", "^a${2}$"])
def test_a_reference_that_is_none_is_a_mistake(text: str) -> None:
    (mistake,) = substitute({"a": text}, {"A": "x"}).mistakes
    assert str(mistake) == 'a: after "${" comes the name of a variable and "}"; write "$${" for a plain "${"'


def test_every_unset_variable_is_a_mistake() -> None:
    found = substitute({"a": "${X}", "b": ["${Y}"]}, {}).mistakes
    assert [str(mistake) for mistake in found] == [
        "a: the environment variable X is not set; set it, or write ${X:-default}",
        "b[0]: the environment variable Y is not set; set it, or write ${Y:-default}",
    ]
