"""`hold_on` is one of two words."""

from collections.abc import Callable

import pytest

from kasparro.config import Config

WEB = "sources:\n  a:\n    type: web\n    url: https://x\n"


@pytest.mark.parametrize("word", ["bad", "suspicious"])
def test_both_words(load: Callable[..., Config], word: str) -> None:
    assert load(f"{WEB}    hold_on: {word}\n").sources[0].hold_on == word
    assert load(WEB).sources[0].hold_on is None


@pytest.mark.parametrize("word", ["baad", "ok", "true"])
def test_other_words_are_refused_with_their_line(mistakes_of: Callable[..., list[str]], word: str) -> None:
    (found,) = mistakes_of(f"{WEB}    hold_on: {word}\n")
    assert found.startswith("kasparro.yaml:5: sources.a.hold_on: ")
    assert "bad" in found
