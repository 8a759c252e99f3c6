"""Files fit a head, functions fit a screen; what only prose says drifts."""

from pathlib import Path

import pytest
from tests.unit.house.code import code

ROOT = Path(__file__).parents[3]
FILE_LINES = 300
TEST_FILE_LINES = 600
FUNCTION_LINES = 60

SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 50
    assert len(TESTS) > 10


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_a_module_fits_a_head(path: Path) -> None:
    assert lines_of(path) <= FILE_LINES


@pytest.mark.parametrize("path", TESTS, ids=shown)
def test_a_test_file_fits_a_head(path: Path) -> None:
    assert lines_of(path) <= TEST_FILE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_functions_fit_a_screen_and_modules_say_why_they_exist(path: Path) -> None:
    found = code(path)
    assert found.empty or found.docstring, "a module without a docstring"
    for name, size in found.functions:
        assert size <= FUNCTION_LINES, f"{name} has {size} lines"


EMPTY_WORDS = {"manager", "service", "handler", "helper", "helpers", "util", "utils", "common", "base", "factory"}


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_names_name_something(path: Path) -> None:
    words = set(path.stem.split("_"))
    for name in code(path).classes:
        words |= {part.lower() for part in "".join(f" {c}" if c.isupper() else c for c in name).split()}
    assert not words & EMPTY_WORDS
