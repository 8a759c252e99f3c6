"""Which psql is taken."""

from pathlib import Path

import pytest

from kasparro.cli.database import psql_program
from kasparro.errors import Misconfigured
from kasparro.store.embedded import binaries


def test_ours_where_the_connection_is_plain_and_that_of_the_machine_where_it_is_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is built without TLS."""
    theirs = tmp_path / "psql"
    theirs.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert psql_program(encrypted=False) == str(binaries() / "psql")
    assert psql_program(encrypted=True) == str(theirs)


def test_none_that_speaks_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match="Install a psql that speaks TLS"):
        psql_program(encrypted=True)
