from collections.abc import Callable
from typing import Any

import pytest

from kasparro.config import Config
from kasparro.config.yaml_text import yaml_text
from kasparro.model.contract import EVOLVING, Contract

Load = Callable[..., Config]
Mistaken = Callable[..., list[str]]

TEXT = """\
sources:
  a:
    type: web
    url: https://x
    schema_contract: {}
"""


@pytest.mark.parametrize(
    ("given", "contract"),
    [
        ("evolve", EVOLVING),
        ("{}", EVOLVING),
        ("freeze", Contract(fields="freeze", types="freeze")),
        ("{types: discard_row}", Contract(types="discard_row")),
        ("{fields: freeze, types: discard_value}", Contract(fields="freeze", types="discard_value")),
    ],
)
def test_words_of_a_contract(load: Load, given: str, contract: Contract) -> None:
    (declared,) = load(TEXT.format(given)).sources
    assert declared.contract == contract
    assert contract.holds == (contract != EVOLVING)


WORDS = "evolve, freeze, discard_row, discard_value"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("freze", f'schema_contract: "freze" is not one of {WORDS}; did you mean "freeze"?'),
        ("discard", f'schema_contract: "discard" is not one of {WORDS}; did you mean "discard_row"?'),
        ("5", f"schema_contract: 5 is not one of {WORDS}"),
        ("[freeze]", f"schema_contract: a list is not one of {WORDS}"),
        ("{tpyes: freeze}", 'schema_contract.tpyes: unknown key; did you mean "types"?'),
        ("{columns: freeze}", "schema_contract.columns: unknown key; the keys are fields, types"),
        (
            "{types: discard_rows}",
            f'schema_contract.types: "discard_rows" is not one of {WORDS}; did you mean "discard_row"?',
        ),
        ("{fields: }", f"schema_contract.fields: null is not one of {WORDS}"),
    ],
)
def test_wrong_words_of_a_contract(mistakes_of: Mistaken, given: str, said: str) -> None:
    assert mistakes_of(TEXT.format(given)) == [f"kasparro.yaml:5: sources.a.{said}"]


def test_all_wrong_words_are_said_at_once_each_in_its_line(mistakes_of: Mistaken) -> None:
    found = mistakes_of(TEXT.format("\n      fields: x\n      types: y"))
    assert [line.split(": ")[0] for line in found] == ["kasparro.yaml:6", "kasparro.yaml:7"]


def test_proposed_lines_are_read_as_they_were_meant(load: Load) -> None:
    rules: dict[str, Any] = {
        "title": ["a b", '"x.y"[0]', "no", "1.10", "#"],
        "value": {"sql": "coalesce({a}, '{b}: #')"},
        "url": {"const": "yes"},
    }
    text = yaml_text({"sources": {"a": {"type": "table", "path": "x", "mapping": rules, "primary_key": "on"}}})
    (declared,) = load(text).sources
    assert declared.mapping is not None
    assert declared.mapping.rules["title"].paths == ("a b", '"x.y"[0]', "no", "1.10", "#")
    assert declared.mapping.rules["value"].sql == "coalesce({a}, '{b}: #')"
    assert (declared.mapping.rules["url"].const, declared.primary_key) == ("yes", ("on",))
