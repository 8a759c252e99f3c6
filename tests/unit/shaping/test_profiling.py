"""What a look at some records of a batch tells of its fields."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from kasparro.model.page import JsonRecords, Page
from kasparro.model.profile import Profile
from kasparro.shaping.profiling import LOOKED, profile_of
from kasparro.sources.csv import Csv
from kasparro.sources.tools import Tools


async def pages_of(folder: Path, text: str, **options: Any) -> list[Page]:
    (folder / "a.csv").write_text(text)
    tools = Tools(source="t", http=None, scratch=folder, folder=folder)  # type: ignore[arg-type]
    csv = Csv(path="a.csv", delimiter=",", header=True, **options)
    (part,) = await csv.slices(tools)
    return [page async for page in csv.read(part, {}, tools)]


def json_page(*records: Any) -> Page:
    texts = [orjson.dumps(one) for one in records]
    made = JsonRecords(texts=texts, origin="t")
    return Page(content=b"[]", content_type="application/json", records=made, origin="t", bytes_read=1)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("1", "integer"),
        ("-17", "integer"),
        ("1.50", "number"),
        ("1e5", "number"),
        (".5", "number"),
        ("12345678901234567890", "number"),
        ("true", "boolean"),
        ("2026-01-31", "date"),
        ("2026-01-31T10:00:00Z", "timestamp"),
        ("2026-01-31 10:00", "timestamp"),
        ("2026-01-31 10:00:00.123+02:00", "timestamp"),
        ("2026-01-31x", "text"),
        ("1.2.3", "text"),
        ("NaN", "text"),
        ("0x10", "text"),
        ("x", "text"),
    ],
)
async def test_types_of_cells(tmp_path: Path, cell: str, kind: str) -> None:
    seen = profile_of(await pages_of(tmp_path, f"a,b\n{cell},1\n"))
    assert seen.fields["a"].types == {kind: 1}


async def test_cells_in_quotes_nulls_and_lengths(tmp_path: Path) -> None:
    text = 'a,b\n"x,y\nz",1\nNA,2\n,3\n"NA",4\n'
    seen = profile_of(await pages_of(tmp_path, text, quote='"', null_values=("", "NA")))
    assert (seen.rows, seen.looked) == (4, 4)
    one = seen.fields["a"]
    assert (one.present, one.nulls, one.types, one.longest) == (4, 3, {"text": 1}, 5)
    assert (seen.fields["b"].low, seen.fields["b"].high) == (1.0, 4.0)


def test_values_of_json_records_and_what_stands_below() -> None:
    seen = profile_of(
        [
            json_page({"a": 1, "o": {"x": 1.5, "deep": {"y": [1]}}, "t": "2026-01-01"}, {"a": None, "s": "17"}),
            json_page({"a": True, "o": {}, "s": "é"}),
        ]
    )
    assert (seen.rows, seen.looked) == (3, 3)
    assert {path: dict(one.types) for path, one in seen.fields.items()} == {
        "a": {"boolean": 1, "integer": 1},
        "o": {"object": 2},
        "o.deep": {"object": 1},
        "o.deep.y": {"array": 1},
        "o.x": {"number": 1},
        "s": {"text": 2},
        "t": {"date": 1},
    }
    assert (seen.fields["a"].present, seen.fields["a"].nulls) == (3, 1)
    assert (seen.fields["t"].first, seen.fields["s"].longest) == ("2026-01-01", 2)


@pytest.mark.parametrize("count", [0, 1, 2, LOOKED, LOOKED + 1, 5000])
def test_no_more_than_so_many_are_looked_at_whatever_the_pages(count: int) -> None:
    whole = profile_of([json_page(*({"n": n} for n in range(count)))])
    parts = [json_page(*({"n": n} for n in range(at, min(at + 7, count)))) for at in range(0, count, 7)]
    assert profile_of(parts) == whole
    assert (whole.rows, whole.looked) == (count, min(count, LOOKED))
    if count > LOOKED:
        assert (whole.fields["n"].low, whole.fields["n"].high) == (0, count - 1)


def test_nothing_is_seen_of_nothing() -> None:
    assert profile_of([]) == Profile()
