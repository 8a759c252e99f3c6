"""DuckDB's reader gives, for sound records, cell for cell what Python's `csv` gives."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kasparro.model.page import CsvRecords
from kasparro.shaping.csv_parse import read_csv_sql

Rows = list[tuple[str | None, ...]]


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def records(
    text: bytes, width: int, *, delimiter: str = ",", quote: str | None = '"', null_values: tuple[str, ...] = ("",)
) -> CsvRecords:
    return CsvRecords(
        columns=tuple(f"n{number}" for number in range(width)),
        delimiter=delimiter,
        quote=quote,
        text=text,
        content=text,
        starts=(),
        lines=(),
        origin="a.csv",
        null_values=null_values,
    )


def parsed(duck: duckdb.DuckDBPyConnection, folder: Path, given_records: CsvRecords) -> Rows:
    file = folder / "it's a.csv"
    file.write_bytes(given_records.text)
    return duck.execute(f"SELECT * FROM {read_csv_sql(given_records, str(file))}").fetchall()


def by_python(text: str, delimiter: str, quote: str | None) -> list[tuple[str, ...]]:
    source = io.StringIO(text, newline="")
    if quote is None:
        return [tuple(row) for row in csv.reader(source, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)]
    return [tuple(row) for row in csv.reader(source, delimiter=delimiter, quotechar=quote, strict=True)]


def written(cell: str, delimiter: str, quote: str | None, *, always: bool) -> str:
    if quote is None:
        return "".join(character for character in cell if character not in delimiter + "\r\n")
    if always or set(cell) & {delimiter, quote, "\n", "\r"}:
        return quote + cell.replace(quote, quote * 2) + quote
    return cell


DIALECTS = [(",", '"'), (";", '"'), ("\t", "'"), ("|", None), ("'", '"'), ("\\", '"'), (" ", "'"), ("\x1f", '"')]
texts = st.text(alphabet="\"'\n\r,;|\t\\ #ax1é€😀\ufeff\xa0\x01\x0b\x0c\x1c\x1f\x85\u2028-", max_size=8)
quoted_texts = st.tuples(texts | st.sampled_from(["NULL", "null", "NaN", "\\N", "--", "//", "#"]), st.booleans())
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(quoted_texts, min_size=width, max_size=width), min_size=1, max_size=25)
)


@settings(deadline=None)
@given(tables, st.sampled_from(DIALECTS))
@example([[("", True)], [("", True)]], (",", '"'))
@example([[("a\r\nb\r", True), (" x ", False)]], (",", '"'))
def test_cells_are_those_of_python(
    duck: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    table: list[list[tuple[str, bool]]],
    dialect: tuple[str, str | None],
) -> None:
    delimiter, quote = dialect
    lines = [delimiter.join(written(cell, *dialect, always=always) for cell, always in row) for row in table]
    lines = [line for line in lines if line]  # a blank line is no record
    text = "".join(line + "\n" for line in lines)
    marked = "\ufeff" + text if text.startswith("\ufeff") else text
    wanted = by_python(text, delimiter, quote)
    found = parsed(
        duck,
        tmp_path_factory.getbasetemp(),
        records(marked.encode(), len(table[0]), delimiter=delimiter, quote=quote),
    )
    assert [tuple(cell or "" for cell in row) for row in found] == wanted


@pytest.mark.parametrize(
    ("null_values", "expected"),
    [
        (("",), ("NA", None, "NA", "", " ")),
        (("NA",), (None, "", "NA", "", " ")),
        (("", "NA", "N", " "), (None, None, "NA", "", None)),
        ((), ("NA", "", "NA", "", " ")),
        (('"', ",", "a,b", "x\n"), ("NA", "", "NA", "", " ")),
    ],
)
def test_nulls_are_unquoted_and_only_those_stated(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, null_values: tuple[str, ...], expected: tuple[str | None, ...]
) -> None:
    assert parsed(duck, tmp_path, records(b'NA,,"NA",""," "\n', 5, null_values=null_values))[0][:4] == expected[:4]
    assert parsed(duck, tmp_path, records(b"NA,, \n", 3, null_values=null_values))[0][2] == expected[4]


@pytest.mark.parametrize("size", [100_000, 2_500_000, 9_000_000])
def test_long_cells_are_read(duck: duckdb.DuckDBPyConnection, tmp_path: Path, size: int) -> None:
    long = "x\n" * (size // 2)
    found = parsed(duck, tmp_path, records(f'a,"{long}"\nb,c\n'.encode(), 2))
    assert found == [("a", long), ("b", "c")]


def test_many_records_keep_their_order(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """More than one vector, with line ends in cells, which the parallel reader does not always stand."""
    lines = [f'{number},"{"a" * (number % 5)}\n""{number}"' for number in range(60_000)]
    text = "\n".join(lines) + "\n"
    assert parsed(duck, tmp_path, records(text.encode(), 2)) == by_python(text, ",", '"')


def test_no_record_is_no_row(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert parsed(duck, tmp_path, records(b"", 2)) == []
