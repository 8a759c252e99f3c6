"""The `csv` source end to end: what it finds, what it refuses, and where it goes on."""

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kasparro.errors import Broken, KasparroError, Misconfigured, NotFound, SchemaBroken
from kasparro.model.page import CsvRecords, Page
from kasparro.sources.csv import Csv
from kasparro.sources.tools import Answer, Http, Request, Tools


class NoHttp:
    """Files need no network."""

    async def fetch(self, request: Request) -> Answer:
        raise AssertionError(request.url)

    async def download(self, request: Request, target: Path) -> Answer:
        raise AssertionError(request.url, target)

    async def peek(self, request: Request) -> Answer:
        raise AssertionError(request.url)


class Served:
    """Serves one file to whoever asks, and keeps what was asked."""

    def __init__(self, body: bytes, **headers: str) -> None:
        self.body, self.headers, self.asked = body, headers, list[Request]()

    async def fetch(self, request: Request) -> Answer:
        raise AssertionError(request.url)

    async def download(self, request: Request, target: Path) -> Answer:
        self.asked.append(request)
        if "etag" in self.headers and request.headers.get("If-None-Match") == self.headers["etag"]:
            return Answer(url=request.url, status=304, headers=self.headers)
        target.write_bytes(self.body)  # noqa: ASYNC240 - a test has nothing else to do
        return Answer(url=request.url, status=200, headers=self.headers)

    async def peek(self, request: Request) -> Answer:
        raise AssertionError(request.url)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    (tmp_path / "scratch").mkdir()
    return Tools(source="test", http=NoHttp(), scratch=tmp_path / "scratch", folder=tmp_path)


def with_http(tools: Tools, http: Http) -> Tools:
    return replace(tools, http=http)


async def read(csv: Csv, tools: Tools, bookmark: Mapping[str, Any] | None = None) -> list[Page]:
    (part,) = await csv.slices(tools)
    return [page async for page in csv.read(part, json.loads(json.dumps(bookmark or {})), tools)]


def records(pages: Iterable[Page]) -> list[str]:
    return [page.records.raw(at) for page in pages for at in range(len(page.records))]


def columns(pages: list[Page]) -> tuple[str, ...]:
    assert isinstance(pages[0].records, CsvRecords)
    return pages[0].records.columns


def file(tools: Tools, content: bytes, name: str = "a.csv") -> Csv:
    (tools.folder / name).write_bytes(content)
    return Csv(path=name)


async def test_a_slice_for_each_file_in_order_of_name(tools: Tools) -> None:
    for name in ("data/b.csv", "data/a.csv", "data/deep/c.csv", "data/c.txt", "x[1].csv"):
        (tools.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tools.folder / name).write_text("a\n1\n")
    found = await Csv(path=("data/*.csv", "./data/a.csv", "x[1].csv", "data/**/c.csv")).slices(tools)
    assert [part.name for part in found] == ["data/a.csv", "data/b.csv", "data/deep/c.csv", "x[1].csv"]
    absolute = await Csv(path=str(tools.folder / "data" / "*.csv")).slices(replace(tools, folder=Path("/")))
    assert [Path(part.name).name for part in absolute] == ["a.csv", "b.csv"]


async def test_urls_are_slices_whose_names_tell_no_secret(tools: Tools) -> None:
    (tools.folder / "a.csv").write_text("a\n")
    places = ("https://x.org/b.csv?token=first", "a.csv", "HTTPS://x.org/b.csv?token=second")
    found = await Csv(path=(places[0], *places)).slices(tools)
    assert [part.name for part in found] == [
        "HTTPS://x.org/b.csv?token=****",
        "a.csv",
        "https://x.org/b.csv?token=****",
        "https://x.org/b.csv?token=****_2",
    ]
    assert "first" not in repr(found)


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("missing.csv", NotFound, "there is no file missing.csv"),
        ("none-*.csv", NotFound, "no file matches none-*.csv"),
        ("folder", Misconfigured, "folder is a folder; name its files, for example folder/*.csv"),
        ("pipe", Misconfigured, "pipe is no regular file"),
        ("a.csv/b.csv", NotFound, "there is no file a.csv/b.csv"),
    ],
)
async def test_what_is_no_file_is_refused(tools: Tools, path: str, error: type[KasparroError], said: str) -> None:
    (tools.folder / "folder").mkdir()
    (tools.folder / "a.csv").write_text("a\n")
    os.mkfifo(tools.folder / "pipe")
    with pytest.raises(error) as caught:
        await Csv(path=path).slices(tools)
    assert said in str(caught.value)


async def test_a_file_that_has_gone_is_refused(tools: Tools) -> None:
    csv = file(tools, b"a\n1\n")
    (part,) = await csv.slices(tools)
    (tools.folder / "a.csv").unlink()
    with pytest.raises(NotFound, match=r"a\.csv is not there any more"):
        [page async for page in csv.read(part, {}, tools)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_refused(tools: Tools) -> None:
    csv = file(tools, b"a\n1\n")
    (tools.folder / "a.csv").chmod(0)
    with pytest.raises(Misconfigured, match=r"a\.csv may not be read"):
        await read(csv, tools)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.csv is empty"),
        (b"\xef\xbb\xbf\r\n\n", "a.csv is empty"),
        (b"PK\x03\x04....", "a ZIP archive or an Excel workbook"),
        (b"PAR1....", "a Parquet file"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x89PNG\r\n", "an image"),
        (b"a\x00b\x00c\x00d\x00\n\x00", "full of NUL bytes"),
        (b"\n <!DOCTYPE html><html>", "an HTML or XML page"),
        (b'[\n {"a": 1}]', "is JSON, not CSV"),
        (b"\x1f\x8b\x08broken", "no sound gzip file"),
        (gzip.compress(b"a,b\n1,2\n" * 1000, mtime=0)[:-20], "no sound gzip file"),
        (bz2.compress(b"a,b\n1,2\n" * 1000)[:-20], "no sound bz2 file"),
        (lzma.compress(b"a,b\n1,2\n" * 1000)[:-20], "no sound xz file"),
    ],
)
async def test_what_is_no_csv_is_refused(tools: Tools, content: bytes, said: str) -> None:
    with pytest.raises(Broken) as caught:
        await read(file(tools, content), tools)
    assert said in str(caught.value)
    assert "a.csv" in str(caught.value)
    assert not list(tools.scratch.iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'a,"b"x,c\n1,2,3\n', "the header in line 1 of a.csv cannot be read: it goes on after the closing quote"),
        (b"a,b,c\n1,2\n3,4\n", "the header in line 1 of a.csv has 3 cells, but the records after it have 2"),
        (b"\n\na,\xff\n1,2\n3,\xc3\xa9\xc3\xa9\n", "the header in line 3 of a.csv cannot be read: it holds bytes"),
        (b"a,b\n" + b"1\n" * 91 + b"1,2\n" * 9, "the header in line 1 of a.csv has 2 cells"),
    ],
)
async def test_a_polluted_header_refuses_the_file(tools: Tools, content: bytes, said: str) -> None:
    with pytest.raises(SchemaBroken) as caught:
        await read(file(tools, content), tools)
    assert said in str(caught.value)


async def test_header_only_is_a_success_without_records(tools: Tools) -> None:
    assert await read(file(tools, b"a,b\n"), tools) == []


async def test_an_empty_file_is_a_success_where_columns_are_stated(tools: Tools) -> None:
    csv = replace(file(tools, b""), columns=("a", "b"))
    assert await read(csv, tools) == []
    (tools.folder / "a.csv").write_bytes(b"1,2\n")
    assert columns(await read(csv, tools)) == ("a", "b")


async def test_what_a_page_says(tools: Tools) -> None:
    (page,) = await read(file(tools, b"a,b\r\n1,2\r\nbad\r\n\r\n3,4\r\n"), tools)
    assert page.content == b"1,2\r\n3,4\r\n"
    assert isinstance(page.records, CsvRecords)
    assert page.records.text == b"1,2\n3,4\n"
    assert (page.origin, page.content_type, page.done, page.bytes_read) == ("a.csv", "text/csv", 1.0, 17)
    assert [page.records.place(at) for at in range(2)] == ["a.csv:2", "a.csv:5"]
    (reject,) = page.rejects
    assert (reject.place, reject.code, reject.raw, reject.index) == ("a.csv:3", "width", "bad", None)
    assert reject.reason == "The record has 1 cell, there are 2 columns."


async def test_stated_wins(tools: Tools) -> None:
    csv = replace(
        file(tools, b"x\n1;'2'|'a|b'\n"), delimiter="|", quote="'", header=False, columns=("p", "q"), skip_lines=1
    )
    (page,) = await read(csv, tools)
    assert columns([page]) == ("p", "q")
    assert page.rejects[0].reason == "The record has a quote inside the unquoted cell 1."


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
async def test_packed_and_other_encodings_are_read_as_text(tools: Tools, pack: Any, encoding: str) -> None:
    pages = await read(file(tools, pack("näme,b\nx,é€😀\n".encode(encoding))), tools)
    assert (columns(pages), records(pages)) == (("näme", "b"), ["x,é€😀"])
    assert not list(tools.scratch.iterdir())


async def test_two_gzip_members_are_one_file(tools: Tools) -> None:
    assert records(await read(file(tools, gzip.compress(b"a,b\n1,2\n", mtime=0) + gzip.compress(b"3,4\n")), tools)) == [
        "1,2",
        "3,4",
    ]


async def test_an_encoding_is_told_or_stated(tools: Tools) -> None:
    text = "name,town\n" + "Müller,Zürich\nLefèvre,Orléans\nNúñez,Málaga\n" * 5
    csv = file(tools, text.encode("cp1252"))
    assert records(await read(csv, tools))[:3] == ["Müller,Zürich", "Lefèvre,Orléans", "Núñez,Málaga"]
    stated = replace(csv, encoding="latin-1")
    assert records(await read(stated, tools))[0] == "Müller,Zürich"


async def test_a_stated_encoding_that_does_not_fit_is_refused(tools: Tools) -> None:
    csv = file(tools, b"a,b\n1,\x81\n")
    with pytest.raises(Broken, match=r"a\.csv is not cp1252 near byte 6; state its `encoding`"):
        await read(replace(csv, encoding="cp1252"), tools)
    with pytest.raises(Broken, match=r"begins with the mark of utf-16"):
        await read(replace(file(tools, "a,b\n".encode("utf-16")), encoding="utf-8"), tools)


async def test_single_broken_records_do_not_change_the_encoding(tools: Tools) -> None:
    (page,) = await read(file(tools, "a,b\né,è\nà,ù\n".encode() + b"\xff,x\n"), tools)
    assert (records([page]), [(one.place, one.code, one.raw) for one in page.rejects]) == (
        ["é,è", "à,ù"],
        [("a.csv:4", "encoding", "\\xff,x")],
    )


async def test_nothing_is_read_again_while_the_file_stays(tools: Tools) -> None:
    csv = file(tools, b"a,b\n1,2\n3,4")
    first = await read(csv, tools)
    assert records(first) == ["1,2", "3,4"]
    assert await read(csv, tools, first[-1].bookmark) == []


async def test_a_file_that_grew_is_read_on_and_its_open_line_again(tools: Tools) -> None:
    csv = file(tools, b"a,b\n1,2\n3,4")
    first = await read(csv, tools)
    file(tools, b"a,b\n1,2\n3,45\n5,6\n")
    second = await read(csv, tools, first[-1].bookmark)
    assert records(second) == ["3,45", "5,6"]
    assert [second[0].records.place(at) for at in range(2)] == ["a.csv:3", "a.csv:4"]
    assert await read(csv, tools, second[-1].bookmark) == []


@pytest.mark.parametrize(
    "content", [b"a,b\n1,9\n3,4\n", b"a,b\n9,2\n3,4\n5,6\n", b"a,b\n3,4\n", b"a;b\n1;9\n3;4\n5;6\n"]
)
async def test_a_file_that_was_rewritten_is_read_from_its_start(tools: Tools, content: bytes) -> None:
    csv = file(tools, b"a,b\n1,2\n3,4\n")
    first = await read(csv, tools)
    file(tools, content)
    os.utime(tools.folder / "a.csv", ns=(1, 1))
    again = await read(csv, tools, first[-1].bookmark)
    assert records(again) == content.decode().split()[1:]
    assert columns(again) == ("a", "b")


async def test_a_file_that_was_only_touched_is_not_read_again(tools: Tools) -> None:
    csv = file(tools, b"a,b\n1,2\n")
    first = await read(csv, tools)
    os.utime(tools.folder / "a.csv", ns=(1, 1))
    assert await read(csv, tools, first[-1].bookmark) == []


async def test_another_declaration_reads_the_file_from_its_start(tools: Tools) -> None:
    csv = file(tools, b"a,b\n1,2\n")
    first = await read(csv, tools)
    again = await read(replace(csv, columns=("x", "y"), header=True), tools, first[-1].bookmark)
    assert (columns(again), records(again)) == (("x", "y"), ["1,2"])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_killed_after_any_page_the_next_run_goes_on(tools: Tools, pack: Any) -> None:
    lines = [f"{number},{'x' * (number % 7)}" for number in range(200)]
    csv = file(tools, pack("\n".join(["id,text", *lines, ""]).encode()))
    small = replace(tools, page_bytes=100, page_records=9)
    pages = await read(csv, small)
    assert records(pages) == lines
    for killed in range(1, len(pages)):
        rest = await read(csv, small, pages[killed - 1].bookmark)
        assert records(pages[:killed]) + records(rest) == lines


async def test_the_dialect_stays_when_a_run_goes_on(tools: Tools) -> None:
    """What comes later would be recognised as something else."""
    csv = file(tools, b"a;b\n1;2\n")
    first = await read(csv, tools)
    file(tools, b"a;b\n1;2\n" + b"3,4\n" * 10 + b"5;6\n")
    second = await read(csv, tools, first[-1].bookmark)
    assert records(second) == ["5;6"]
    assert [reject.code for reject in second[0].rejects] == ["width"] * 10


async def test_a_url_is_downloaded_and_then_asked_with_its_validators(tools: Tools) -> None:
    served = Served(b"a,b\n1,2\n", **{"etag": '"1"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
    csv = Csv(path="https://example.org/a.csv?token=sesame")
    over = with_http(tools, served)
    first = await read(csv, over)
    assert (records(first), first[0].origin) == (["1,2"], "https://example.org/a.csv?token=****")
    assert "sesame" not in repr(first)
    assert await read(csv, over, first[-1].bookmark) == []
    assert served.asked[0].headers == {}
    assert served.asked[1].headers == {
        "If-None-Match": '"1"',
        "If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT",
    }
    assert not list(tools.scratch.iterdir())


async def test_a_url_with_the_same_content_under_a_new_tag_is_not_read_again(tools: Tools) -> None:
    csv = Csv(url="https://example.org/a.csv")
    first = await read(csv, with_http(tools, Served(b"a,b\n1,2\n", etag='"1"')))
    assert await read(csv, with_http(tools, Served(b"a,b\n1,2\n", etag='"2"')), first[-1].bookmark) == []
    grown = await read(csv, with_http(tools, Served(b"a,b\n1,2\n3,4\n", etag='"3"')), first[-1].bookmark)
    assert records(grown) == ["3,4"]
    changed = await read(csv, with_http(tools, Served(b"a,b\n1,3\n3,4\n", etag='"4"')), first[-1].bookmark)
    assert records(changed) == ["1,3", "3,4"]


async def test_an_unfinished_download_is_asked_for_again_without_validators(tools: Tools) -> None:
    served = Served(b"a,b\n" + b"1,2\n" * 50, etag='"1"')
    over = replace(with_http(tools, served), page_bytes=40)
    csv = Csv(url="https://example.org/a.csv")
    pages = await read(csv, over)
    rest = await read(csv, over, pages[1].bookmark)
    assert len(records(pages[:2])) + len(records(rest)) == 50
    assert served.asked[1].headers == {}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({}, "either by `path` or by `url`"),
        ({"path": "a.csv", "url": "https://x.org/a"}, "either by `path` or by `url`"),
        ({"path": []}, "either by `path` or by `url`"),
        ({"url": "data/a.csv"}, "begins with http"),
        ({"path": "a.csv", "delimiter": "é"}, "one ASCII character"),
        ({"path": "a.csv", "delimiter": "||"}, "at most 1 character"),
        ({"path": "a.csv", "delimiter": "'", "quote": "'"}, "different characters"),
        ({"path": "a.csv", "columns": ["a", "a"]}, "each column once"),
        ({"path": "a.csv", "encoding": "utf-9"}, "'utf-9' is not known"),
        ({"path": "a.csv", "encoding": "hex"}, "'hex' is not known"),
        ({"path": "a.csv", "delimter": ";"}, "Unexpected keyword argument"),
        ({"path": "a\0.csv"}, "no NUL"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(declared: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Csv).validate_python(declared)
    assert said in str(caught.value)


def test_a_declaration_is_read_as_written() -> None:
    csv = TypeAdapter(Csv).validate_python({"type": "csv", "path": ["a.csv", "b-*.csv"], "quote": "", "header": False})
    assert csv == Csv(path=("a.csv", "b-*.csv"), quote="", header=False)
