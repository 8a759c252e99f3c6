"""Temporary files go into a folder that nobody else can have made."""

import os
import tempfile
from pathlib import Path

import pytest

from kasparro.assembly.scratch import scratch_folder
from kasparro.errors import Misconfigured


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"kasparro-scratch-{os.geteuid()}"


def test_it_is_ours_alone_and_gone_afterwards(root: Path) -> None:
    for _ in range(2):
        with scratch_folder() as made:
            assert made.parent == root
            assert [one.stat().st_mode & 0o777 for one in (root, made)] == [0o700, 0o700]
        assert not made.exists()


def test_a_folder_that_others_may_enter_is_refused(root: Path) -> None:
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(Misconfigured, match="not a folder of this user alone"), scratch_folder():
        pass


def test_a_link_in_its_place_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misconfigured, match="not a folder of this user alone"), scratch_folder():
        pass
