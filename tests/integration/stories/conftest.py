"""The command line, called as a user calls it, in this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kasparro.cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Kasparro = Callable[..., Said]


@pytest.fixture
def kasparro(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, database_url: str
) -> Kasparro:
    """Run a command in an empty folder, against the test's database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["kasparro", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Said(code=code, out=out, err=err)

    return run
