"""A command loads what it needs and no more; the command line as a whole has them all."""

import subprocess
import sys

import pytest
from typer.main import get_command

from kasparro.cli.main import command_line

HEAVY = {"numpy", "duckdb", "httpx2", "msgspec", "feedparser", "fastapi", "uvicorn"}


def loaded_by(statements: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after these statements."""
    code = f"import sys\n{statements}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("command", ["run", "migrate", "sources", "runs"])
def test_a_command_loads_nothing_heavy_before_it_is_needed(command: str) -> None:
    statements = f"from kasparro.cli.main import command_line\ncommand_line([{command!r}])"
    assert loaded_by(statements) & HEAVY == set()


def test_a_csv_source_is_declared_without_the_other_kinds() -> None:
    statements = (
        "from kasparro.config import declare_sources\n"
        "declare_sources({'a': {'type': 'csv', 'path': 'a.csv', 'primary_key': 'id'}})"
    )
    names = loaded_by(statements)
    assert names & HEAVY == set()
    assert "kasparro.sources.csv" in names
    assert not {"kasparro.sources.api", "kasparro.sources.rss"} & names


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense"]])
def test_without_a_command_all_are_there(words: list[str]) -> None:
    whole = get_command(command_line(words))
    names = set(whole.commands)  # type: ignore[attr-defined]
    assert {"run", "preview", "check", "init", "serve", "runs", "checkpoint", "rejects", "psql", "version"} <= names


def test_a_command_named_first_stands_alone_and_version_with_it() -> None:
    names = set(get_command(command_line(["run", "a.csv"])).commands)  # type: ignore[attr-defined]
    assert names == {"run", "version"}
