"""Files: found, read, unpacked."""

import bz2
import errno
import gzip
import lzma
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from kasparro.errors import Broken, KasparroError, Misconfigured, NotFound
from kasparro.sources.files import Compression, checksum, find, open_file, packed_as, read_at, reading, unpack


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), NotFound, "a.csv is not there any more"),
        (NotADirectoryError(errno.ENOTDIR, "x"), NotFound, "a.csv is not there any more"),
        (PermissionError(errno.EACCES, "x"), Misconfigured, "a.csv may not be read"),
        (OSError(errno.ENOSPC, "x"), Misconfigured, "the disk is full while a.csv is unpacked"),
        (OSError(errno.EIO, "Input/output error"), Broken, "a.csv cannot be read: Input/output error"),
    ],
)
def test_what_the_system_says_is_said_in_a_sentence(raised: OSError, expected: type[KasparroError], said: str) -> None:
    with pytest.raises(expected) as caught, reading("a.csv"):
        raise raised
    assert type(caught.value) is expected
    assert said in str(caught.value)


def test_names_are_found_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.csv").mkdir()
    found = find(("*.csv", "./a.csv"), tmp_path)
    assert [(file.name, file.path) for file in found] == [("a.csv", tmp_path / "a.csv"), ("b.csv", tmp_path / "b.csv")]


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    (found,) = find(("~/a.csv",), Path("/"))
    assert found.path == tmp_path / "a.csv"


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="gone is not there"):
        open_file(tmp_path / "gone", "gone")


def test_bytes_are_read_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    file = open_file(tmp_path / "a", "a")
    try:
        assert (read_at(file, 3, 4), read_at(file, 8, 9), read_at(file, 20, 1)) == (b"3456", b"89", b"")
        assert checksum(file, 0, 10) == zlib.crc32(b"0123456789")
        assert checksum(file, 4, 10, checksum(file, 0, 4)) == zlib.crc32(b"0123456789")
        assert checksum(file, 0, 99) == zlib.crc32(b"0123456789")
    finally:
        os.close(file)


PACKED: list[tuple[Compression, Any]] = [("gzip", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]


@pytest.mark.parametrize(("name", "pack"), PACKED)
def test_packed_files_are_told_by_their_start_and_unpacked(tmp_path: Path, name: Compression, pack: Any) -> None:
    content = os.urandom(1_500_000) + bytes(1_500_000)
    (tmp_path / "a").write_bytes(pack(content))
    assert packed_as((tmp_path / "a").read_bytes()[:100], "auto") == name
    unpack(tmp_path / "a", tmp_path / "b", name, "a")
    assert (tmp_path / "b").read_bytes() == content


@pytest.mark.parametrize(("name", "pack"), PACKED)
@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_damaged_files_are_refused(tmp_path: Path, name: Compression, pack: Any, damage: str) -> None:
    packed = bytearray(pack(os.urandom(100_000)))
    match damage:
        case "cut":
            del packed[-30:]
        case "changed":
            packed[50_000] ^= 1
        case _:
            packed[:] = b"a,b\n1,2\n"
    (tmp_path / "a").write_bytes(packed)
    with pytest.raises(Broken, match=f"a is no sound {name} file"):
        unpack(tmp_path / "a", tmp_path / "b", name, "a")


def test_stated_compression_wins() -> None:
    assert packed_as(gzip.compress(b""), "none") == "none"
    assert packed_as(b"a,b\n", "xz") == "xz"
    assert packed_as(b"a,b\n", "auto") == "none"


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_a_file_made_to_fill_a_disk_is_given_up(tmp_path: Path, name: Compression, pack: Any) -> None:
    (tmp_path / "a").write_bytes(pack(bytes(8 * 1024**2)))
    with pytest.raises(Broken, match="a unpacks to more than"):
        unpack(tmp_path / "a", tmp_path / "b", name, "a", plenty=1024**2)
    assert (tmp_path / "b").stat().st_size <= 2 * 1024**2
    unpack(tmp_path / "a", tmp_path / "b", name, "a")
    assert (tmp_path / "b").stat().st_size == 8 * 1024**2, "what is not large may be as packed as it likes"
