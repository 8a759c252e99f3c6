"""The vectorised screen against a slow one that is obviously right."""

import sys
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kasparro.sources.csv_judge import Fault, Rule
from kasparro.sources.csv_screen import Screened, screen
from kasparro.sources.csv_utf8 import invalid_utf8

Entry = tuple[int, int, int, Fault, int]
"""Start, end, line, fault, detail."""


def line_end(data: bytes, start: int) -> tuple[int, int]:
    """Where the text of a physical line ends, and where the next line starts."""
    for at in range(start, len(data)):
        if data[at : at + 2] == b"\r\n":
            return at, at + 2
        if data[at : at + 1] in (b"\r", b"\n"):
            return at, at + 1
    return len(data), len(data)


def parse(data: bytes, start: int, rule: Rule) -> tuple[Fault, int, int, int]:
    """Read one record cell by cell: fault, cells so far, where its text ends or where it went wrong, next start."""
    at, cell = start, 1
    while True:
        if rule.quote is not None and data[at : at + 1] == rule.quote:
            opened_in, at = cell, at + 1
            while True:
                at = data.find(rule.quote, at)
                if at < 0:
                    return Fault.QUOTE_OPEN, opened_in, len(data), len(data)
                if data[at + 1 : at + 2] != rule.quote:
                    break
                at += 2
            if data[at + 1 : at + 2] not in (rule.delimiter, b"\n", b"\r", b""):
                return Fault.QUOTE_FOLLOWED, cell, at, at
            at += 1
        while data[at : at + 1] not in (rule.delimiter, b"\n", b"\r", b""):
            if data[at : at + 1] == rule.quote:
                return Fault.QUOTE_INSIDE, cell, at, at
            at += 1
        if data[at : at + 1] != rule.delimiter:
            text_end, following = line_end(data, at)
            return Fault.SOUND, cell, text_end, following
        at, cell = at + 1, cell + 1


def cell_open_at_line_end(data: bytes, start: int, rule: Rule) -> int:
    text_end, _ = line_end(data, start)
    return parse(data[:text_end], start, rule)[1]


def judge(data: bytes, start: int, rule: Rule) -> tuple[Fault, int, int]:
    """Fault, detail and where the record ends, were it sound."""
    text_end, following = line_end(data, start)
    fault, cell, place, end = parse(data, start, rule)
    if text_end - start > rule.longest:
        return Fault.TOO_LONG, 0, following
    if fault in (Fault.QUOTE_INSIDE, Fault.QUOTE_FOLLOWED) and place - start < rule.longest:
        return fault, cell, following
    if fault != Fault.SOUND or place - start > rule.longest:
        return Fault.QUOTE_OPEN, cell_open_at_line_end(data, start, rule), following
    if rule.width is not None and cell != rule.width:
        return Fault.WIDTH, cell, following
    return sound_text(data[start:end]), cell, end


def sound_text(record: bytes) -> Fault:
    if b"\0" in record:
        return Fault.NUL
    try:
        record.decode()
    except UnicodeDecodeError:
        return Fault.ENCODING
    return Fault.SOUND


def reference(data: bytes, rule: Rule) -> Iterator[Entry]:
    start = line = 0
    while start < len(data):
        text_end, following = line_end(data, start)
        if text_end == start:
            start, line = following, line + 1
            continue
        fault, detail, end = judge(data, start, rule)
        yield start, end, line, fault, detail
        while start < end:
            _, start = line_end(data, start)
            line += 1
        assert start == end


def entries(found: Screened, offset: int = 0, line: int = 0) -> Iterator[Entry]:
    rows = zip(found.starts, found.ends, found.lines, found.faults, found.details, strict=True)
    for start, end, at_line, fault, detail in rows:
        yield int(start) + offset, int(end) + offset, int(at_line) + line, Fault(fault), int(detail)


def plain(found: list[Entry]) -> list[Entry]:
    """The number of a line that is too long says nothing."""
    return [(*entry[:4], 0 if entry[3] is Fault.TOO_LONG else entry[4]) for entry in found]


def in_ranges(data: bytes, rule: Rule, size: int) -> list[Entry]:
    """Read as the source reads: a range at a time, a longer one where nothing could be told."""
    found: list[Entry] = []
    offset = line = 0
    want = size
    while offset < len(data):
        piece = data[offset : offset + want]
        part = screen(piece, rule, at_end=offset + len(piece) == len(data))
        if part.consumed == 0:
            want *= 2
            continue
        found += entries(part, offset, line)
        offset, line, want = offset + part.consumed, line + part.consumed_lines, size
    return found


UTF8_EDGES = b"\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5\xff"
RULES = [
    Rule(delimiter=b",", quote=quote, width=width, longest=longest)
    for quote in (b'"', b"'", None)
    for width in (None, 1, 2, 3)
    for longest in (3, 12, 1000)
]
tokens = st.lists(st.sampled_from([b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"a", b"x", b" ", b"'"]), max_size=60)
noisy = st.lists(
    st.sampled_from([b'"', b",", b"\n", b"\r\n", b"a", b"\0", b"\xff", b"\xc3", b"\xa9", b"\xe2\x82\xac", b"\xf0\x9f"]),
    max_size=60,
)
rows = st.lists(
    st.sampled_from([b'a,"b"\n', b'a,"\n', b'",b\n', b"a,b\n", b'"a\nb",c\n', b"\n", b'a"b\n']), max_size=40
)
texts = (tokens | noisy | rows).map(b"".join)


@settings(deadline=None)
@given(texts, st.sampled_from(RULES))
@example(b'a,"b\n"c,d\ne,f\n', RULES[7])
@example(b'"a\n"a\n"a\n', RULES[7])
def test_equals_the_reference(data: bytes, rule: Rule) -> None:
    found = screen(data, rule, at_end=True)
    assert plain(list(entries(found))) == plain(list(reference(data, rule)))
    assert found.consumed == len(data)


@settings(deadline=None)
@given(texts, st.sampled_from(RULES), st.integers(1, 40))
def test_ranges_of_any_size_give_the_same(data: bytes, rule: Rule, size: int) -> None:
    assert plain(in_ranges(data, rule, size)) == plain(list(reference(data, rule)))


@settings(deadline=None)
@given(texts, texts, st.sampled_from(RULES))
def test_what_is_settled_stays_when_the_file_grows(before: bytes, added: bytes, rule: Rule) -> None:
    found = screen(before, rule, at_end=True)
    kept = [entry for entry in entries(found) if entry[0] < found.settled]
    again = screen((before + added)[found.settled :], rule, at_end=True)
    grown = kept + list(entries(again, found.settled, found.settled_lines))
    assert plain(grown) == plain(list(reference(before + added, rule)))


def written(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('"\n\r,') else cell


@settings(deadline=None)
@given(
    st.lists(st.lists(st.text(alphabet='"\n\r,ax é', max_size=5), min_size=3, max_size=3), max_size=30), st.booleans()
)
def test_what_is_written_by_the_rule_is_sound(table: list[list[str]], crlf: bool) -> None:  # noqa: FBT001 - hypothesis
    records = [(",".join(map(written, row)) + ("\r\n" if crlf else "\n")).encode() for row in table]
    data = b"".join(records)
    found = screen(data, Rule(delimiter=b",", quote=b'"', width=3), at_end=True)
    assert not found.faults.any()
    assert [data[start:end] for start, end in zip(found.starts, found.ends, strict=True)] == records


def test_broken_utf8_is_found_in_each_line_that_has_it() -> None:
    """All sequences of four of the bytes at the borders of the table of UTF-8."""
    lines = [bytes(four) for four in product(b"a" + UTF8_EDGES, repeat=4)]
    places = invalid_utf8(np.frombuffer(b"\n".join(lines), dtype=np.uint8))
    assert set(places // 5) == {number for number, line in enumerate(lines) if sound_text(line) is Fault.ENCODING}
    assert not (places % 5 == 4).any()
    assert len(invalid_utf8(np.frombuffer("aé€😀".encode(), dtype=np.uint8))) == 0


def test_a_record_is_not_too_long_for_a_line_end_that_is_not_yet_whole() -> None:
    rule = Rule(delimiter=b",", quote=b'"', width=1, longest=5)
    assert screen(b'"a\nb"\r', rule, at_end=False).consumed == 0
    assert list(screen(b'"a\nb"\r\n', rule, at_end=False).faults) == [Fault.SOUND]
    assert list(screen(b'"a\nbc"\r', rule, at_end=False).faults) == [Fault.QUOTE_OPEN]


def test_a_quote_that_is_open_for_longer_than_a_record_may_be_is_settled() -> None:
    rule = Rule(delimiter=b",", quote=b'"', width=1, longest=12)
    far, near = b'"' + b"a\n" * 20, b'"' + b"a\n" * 5
    assert (screen(far, rule, at_end=True).settled, screen(near, rule, at_end=True).settled) == (len(far), 0)


def calls(data: bytes, rule: Rule) -> int:
    """How many functions are called to screen a range, those written in C included."""
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1

    sys.setprofile(count)
    try:
        screen(data, rule, at_end=True)
    finally:
        sys.setprofile(None)
    return seen


@pytest.mark.parametrize(
    "unit", [b"a,b\n", b'a"b,c,d\n', b'a,"b,c\n', b'a,"b\n","c",d\n', b'a,"b\n",c\n', b"a,\xff,c\n", b"\n\n\n\n"]
)
def test_no_step_is_taken_line_by_line(unit: bytes) -> None:
    """However many lines there are, and however bad: the work is done on whole arrays, so it is linear."""
    rule = Rule(delimiter=b",", quote=b'"', width=3)
    assert calls(unit * 1000, rule) == calls(unit * 9000, rule)


def test_faults_are_named_with_their_numbers() -> None:
    data = b'a,b,c\na,b\na,x"y,c\na,"x"y,c\n\na,\0,c\na,\xff,c\na,b,"c\nd,e,f\n'
    found = screen(data, Rule(delimiter=b",", quote=b'"', width=3), at_end=True)
    assert [(entry[2], entry[3], entry[4]) for entry in entries(found)] == [
        (0, Fault.SOUND, 3),
        (1, Fault.WIDTH, 2),
        (2, Fault.QUOTE_INSIDE, 2),
        (3, Fault.QUOTE_FOLLOWED, 2),
        (5, Fault.NUL, 3),
        (6, Fault.ENCODING, 3),
        (7, Fault.QUOTE_OPEN, 3),
        (8, Fault.SOUND, 3),
    ]
    assert found.settled == data.index(b'a,b,"c')
