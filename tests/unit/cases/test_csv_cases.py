"""CSV files of other projects, read end to end: source, screen, parser."""

import csv as python_csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from kasparro.errors import Broken, KasparroError, SchemaBroken
from kasparro.model.page import CsvRecords, Reject
from kasparro.shaping.csv_parse import read_csv_sql
from kasparro.sources.csv import Csv
from kasparro.sources.tools import Answer, Request, Tools

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases of other projects are not beside the repository")


class NoHttp:
    async def fetch(self, request: Request) -> Answer:
        raise AssertionError(request.url)

    async def download(self, request: Request, target: Path) -> Answer:
        raise AssertionError(request.url, target)

    async def peek(self, request: Request) -> Answer:
        raise AssertionError(request.url)


@dataclass(frozen=True, slots=True)
class Loaded:
    columns: tuple[str, ...]
    rows: list[list[str]]
    rejects: list[Reject]


class Loader:
    """Reads files as a run does, and parses their pages."""

    def __init__(self, scratch: Path, duck: duckdb.DuckDBPyConnection) -> None:
        self.scratch, self.duck = scratch, duck

    async def __call__(self, path: str, **stated: Any) -> Loaded:
        tools = Tools(source="test", http=NoHttp(), scratch=self.scratch, folder=CASES)
        source = Csv(path=path, **stated)
        (part,) = await source.slices(tools)
        found = Loaded(columns=(), rows=[], rejects=[])
        async for page in source.read(part, {}, tools):
            assert isinstance(page.records, CsvRecords)
            rows = self._parsed(page.records)
            assert len(rows) == len(page.records)
            found = Loaded(page.records.columns, found.rows + rows, [*found.rejects, *page.rejects])
        return found

    def _parsed(self, records: CsvRecords) -> list[list[str]]:
        file = self.scratch / "records.csv"
        file.write_bytes(records.text)
        rows = self.duck.execute(f"SELECT * FROM {read_csv_sql(records, str(file))}").fetchall()
        file.unlink()
        return [["" if cell is None else cell for cell in row] for row in rows]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Loader]:
    with duckdb.connect() as duck:
        yield Loader(tmp_path, duck)


def lines_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / "index" / name).read_text().splitlines()]


def clean_rows(path: str) -> list[list[str]]:
    with (CASES / path).open(newline="") as file:
        return list(python_csv.reader(file))


async def test_csv_spectrum(load: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    for case in lines_of("csv_pairs.jsonl"):
        if case["kind"] != "json objects":
            continue
        found = await load(case["input"])
        objects = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        if objects == json.loads((CASES / case["expected"]).read_text()) and not found.rejects:
            outcomes["equal"] += 1
            continue
        assert case["input"].endswith("location_coordinates.csv")
        assert [(one.place[-2:], one.reason) for one in found.rejects] == [
            (":2", "The record has a quote inside the unquoted cell 2.")
        ]
        outcomes["quarantined by rule"] += 1
    with capsys.disabled():
        print(f"\ncsv-spectrum: {dict(outcomes)}")
    assert outcomes == {"equal": 11, "quarantined by rule": 1}


async def test_csv_spectrum_without_quoting(load: Loader) -> None:
    """Stated to have no quoting it equals its twin, but for the telephone number, which is the twin's own mistake."""
    found = await load("csv-spectrum/csvs/location_coordinates.csv", quote="")
    twin = json.loads((CASES / "csv-spectrum/json/location_coordinates.json").read_text())
    twin = twin[0] if isinstance(twin, list) else twin
    (row,) = found.rows
    assert dict(zip(found.columns, row, strict=True)) == {**twin, "Contact Phone Number": "2095257564"}


async def test_pollock_records(load: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    """One polluted record: it alone is quarantined, with its line; a polluted header refuses the file."""
    outcomes: Counter[str] = Counter()
    for case in lines_of("pollock_cases.jsonl"):
        if case["family"] == "file":
            continue
        clean, record = clean_rows(case["clean"]), case["record"]
        if record == 0:
            with pytest.raises(SchemaBroken, match=rf"line 1 of {case['file']}"):
                await load(case["file"])
            outcomes["header refused"] += 1
            continue
        found = await load(case["file"])
        assert list(found.columns) == clean[0]
        assert found.rows == clean[1:record] + clean[record + 1 :], case["file"]
        assert [one.place for one in found.rejects] == [f"{case['file']}:{record + 1}"]
        outcomes["exact"] += 1
    with capsys.disabled():
        print(f"\npollock, one polluted record: {dict(outcomes)}")
    assert outcomes == {"exact": 216, "header refused": 27}


FOLDER = "pollock/polluted_files/csv/file_"

# What is stated for a whole file that is written in an unusual way; everything else is recognised.
STATED: Mapping[str, dict[str, Any]] = {
    "header_multirow_2": {"skip_lines": 1},
    "header_multirow_3": {"skip_lines": 2},
    "preamble": {"skip_lines": 2},
    "no_payload": {"columns": ("a",)},
}

# Where our rule is another one: what is stated; how many records load as in the clean table, load otherwise, are lost.
BY_RULE: Mapping[str, tuple[dict[str, Any], int, int, int]] = {
    "escape_char_0x00": ({}, 77, 0, 6),  # a backslash escapes nothing: `\"` ends the quotes
    "escape_char_0x5C": ({}, 77, 0, 6),
    "field_delimiter_0x20": ({"delimiter": " "}, 34, 0, 49),  # unquoted cells hold spaces too
    "multitable_less": ({}, 83, 0, 83),  # the second table has another width
    "multitable_more": ({}, 83, 0, 83),
    "multitable_same": ({}, 83, 82, 1),  # the second table has the same width: nothing tells it apart
    "quotation_char_0x27": ({"delimiter": ",", "quote": "'"}, 31, 1, 51),  # `Men's` unquoted; `""` is two characters
}


async def test_pollock_files(load: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    for case in lines_of("pollock_cases.jsonl"):
        if case["family"] != "file":
            continue
        name = Path(case["file"]).stem.removeprefix("file_")
        clean = clean_rows(case["clean"])
        if name == "field_delimiter_0x2C_0x20":
            with pytest.raises(Broken, match="no delimiter fits most records"):
                await load(case["file"])
            outcomes["refused by rule"] += 1
        elif name in BY_RULE:
            stated, *counts = BY_RULE[name]
            found = await load(case["file"], **stated)
            as_clean = [row for row in found.rows[: len(clean) - 1] if row in clean]
            assert as_clean == [row for row in clean[1:] if row in found.rows]
            assert [len(as_clean), len(found.rows) - len(as_clean), len(found.rejects)] == counts, name
            outcomes["by rule"] += 1
        else:
            found = await load(case["file"], **STATED.get(name, {}))
            headers = 0 if name in ("no_header", "no_payload") else 1
            assert found.rows == clean[headers:], name
            assert not found.rejects
            outcomes["stated" if name in STATED else "recognised"] += 1
    with capsys.disabled():
        print(f"\npollock, files: {dict(outcomes)}")
    assert outcomes == {"recognised": 10, "stated": 4, "by rule": 7, "refused by rule": 1}


async def test_csvkit_loads_or_refuses(load: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    for file in sorted((CASES / "csvkit" / "examples").rglob("*")):
        if not file.is_file():
            continue
        try:
            found = await load(str(file.relative_to(CASES)))
        except Broken as error:
            outcomes["refused" if file.name in str(error) else f"refused without a name: {error}"] += 1
        else:
            outcomes["loaded, some quarantined" if found.rejects else "loaded"] += 1
    with capsys.disabled():
        print(f"\ncsvkit: {dict(outcomes)}")
    assert outcomes == CSVKIT


CSVKIT = {"loaded": 73, "loaded, some quarantined": 11, "refused": 19}


@pytest.mark.parametrize(
    ("name", "columns", "first"),
    [
        ("dummy.csv.gz", ("a", "b", "c"), ["1", "2", "3"]),
        ("dummy.csv.bz2", ("a", "b", "c"), ["1", "2", "3"]),
        ("dummy.tsv", ("a", "b", "c"), ["1", "2", "3"]),
        ("sniff_limit.csv", ("a", "b", "c"), ["1", "2", "3"]),
        ("no_header_row3.csv", ("column_1", "column_2", "column_3"), ["1", "2", "3"]),
        ("mac_newlines.csv", ("a", "b", "c"), ["1", "2", "3"]),
        ("optional_quote_characters.csv", ("a", "b", "c"), ["1", "2", "3"]),
        ("test_empty_columns.csv", ("a", "b", "c", "column_4", "column_5"), ["a", "", "", "", ""]),
        ("test_skip_lines.csv", ("a", "b", "c"), ["1", "2", "3"]),
        ("test_locale.csv", ("a", "b", "c"), ["1,7", "200.000.000", ""]),
    ],
)
async def test_csvkit_content(load: Loader, name: str, columns: tuple[str, ...], first: list[str]) -> None:
    found = await load(f"csvkit/examples/{name}")
    assert (found.columns, found.rows[0]) == (columns, first)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("test_latin1.csv", ["4", "5", "©"]),
        ("test_utf8.csv", ["4", "5", "ʤ"]),
        ("test_utf8_bom.csv", ["4", "5", "ʤ"]),
        ("test_utf16_big.csv", ["4", "5", "ʤ"]),
        ("test_utf16_little.csv", ["4", "5", "ʤ"]),
    ],
)
async def test_csvkit_encodings(load: Loader, name: str, last: list[str]) -> None:
    assert (await load(f"csvkit/examples/{name}")).rows[-1] == last


async def test_csvkit_blanks(load: Loader) -> None:
    """The one of the pairs that is about CSV alone and no types: cells that stand for nothing."""
    found = await load("csvkit/examples/blanks.csv", null_values=("", "NA", "N/A", "NONE", "NULL", "."))
    assert [list(found.columns), *found.rows] == clean_rows("csvkit/examples/blanks_converted.csv")


async def test_csvkit_null_byte(load: Loader) -> None:
    found = await load("csvkit/examples/null_byte.csv")
    assert (found.rows, [(one.code, one.raw) for one in found.rejects]) == ([], [("nul", "\\x00,2,3")])


PAPA_OPTIONS = {"delimiter", "header", "skipEmptyLines", "quoteChar", "skipFirstNLines", "newline"}


def papa_options(case: Mapping[str, Any]) -> dict[str, Any] | None:
    """What of a Papa Parse configuration we have too; None where it needs something that we do not have."""
    config = case["config"] if isinstance(case["config"], dict) else {}
    delimiter = config.get("delimiter", "," if case["table"] == "CORE_PARSER_TESTS" else None)
    if case["has_function"] or not isinstance(case["input"], str) or set(config) - PAPA_OPTIONS:
        return None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        return None
    quote = config.get("quoteChar", '"')
    return {
        "delimiter": delimiter,
        "quote": "" if quote is None else quote,
        "header": bool(config.get("header")),
        "skip_lines": max(0, config.get("skipFirstNLines") or 0),
    }


async def papa_outcome(load: Loader, case: Mapping[str, Any], file: Path, stated: dict[str, Any]) -> str:
    expected = case["expected"]["data"]
    try:
        found = await load(str(file), **stated)
    except KasparroError as error:
        return "empty file refused" if case["input"] == "" else f"{error.code}: file refused"
    rows: list[Any] = found.rows
    if stated["header"]:
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    if rows == expected:
        return "equal"
    if found.rejects:
        return f"{found.rejects[0].code} quarantined"
    return "names of repeated columns" if case["description"].lower().count("duplicate") else "blank lines or line ends"


async def test_papaparse(load: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where our rule is the same; the rest is counted by the rule that differs."""
    outcomes: Counter[str] = Counter()
    for case in lines_of("papaparse_cases.jsonl"):
        if case["table"] not in ("CORE_PARSER_TESTS", "PARSE_TESTS"):
            continue
        stated = papa_options(case)
        if stated is None:
            outcomes["not offered"] += 1
            continue
        (tmp_path / "case.csv").write_bytes(case["input"].encode())
        outcomes[await papa_outcome(load, case, tmp_path / "case.csv", stated)] += 1
    with capsys.disabled():
        print(f"\npapaparse: {dict(outcomes)}")
    assert outcomes == PAPA


PAPA = {
    "equal": 77,
    "not offered": 50,
    "quote quarantined": 5,
    "width quarantined": 5,
    "schema_broken: file refused": 8,
    "broken: file refused": 2,
    "empty file refused": 3,
    "blank lines or line ends": 7,
    "names of repeated columns": 3,
}


def naughty_strings() -> list[str]:
    found = json.loads((CASES / "blns" / "blns.json").read_text())
    assert isinstance(found, list)
    return [str(text) for text in found]


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


async def test_naughty_strings_as_values(load: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strings = naughty_strings()
    lines = [f"{number},{quoted(text)}" for number, text in enumerate(strings)]
    (tmp_path / "values.csv").write_text("\n".join(["id,text", *lines, ""]), newline="")
    found = await load(str(tmp_path / "values.csv"))
    assert [row[1] for row in found.rows] == strings
    assert not found.rejects
    with capsys.disabled():
        print(f"\nblns: {len(found.rows)} of {len(strings)} values")
    assert len(found.rows) == 515


async def test_naughty_strings_as_columns(load: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strings = [text for text in dict.fromkeys(naughty_strings()) if text]
    header, record = ",".join(map(quoted, strings)), ",".join("x" for _ in strings)
    (tmp_path / "columns.csv").write_text(f"{header}\n{record}\n", newline="")
    found = await load(str(tmp_path / "columns.csv"), header=True)
    assert list(found.columns) == strings
    with capsys.disabled():
        print(f"\nblns: {len(found.columns)} of {len(strings)} column names")
    assert len(found.columns) == 510
