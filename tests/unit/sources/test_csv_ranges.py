"""Reading range by range gives what one look at the whole file gives, whatever the sizes."""

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.errors import Broken
from kasparro.model.page import CsvRecords, Reject
from kasparro.sources.csv_judge import Fault, rule_of
from kasparro.sources.csv_options import Dialect, Spot
from kasparro.sources.csv_page import Layout, Part
from kasparro.sources.csv_ranges import Reading, step
from kasparro.sources.csv_screen import screen

LONGEST = 12
START = Spot(offset=0, lines=0, crc=0)
LAYOUT = Layout(columns=("a", "b"), dialect=Dialect(delimiter=",", quote='"'), null_values=("",), origin="file.csv")
CODES = {Fault.WIDTH: "width", Fault.TOO_LONG: "too_long", Fault.NUL: "nul", Fault.ENCODING: "encoding"}


@contextmanager
def opened(data: bytes, *, page_bytes: int, page_records: int = 1000, longest: int = LONGEST) -> Iterator[Reading]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield Reading(
            file=file.fileno(),
            size=len(data),
            layout=LAYOUT,
            page_bytes=page_bytes,
            page_records=page_records,
            longest=longest,
        )


def walk(reading: Reading, spot: Spot) -> Iterator[tuple[Part, Spot]]:
    while spot.offset < reading.size:
        found = step(reading, spot)
        yield from found.pages
        assert found.next.offset > spot.offset
        spot = found.next


def sound(records: CsvRecords) -> list[tuple[str, str]]:
    return [(records.place(at), records.raw(at)) for at in range(len(records))]


def lost(reject: Reject) -> tuple[str, str, str]:
    """Of a line that is too long only the start is kept; how much, depends here on the tiny sizes."""
    return reject.place, reject.code, reject.raw[:LONGEST] if reject.code == "too_long" else reject.raw


def expected(data: bytes, longest: int) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    found = screen(data, rule_of(LAYOUT.dialect, 2, longest), at_end=True)
    good, bad = list[tuple[str, str]](), list[tuple[str, str, str]]()
    for start, end, line, fault in zip(found.starts, found.ends, found.lines, found.faults, strict=True):
        raw = data[start:end].decode("utf-8", "backslashreplace").rstrip("\r\n")
        place = f"file.csv:{line + 1}"
        if fault == Fault.SOUND:
            good.append((place, raw))
        else:
            raw = raw.replace("\0", "\\x00")
            bad.append((place, CODES.get(Fault(fault), "quote"), raw[:LONGEST] if fault == Fault.TOO_LONG else raw))
    return good, bad


texts = st.lists(
    st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"a", b"x,y\n", b'"p\nq",r\n', b"\0", b"\xff", b"long" * 4]),
    max_size=50,
).map(b"".join)


@settings(deadline=None)
@given(texts, st.integers(1, 60), st.integers(1, 6))
def test_any_sizes_give_the_same(data: bytes, page_bytes: int, page_records: int) -> None:
    with opened(data, page_bytes=page_bytes, page_records=page_records) as reading:
        pages = [part for part, _ in walk(reading, START)]
    good, bad = expected(data, LONGEST)
    assert [entry for part in pages for entry in sound(part.records)] == good
    assert [lost(reject) for part in pages for reject in part.rejects] == bad
    assert all(len(part.records) + len(part.rejects) <= page_records for part in pages)
    assert b"".join(part.records.content for part in pages).decode().count("\0") == 0


@settings(deadline=None)
@given(texts, st.integers(1, 60), st.integers(1, 6), st.integers(0, 20))
def test_every_spot_is_one_to_resume_from(data: bytes, page_bytes: int, page_records: int, killed: int) -> None:
    with opened(data, page_bytes=page_bytes, page_records=page_records) as reading:
        pages = list(walk(reading, START))
        before = pages[: min(killed, len(pages) - 1)] if pages else []
        spot = before[-1][1] if before else START
        after = list(walk(reading, spot))
    good, bad = expected(data, LONGEST)
    both = [part for part, _ in (*before, *after)]
    # Only what the end of the file leaves open may be read twice; nothing else, and nothing out of order.
    assert list(dict.fromkeys(entry for part in both for entry in sound(part.records))) == good
    assert list(dict.fromkeys(lost(reject) for part in both for reject in part.rejects)) == bad
    twice = sum(len(part.records) + len(part.rejects) for part in both) - len(good) - len(bad)
    assert twice == 0 or (before and spot == pages[-1][1])
    assert all(spot.crc == zlib.crc32(data[: spot.offset]) for _, spot in pages)


@settings(deadline=None)
@given(texts, texts, st.integers(1, 60))
def test_a_file_that_grows_is_read_on_from_its_last_spot(data: bytes, added: bytes, page_bytes: int) -> None:
    with opened(data, page_bytes=page_bytes) as reading:
        pages = list(walk(reading, START))
    spot = pages[-1][1] if pages else START
    with opened(data + added, page_bytes=page_bytes) as reading:
        more = [part for part, _ in walk(reading, spot)]
    good, bad = expected(data + added, LONGEST)
    seen = [entry for part in ([part for part, _ in pages] + more) for entry in sound(part.records)]
    gone = [lost(reject) for part in ([part for part, _ in pages] + more) for reject in part.rejects]
    assert set(good) <= set(seen)
    assert set(bad) <= set(gone)
    assert [entry for part in more for entry in sound(part.records)] == good[
        len(good) - sum(len(p.records) for p in more) :
    ]


def test_text_for_the_parser_has_one_line_feed_after_each_record() -> None:
    data = b'a,b\r\n\r\nc,"d\r\ne\r"\rf,g\n"h\n",\r\ni,j'
    with opened(data, page_bytes=1000, longest=1000) as reading:
        ((part, _),) = walk(reading, START)
    assert part.records.text == b'a,b\nc,"d\r\ne\r"\nf,g\n"h\n",\ni,j\n'
    assert part.records.content == b'a,b\r\nc,"d\r\ne\r"\rf,g\n"h\n",\r\ni,j'
    assert [part.records.lines[at] for at in range(5)] == [1, 3, 6, 7, 9]


def test_text_for_the_parser_is_the_content_where_nothing_changes() -> None:
    with opened(b'a,b\n"c\n",d\n', page_bytes=1000, longest=1000) as reading:
        ((part, _),) = walk(reading, START)
    assert part.records.text is part.records.content


def test_a_mark_in_the_text_gets_another_one_that_the_parser_may_skip() -> None:
    mark = b"\xef\xbb\xbf"
    with opened(mark + b"a,b\n", page_bytes=1000, longest=1000) as reading:
        ((part, _),) = walk(reading, START)
    assert (part.records.content, part.records.text) == (mark + b"a,b\n", mark + mark + b"a,b\n")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""])
def test_a_line_too_long_to_hold_is_skipped_in_pieces(end: bytes) -> None:
    data = b"a,b\n" + b"x" * 5_000_000 + end + (b"c,d\n" if end else b"")
    with opened(data, page_bytes=10, longest=1000) as reading:
        pages = list(walk(reading, START))
    (reject,) = [reject for part, _ in pages for reject in part.rejects]
    assert (reject.place, reject.code, reject.raw[:4]) == ("file.csv:2", "too_long", "xxxx")
    places = [part.records.place(0) for part, _ in pages if len(part.records)]
    assert places == ["file.csv:1", "file.csv:3"][: 2 if end else 1]
    assert pages[-1][1].offset == (len(data) if end else 4)


def test_a_line_as_long_as_it_may_be_is_read() -> None:
    with opened(b"aaaaaa,bbbbb\r\nc,d\r\n", page_bytes=13, longest=12) as reading:
        pages = [part for part, _ in walk(reading, START)]
    assert [entry for part in pages for entry in sound(part.records)] == [
        ("file.csv:1", "aaaaaa,bbbbb"),
        ("file.csv:2", "c,d"),
    ]


def test_a_file_that_shrinks_while_it_is_read_is_an_error() -> None:
    with opened(b"a,b\n" * 100, page_bytes=40) as reading:
        first = step(reading, START)
        os.ftruncate(reading.file, 50)
        with pytest.raises(Broken, match=r"file\.csv became shorter"):
            step(reading, first.next)


def test_page_records_bounds_good_and_bad_together() -> None:
    with opened(b"a,b\nbad\n" * 50, page_bytes=10_000, page_records=7) as reading:
        pages = [part for part, _ in walk(reading, START)]
    assert [len(part.records) + len(part.rejects) for part in pages] == [7] * 14 + [2]
    assert Path(reading.layout.origin).name == "file.csv"
