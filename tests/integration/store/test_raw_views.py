"""Raw pages as plain SQL: one row per record, cell for cell what Python's csv reads."""

import asyncio
import csv
import io
import json
from itertools import product
from pathlib import Path

import psycopg
import pytest

from kasparro.assembly.running import run_declared

CASES = Path(__file__).parents[4] / "shared" / "cases"


def payloads(url: str, source: str) -> list[dict[str, str]]:
    statement = "SELECT payload FROM raw_data_csv WHERE source = %s ORDER BY raw_page_id, raw_index"
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(statement, [source]).fetchall()]


DELIMITERS = (",", ";", "\t", "|", "^", "~", ":", "*", ".", "+", "$", "?", "\\", "-", "]")


def test_any_delimiter_and_quote(tmp_path: Path, database_url: str) -> None:
    tables, sources = {}, {}
    for number, (delimiter, quote) in enumerate(product(DELIMITERS, ('"', "'"))):
        rows = [
            ["id", "a b", "c"],
            ["1", f"x{delimiter}y", f"q{quote}{quote}r"],
            ["2", "", "line\nend"],
            ["3", "é", "z"],
        ]
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator="\r\n").writerows(rows)
        file = tmp_path / f"t{number}.csv"
        file.write_text(text.getvalue(), encoding="utf-8", newline="")
        stated = {"delimiter": delimiter, "quote": quote, "primary_key": "id"}
        sources[file.stem] = {"type": "csv", "path": str(file), **stated}
        tables[file.stem] = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    results = asyncio.run(run_declared(sources, datasets={}, database_url=database_url))
    outcomes = {name: (one.error, one.counts.inserted) for name, one in results.items()}
    assert outcomes == dict.fromkeys(sources, (None, 3))
    for name, table in tables.items():
        assert payloads(database_url, name) == table, sources[name]
    assert len(tables) == 30


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder shared/cases is not beside the repository")
def test_csv_spectrum_through_the_view(database_url: str) -> None:
    folder = CASES / "csv-spectrum"
    files = sorted((folder / "csvs").glob("*.csv"))
    sources = {file.stem: {"type": "csv", "path": str(file)} for file in files}
    results = asyncio.run(run_declared(sources, datasets={}, database_url=database_url))
    assert {name: one.error for name, one in results.items()} == dict.fromkeys(sources)
    equal = []
    for name in sources:
        wanted = json.loads((folder / "json" / f"{name}.json").read_text(encoding="utf-8"))
        if payloads(database_url, name) == wanted:
            equal.append(name)
    print(f"csv-spectrum through raw_data_csv: {len(equal)} of {len(files)} equal")
    assert set(sources) - set(equal) == {"location_coordinates"}  # a stray quote: quarantined by our rule
