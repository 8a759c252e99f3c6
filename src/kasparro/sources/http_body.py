"""Reading a body: decompressed in bounded pieces, counted, and known to be whole.

Done here and not by the HTTP library because a gzip stream cut short, or a small one that
unpacks without end, would pass there unnoticed.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import httpx2

from kasparro.errors import Broken, Misconfigured, Unreachable

T = TypeVar("T")

PIECE = 1024 * 1024
"""Most bytes unpacked at once."""

ENCODINGS = "gzip, deflate"
"""What is asked for, and all that is understood."""

_GZIP_MAGIC = b"\x1f\x8b"


class Inflate:
    """Unpacks one gzip or deflate stream. gzip may have several members; deflate may come with or without a header."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding in {"gzip", "x-gzip"}
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16) if self._gzip else None
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the data unpacks to. Raises zlib.error when it is no such stream."""
        while data:
            stream = self._opened(data)
            if stream.eof and not self._gzip:
                return
            self._begun = True
            piece = stream.decompress(data, PIECE)
            if piece:
                yield piece
            data = stream.unconsumed_tail
            if stream.eof:
                data = self._next_member(stream.unused_data)

    def whole(self) -> bool:
        """Return whether the stream came to its end; nothing at all is whole too."""
        return not self._begun or (self._stream is not None and self._stream.eof)

    def _opened(self, data: bytes) -> "zlib._Decompress":
        if self._stream is None:
            zlib_header = data[0] & 0x0F == zlib.DEFLATED
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)
        return self._stream

    def _next_member(self, rest: bytes) -> bytes:
        if not self._gzip or not rest.startswith(_GZIP_MAGIC):
            return b""  # padding after the end
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        return rest


async def pieces(response: httpx2.Response, limit: int, place: str) -> AsyncIterator[bytes]:
    """Yield the decompressed body.

    Raises:
        Broken: more than `limit` bytes, or an encoding that is not what it says.
        Unreachable: the compressed stream ends before its end.
    """
    named = [part.strip().lower() for part in response.headers.get("content-encoding", "").split(",")]
    inflates = [_inflate(name, place) for name in reversed(named) if name not in {"", "identity"}]
    size = 0
    async for chunk in response.aiter_raw():
        try:
            for piece in _unpacked(inflates, chunk):
                size += len(piece)
                if size > limit:
                    raise Broken(
                        f"{place} answered more than {limit:,} bytes; ask for smaller pages or raise http.max_bytes",
                        limit=limit,
                    )
                yield piece
        except zlib.error as error:
            raise Broken(f"{place} answered a body that is not the {', '.join(named)} it says it is") from error
    if not all(inflate.whole() for inflate in inflates):
        raise Unreachable(f"{place} answered a compressed body that was cut short after {size:,} bytes")


def _inflate(name: str, place: str) -> Inflate:
    if name in {"gzip", "x-gzip", "deflate"}:
        return Inflate(name)
    raise Broken(f"{place} answered in the encoding {name[:20]!r}, which was not asked for ({ENCODINGS})")


def _unpacked(inflates: list[Inflate], chunk: bytes) -> Iterator[bytes]:
    if not inflates:
        yield chunk
        return
    for piece in inflates[0].feed(chunk):
        yield from _unpacked(inflates[1:], piece)


async def beginning(response: httpx2.Response, place: str, most: int = 8192) -> bytes:
    """Return the first bytes of a body, or as many as can be read: for error messages only."""
    taken = bytearray()
    try:
        async for piece in pieces(response, PIECE, place):
            taken += piece
            if len(taken) >= most:
                break
    except (Broken, Unreachable, httpx2.HTTPError):
        pass  # the status is the news; its body only illustrates it
    return bytes(taken[:most])


async def saved(body: AsyncIterator[bytes], target: Path) -> None:
    """Write a body to a file in pieces of about a megabyte, off the event loop."""
    file = await _on_disk(target, partial(_opened, target))
    try:
        held = bytearray()
        async for piece in body:
            held += piece
            if len(held) >= PIECE:
                await _on_disk(target, partial(file.write, held))
                held = bytearray()
        await _on_disk(target, partial(file.write, held))
    finally:
        await _on_disk(target, file.close)


def _opened(target: Path) -> BinaryIO:
    return target.open("wb")


async def _on_disk(target: Path, call: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(call)
    except OSError as error:
        raise Misconfigured(f"{target} cannot be written: {error.strerror}; make room or give the right") from error
