"""Files as sources have them: found by name or pattern, read with clear errors, unpacked."""

import bz2
import errno
import glob
import gzip
import lzma
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from kasparro.errors import Broken, Misconfigured, NotFound

Compression = Literal["auto", "none", "gzip", "bz2", "xz"]

CHUNK = 1024 * 1024

PLENTY, SWOLLEN = 1024**3, 200
"""Bytes that a compressed file may unpack to in any case, and how many times its own size beyond that."""

_PACKED: tuple[tuple[bytes, Compression], ...] = ((b"\x1f\x8b\x08", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file: its name as declared, relative to the folder of the declaration, and where it is."""

    name: str
    path: Path


def find(patterns: tuple[str, ...], folder: Path) -> tuple[Found, ...]:
    """Return the files that the names and patterns stand for, sorted by name, each once.

    Raises:
        NotFound: a name or pattern stands for no file.
        Misconfigured: a name stands for something that is no file.
    """
    names = {os.path.normpath(name) for pattern in patterns for name in _names(pattern, folder)}
    return tuple(Found(name=name, path=folder / name) for name in sorted(names))


def _names(pattern: str, folder: Path) -> list[str]:
    plain = str(Path(pattern).expanduser())
    with reading(pattern):
        try:
            mode = (folder / plain).stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return _matches(pattern, plain, folder)
    if stat.S_ISDIR(mode):
        raise Misconfigured(f"{pattern} is a folder; name its files, for example {pattern.rstrip('/')}/*.csv")
    if not stat.S_ISREG(mode):
        raise Misconfigured(f"{pattern} is no regular file; copy its content to one and name that")
    return [plain]


def _matches(pattern: str, plain: str, folder: Path) -> list[str]:
    if not glob.has_magic(plain):
        raise NotFound(f"there is no file {pattern} in {folder}; check the path")
    names = glob.glob(plain, root_dir=folder, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = [name for name in names if (folder / name).is_file()]
    if not found:
        raise NotFound(f"no file matches {pattern} in {folder}; check the pattern")
    return found


@contextmanager
def reading(origin: str) -> Iterator[None]:
    """Translate what the operating system says about a file."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{origin} is not there any more; check the path") from error
    except PermissionError as error:
        raise Misconfigured(f"{origin} may not be read; give the user that runs this permission to read it") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Misconfigured(f"the disk is full while {origin} is unpacked; free some space") from error
        raise Broken(f"{origin} cannot be read: {error.strerror or error}") from error


def open_file(path: Path, origin: str) -> int:
    """Return a descriptor to read from. Raises NotFound, Misconfigured or Broken."""
    with reading(origin):
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def read_at(file: int, offset: int, count: int) -> bytes:
    """Return the bytes from the offset on, fewer than asked for only at the end of the file."""
    pieces = []
    while count > 0:
        piece = os.pread(file, count, offset)
        if not piece:
            break
        pieces.append(piece)
        offset, count = offset + len(piece), count - len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def checksum(file: int, start: int, stop: int, value: int = 0) -> int:
    """Return the CRC-32 of a part of a file, going on from the value of what stands before it."""
    while start < stop:
        piece = read_at(file, start, min(CHUNK, stop - start))
        if not piece:
            break
        value = zlib.crc32(piece, value)
        start += len(piece)
    return value


def packed_as(start: bytes, stated: Compression) -> Compression:
    """Return how a file is compressed: as stated, else by its first bytes."""
    if stated != "auto":
        return stated
    return next((name for magic, name in _PACKED if start.startswith(magic)), "none")


def unpack(source: Path, target: Path, compression: Compression, origin: str, plenty: int = PLENTY) -> None:
    """Write the decompressed content of a file to another, in constant memory.

    Args:
        source: The file.
        target: Where its content goes.
        compression: How it is compressed.
        origin: What messages call it.
        plenty: Bytes beyond which the content may not be more than `SWOLLEN` times the file: a few packed kilobytes
            could fill any disk.

    Raises:
        Broken: the file is damaged, cut short, not compressed that way, or made to fill a disk.
    """
    with reading(origin):
        most = max(plenty, SWOLLEN * source.stat().st_size)
        try:
            with _opened(source, compression) as packed, target.open("wb") as plain:
                while piece := packed.read(CHUNK):
                    if plain.tell() + len(piece) > most:
                        raise Broken(_swollen(origin, most))
                    plain.write(piece)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise Broken(f"{origin} is no sound {compression} file ({error}); fetch or write it again") from error


def _swollen(origin: str, most: int) -> str:
    return (
        f"{origin} unpacks to more than {most:,} bytes, {SWOLLEN} times its size, as files do that are made to fill a "
        "disk; if it is sound, unpack it and name the plain file"
    )


def _opened(source: Path, compression: Compression) -> BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    match compression:
        case "gzip":
            return gzip.open(source)
        case "bz2":
            return bz2.open(source)
        case "xz":
            return lzma.open(source)
        case _:
            return source.open("rb")


def scratch_file(folder: Path) -> Path:
    """Return a new empty file in the folder."""
    with reading(str(folder)):
        handle, name = tempfile.mkstemp(dir=folder)
        os.close(handle)
    return Path(name)
