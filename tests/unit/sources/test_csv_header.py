"""What columns are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Misconfigured, SchemaBroken
from kasparro.sources.csv_dialect import recognise
from kasparro.sources.csv_header import Header, cells, looks_like_data, read_header
from kasparro.sources.csv_options import Dialect, Options, unique


def header(sample: str, options: Options | None = None) -> Header:
    stated = options or Options()
    data = sample.encode()
    return read_header(data, recognise(data, stated, whole=True), stated, "a.csv")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a", "b"), ("a", "b")),
        (("a", "a", "a"), ("a", "a_2", "a_3")),
        (("a", "", "b", ""), ("a", "column_2", "b", "column_4")),
        (("a", "a", "a_2"), ("a", "a_3", "a_2")),
        (("", "column_1"), ("column_1_2", "column_1")),
        (("A", "a", " a"), ("A", "a", " a")),
    ],
)
def test_names_become_unique(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert unique(names) == expected


@given(st.lists(st.sampled_from(["", "a", "a_2", "a_3", "column_1", "column_2", "column_1_2"]), max_size=12))
def test_names_are_always_unique_and_stay_where_they_can(names: list[str]) -> None:
    found = unique(names)
    assert len(set(found)) == len(found) == len(names)
    assert "" not in found
    assert all(name in found for name in names if name != "")


@pytest.mark.parametrize(
    ("rows", "data"),
    [
        (["name,age", "x,1", "y,2"], False),
        (["1,2,3"], True),
        (["1,2,3", "4,5,6"], True),
        (["x,1", "y,2"], True),
        (["x,y", "z,w"], False),  # all text: taken for a header
        (["country,2013,2014", "x,1,2", "y,3,4"], False),  # years are names
        (["2013,1,1,UA", "2013,1,2,AA"], True),
        (["id,2024-01-31", "1,2024-02-01"], False),
        (["2024-01-31T10:00:00Z,5 %,$1.50", "2024-02-01T10:00:00Z,6 %,$2.50"], True),
        (["28/01/2018,00:00,x,", "29/01/2018,00:15,y,"], True),
        (["1st,2nd", "a,b"], False),
        (["1,a", "x,b"], False),  # a number above text is a name
    ],
)
def test_a_first_record_is_data_only_when_it_plainly_is(rows: list[str], data: bool) -> None:  # noqa: FBT001
    assert looks_like_data([row.split(",") for row in rows]) is data


def test_a_header_is_the_first_record_and_may_have_several_lines() -> None:
    assert header('\n"a\nb",c\n1,2\n') == Header(columns=("a\nb", "c"), start=9, lines=3)


def test_a_mark_is_no_part_of_a_name() -> None:
    assert header("\ufeffa,b\n1,2\n").columns == ("a", "b")


def test_without_a_header_columns_are_numbered_or_stated() -> None:
    assert header("1,2\n3,4\n") == Header(columns=("column_1", "column_2"), start=0, lines=0)
    assert header("a,b\nc,d\n", Options(header=False)).columns == ("column_1", "column_2")
    assert header("a,b\nc,d\n", Options(columns=("x", "y"))) == Header(columns=("x", "y"), start=0, lines=0)


def test_stated_names_replace_a_stated_header() -> None:
    assert header("a,b\nc,d\n", Options(columns=("x", "y"), header=True)).start == 4


@pytest.mark.parametrize("stated", [True, False, None])
def test_stated_names_that_do_not_fit_are_refused(stated: bool | None) -> None:  # noqa: FBT001
    with pytest.raises(Misconfigured, match=r"`columns` names 3 columns, but .* 2 cells"):
        header("a,b\nc,d\n", Options(columns=("x", "y", "z"), header=stated))


def test_a_file_without_a_sound_record_is_refused() -> None:
    with pytest.raises(SchemaBroken, match=r"no record at the start of a\.csv can be read"):
        header('a"b,c\n', Options(header=False))


def test_a_header_that_fits_a_tenth_is_kept() -> None:
    assert header("a,b\n" + "1\n" * 9 + "1,2\n", Options(delimiter=",")).columns == ("a", "b")
    with pytest.raises(SchemaBroken, match="has 2 cells, but the records after it have 1"):
        header("a,b\n" + "1\n" * 10 + "1,2\n", Options(delimiter=","))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("a,b", ["a", "b"]),
        (",", ["", ""]),
        ('"a,""b""",""', ['a,"b"', ""]),
        ('"",x', ["", "x"]),
        ('""""', ['"']),
        ('"a\n",', ["a\n", ""]),
    ],
)
def test_cells(record: str, expected: list[str]) -> None:
    assert cells(record, Dialect(delimiter=",", quote='"')) == expected


def test_cells_without_quoting() -> None:
    assert cells('"a,b"', Dialect(delimiter=",", quote=None)) == ['"a', 'b"']
