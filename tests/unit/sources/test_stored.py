"""A page that is stored and read again is the page that the source gave: records, places and what they are made of."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.errors import Broken
from kasparro.model.page import CsvRecords, JsonRecords, Page, StoredPage
from kasparro.sources.csv import Csv
from kasparro.sources.stored import read_again
from kasparro.sources.tools import Tools
from kasparro.store.raw_pages import layout_of


def stored(page: Page, wanted: list[int] | None = None) -> StoredPage:
    return StoredPage(
        number=7,
        kind="csv",
        origin=page.origin,
        content_type=page.content_type,
        layout=orjson.loads(layout_of(page.records)),
        content=page.content,
        place={"pass": 1},
        wanted=wanted,
    )


async def pages(folder: Path, text: bytes, **more: Any) -> list[Page]:
    (folder / "a.csv").write_bytes(text)
    tools = Tools(source="t", http=SimpleNamespace(), scratch=folder, folder=folder, **more)
    csv = Csv(path="a.csv", delimiter=",", quote='"', header=True)
    (part,) = await csv.slices(tools)
    return [page async for page in csv.read(part, {}, tools)]


def seen(records: CsvRecords | JsonRecords) -> list[tuple[str, str]]:
    return [(records.place(n), records.raw(n)) for n in range(len(records))]


TEXT = b'a,b\n1,2\n\n3,"x\ny"\n4,5,6\n7,"q""r"\r\n\n\n8,9'


async def test_a_csv_page_keeps_its_lines_also_around_what_was_lost(tmp_path: Path) -> None:
    (page,) = await pages(tmp_path, TEXT)
    again = read_again(stored(page), ("",))
    assert seen(again.records) == seen(page.records)
    assert [place for place, _ in seen(again.records)] == ["a.csv:2", "a.csv:4", "a.csv:7", "a.csv:10"]
    assert isinstance(again.records, CsvRecords)
    assert isinstance(page.records, CsvRecords)
    assert (again.records.text, again.content, again.stored) == (page.records.text, page.content, 7)
    assert again.bookmark == {"pass": 1}


async def test_some_records_of_a_csv_page(tmp_path: Path) -> None:
    (page,) = await pages(tmp_path, TEXT)
    again = read_again(stored(page, [1, 3]), ("", "NA")).records
    assert isinstance(again, CsvRecords)
    assert seen(again) == [("a.csv:4", '3,"x\ny"'), ("a.csv:10", "8,9")]
    assert (again.text, again.indexes, again.null_values) == (b'3,"x\ny"\n8,9\n', [1, 3], ("", "NA"))


@given(st.lists(st.sampled_from(["1,2", '"a\nb",2', "x", "", "5,6,7"]), min_size=1, max_size=30))
async def test_any_mixture_of_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("mixture")
    for page in await pages(folder, ("a,b\n" + "0,0\n" * 40 + "\n".join(lines)).encode(), page_records=4):
        if len(page.records):
            assert seen(read_again(stored(page), ("",)).records) == seen(page.records)


@pytest.mark.parametrize(
    ("content", "steps", "texts"),
    [
        (b'[{"a": 1}, {"a": 2}]', (), [b'{"a": 1}', b'{"a": 2}']),
        (b'{"d": {"x": [{"a": 1}]}}', ("d", "x"), [b'{"a": 1}']),
        (b'{"d": [[], [{"a": 1.10}]]}', ("d", 1), [b'{"a": 1.10}']),
        (b'{"d": {"a": 1}}', ("d",), [b'{"a": 1}']),
    ],
)
def test_json_pages(content: bytes, steps: tuple[str | int, ...], texts: list[bytes]) -> None:
    records = JsonRecords(texts=texts, steps=steps, origin="u", first=40)
    page = Page(content=content, content_type="application/json", records=records, origin="u", bytes_read=1)
    assert seen(read_again(stored(page), ()).records) == seen(records)
    some = read_again(stored(page, [len(texts) - 1]), ()).records
    assert seen(some) == seen(records)[-1:]
    assert some.indexes == [len(texts) - 1]


async def test_a_page_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    (page,) = await pages(tmp_path, b"a,b\n1,2\n")
    kept = stored(page)
    spoilt = StoredPage(**{name: getattr(kept, name) for name in kept.__slots__} | {"content": b"1,2,3\n"})
    with pytest.raises(Broken, match=r"Raw page 7 \(a.csv\) does not hold"):
        read_again(spoilt, ("",))
