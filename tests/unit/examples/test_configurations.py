from pathlib import Path

import pytest

from kasparro.config import load_config

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


def test_there_are_examples() -> None:
    assert len(FILES) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_valid_without_any_variable(path: Path) -> None:
    assert load_config(path, {}).sources


def test_upstream_names_the_address() -> None:
    path = EXAMPLES / "kasparro.yaml"
    assert "http://127.0.0.1:8010/airports" in str(load_config(path, {}).sources)
    assert "http://127.0.0.1:1/airports" in str(load_config(path, {"UPSTREAM": "http://127.0.0.1:1"}).sources)


def test_every_example_is_told_of() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert [path.name for path in FILES if f"`{path.name}`" not in readme] == []
