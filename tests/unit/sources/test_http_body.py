import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Broken, Unreachable
from kasparro.sources.http_body import PIECE, Inflate, beginning, pieces


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "raw": raw_deflate}


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.binary(max_size=3000), st.integers(1, 200), st.sampled_from(sorted(PACKED)))
def test_unpacks_in_pieces_of_any_size(data: bytes, size: int, how: str) -> None:
    inflate = Inflate("gzip" if how == "gzip" else "deflate")
    packed = PACKED[how](data)
    assert b"".join(piece for chunk in chunks(packed, size) for piece in inflate.feed(chunk)) == data
    assert inflate.whole()


@given(st.binary(min_size=1, max_size=500), st.sampled_from(sorted(PACKED)), st.data())
def test_a_stream_cut_short_is_not_whole(data: bytes, how: str, draw: st.DataObject) -> None:
    packed = PACKED[how](data)
    left = draw.draw(st.integers(1, len(packed) - 1))
    inflate = Inflate("gzip" if how == "gzip" else "deflate")
    b"".join(inflate.feed(packed[:left]))
    assert not inflate.whole()


def test_gzip_of_several_members_and_padding() -> None:
    inflate = Inflate("gzip")
    packed = gzip.compress(b"one") + gzip.compress(b"two") + b"\x00" * 10
    assert b"".join(inflate.feed(packed)) == b"onetwo"
    assert inflate.whole()


def test_what_follows_a_deflate_stream_is_padding() -> None:
    inflate = Inflate("deflate")
    assert b"".join(inflate.feed(zlib.compress(b"one") + b"xx")) == b"one"
    assert b"".join(inflate.feed(b"more")) == b""
    assert inflate.whole()


def test_no_piece_is_large() -> None:
    inflate = Inflate("gzip")
    sizes = [len(piece) for piece in inflate.feed(gzip.compress(bytes(5 * PIECE)))]
    assert max(sizes) <= PIECE
    assert sum(sizes) == 5 * PIECE


def response(body: bytes, encoding: str = "", size: int = 1000) -> httpx2.Response:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks(body, size):
            yield chunk

    return httpx2.Response(200, headers={"content-encoding": encoding} if encoding else {}, content=stream())


async def read(answer: httpx2.Response, limit: int = 10**9) -> bytes:
    return b"".join([piece async for piece in pieces(answer, limit, "GET here")])


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "X-GZIP", "deflate", "deflate, gzip"])
async def test_encodings(encoding: str) -> None:
    data = b"some text " * 1000
    body = data
    for name in encoding.lower().split(", "):
        body = PACKED.get(name.removeprefix("x-"), bytes)(body)
    assert await read(response(body, encoding)) == data


async def test_limits_count_what_is_unpacked() -> None:
    data = b" " * 5000
    assert await read(response(data), limit=5000) == data
    with pytest.raises(Broken, match="more than 4,999 bytes"):
        await read(response(data), limit=4999)
    with pytest.raises(Broken, match=r"http\.max_bytes"):
        await read(response(gzip.compress(data), "gzip"), limit=4999)


async def test_what_cannot_be_unpacked() -> None:
    with pytest.raises(Broken, match="'zstd'"):
        await read(response(b"x", "zstd"))
    with pytest.raises(Broken, match="not the gzip"):
        await read(response(b"plain text", "gzip"))
    with pytest.raises(Unreachable, match="cut short"):
        await read(response(gzip.compress(b"text" * 99)[:-4], "gzip"))
    assert await read(response(b"", "gzip")) == b""


async def test_the_beginning_of_a_body_is_taken_as_far_as_it_goes() -> None:
    assert await beginning(response(b"x" * 20_000), "here") == b"x" * 8192
    assert await beginning(response(b"abc", "br"), "here") == b""
    assert await beginning(response(b"no gzip", "gzip"), "here") == b""
