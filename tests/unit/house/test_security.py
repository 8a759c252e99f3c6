"""What docs/security.md claims is held by tests that there are."""

import re
from pathlib import Path

import pytest
from tests.unit.house.code import code

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted({*re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", PAGE)})
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][2:]


def test_there_is_something_to_check() -> None:
    assert len(NAMED) > 40
    assert len(ROWS) > 30


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_exists(name: str) -> None:
    file, _, function = name.partition("::")
    path = ROOT / file
    assert path.exists()
    assert function == "" or function in {name for name, _ in code(path).functions}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_protection_names_its_test(row: str) -> None:
    _, threat, protection, test, _ = (
        row.split(" | ") if row.count(" | ") > 3 else ("", *row.strip("| ").split(" | "), "")
    )
    assert threat
    assert protection
    assert re.fullmatch(r"(`tests/[^`]+`(, )?)+", test.strip("| "))


def test_the_policy_says_how_to_report() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for heading in ("Reporting", "What to expect", "Supported versions"):
        assert f"## {heading}" in text
