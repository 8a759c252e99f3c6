"""JSON records go the plain way with the rows that the general way gives, or the plain way stands aside."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.model.dataset import Dataset, Field, FieldType
from kasparro.model.mapping import FieldRule, Mapping
from kasparro.model.page import JsonRecords, Page
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping import plain
from kasparro.shaping.plain import Plain
from kasparro.shaping.plain_plan import plain_plan
from kasparro.shaping.plan import Shape
from kasparro.shaping.shaper import Shaper
from kasparro.store.probing import keys_and_hashes

STAMP = Stamp(source="s", run_id=3, page_ids=[7, 8, 9])
TYPES: tuple[FieldType, ...] = ("text", "integer", "numeric", "float", "timestamp", "date", "boolean")

_BARE = """
    null true false 0 7 -7 -0 -0.0 1.5 -0.5 1.50 1e3 1E-2 123456789012345678 1234567890123456789 12345678901234567890
    99999999999999999.25 [] {} [1,"a"] {"f0":1} {"id":"x","f0":2}
"""
_TEXTS = """
    NA 0 7 -7 007 1.5 x é null true f a,b , : {} [1] id f0 2024-02-29 2023-02-29 2024-02-29T23:59:59Z
    2024-02-29T10:00:00 2024-02-29T10:00:00+02:00 0000-01-01 1709200000
"""
VALUES = st.sampled_from(
    [*_BARE.split(), *(json.dumps(one, ensure_ascii=False) for one in (*_TEXTS.split(), "", " 5"))]
)

Row = dict[str, str]


def shape_for(types: Sequence[FieldType], **changes: object) -> Shape:
    fields = tuple(Field(name=f"f{n}", type=one) for n, one in enumerate(types))
    given_options = {"dataset": Dataset(name="d", fields=fields), "primary_key": ("id",), "well_known": {}, **changes}
    return Shape(**given_options)  # type: ignore[arg-type]


def pages_of(*texts: Sequence[str]) -> list[Page]:
    return [
        Page(
            content=b"",
            content_type="application/json",
            records=JsonRecords(texts=[one.encode() for one in some], origin="https://h/p"),
            origin="https://h/p",
            bytes_read=1,
        )
        for some in texts
    ]


def plainly(shape: Shape, pages: list[Page]) -> Shaped | None:
    filled = [(page.records, number) for page, number in zip(pages, STAMP.page_ids, strict=False) if len(page.records)]
    return Plain(shape).shape([one for one, _ in filled], STAMP, [number for _, number in filled])


def generally(shape: Shape, pages: list[Page], folder: Path) -> Shaped:
    with pytest.MonkeyPatch.context() as patch, Shaper(shape, folder) as shaper:
        patch.setattr(plain, "plain_plan", lambda *_, **__: None)
        return shaper.shape(pages, STAMP)


def rows(shaped: Shaped, shape: Shape) -> list[Row]:
    if shaped.places is not None:
        assert keys_and_hashes(shaped.rows, "s", shaped.places)[1] == keys_and_hashes(shaped.rows, "s")[1]
    names = shaped.fields or tuple(field.name for field in shape.dataset.fields)
    found = []
    for row in csv.reader(io.StringIO(_told_from_null(shaped.rows), newline="")):
        one = dict(zip(("source", "key", "hash", "run", "page", "index", *names), row, strict=True))
        one |= {name: str(int(one[name])) for name in ("page", "index")}
        for field in shape.dataset.fields:
            text = one.setdefault(field.name, "")
            if field.type == "timestamp":
                one[field.name] = text.replace("T", " ").replace("+00", "").removesuffix("Z")
            if field.type in {"integer", "numeric", "float"} and text:
                one[field.name] = str(float(text))
        found.append(one)
    return found


def _told_from_null(text: bytes) -> str:
    """An empty text is written as two quotes, and null as nothing: Python's csv reads both alike."""
    return text.decode().replace(',"",', ",EMPTY,").replace(',"",', ",EMPTY,").replace(',""\n', ",EMPTY\n")


def objects(keys: Sequence[str], table: Sequence[Sequence[str]]) -> list[str]:
    return ["{" + ",".join(f'"{key}":{cell}' for key, cell in zip(keys, line, strict=True)) + "}" for line in table]


@given(data=st.data())
def test_it_gives_what_the_general_way_gives_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    types = data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
    keys = data.draw(st.permutations(["id", "unused", *(f"f{n}" for n in range(len(types)))]))
    pages = []
    for _ in range(data.draw(st.integers(1, 3))):
        table = [[data.draw(VALUES) for _ in keys] for _ in range(data.draw(st.integers(0, 3)))]
        pages.append(objects(keys, table))
    if not any(pages):
        return
    shape = shape_for(types)
    quick = plainly(shape, pages_of(*pages))
    if quick is None:
        return
    general = generally(shape, pages_of(*pages), tmp_path_factory.mktemp("general"))
    assert general.rejects == ()
    ours, theirs = rows(quick, shape), rows(general, shape)
    for one in (*ours, *theirs):
        one.pop("hash")
    assert ours == theirs


def test_ordinary_records_of_several_pages_go_the_plain_way() -> None:
    shape = shape_for(("integer", "text", "timestamp", "numeric", "boolean"))
    keys = ["id", "f0", "x", "f1", "f2", "f3", "f4", "y"]
    first = objects(keys, [["5", "1", '"-"', '"é"', '"2024-02-29T10:00:00Z"', "1.50", "true", "9"]])
    second = objects(keys, [["6", "null", "0", "null", '"2024-03-01T10:00:00Z"', "-2", "false", "null"]])
    shaped = plainly(shape, pages_of(first, [], second))
    assert shaped is not None
    assert b'"' not in shaped.rows
    assert [[row["key"], row["page"], row["index"], row["f1"], row["f4"]] for row in rows(shaped, shape)] == [
        ["5", "7", "0", "é", "true"],
        ["6", "9", "0", "", "false"],
    ]


def test_texts_keep_their_quotes_where_one_is_empty_or_holds_a_comma() -> None:
    shape = shape_for(("text", "integer"))
    keys = ["id", "f0", "f1"]
    shaped = plainly(
        shape, pages_of(objects(keys, [['"a,1"', '""', "1"], ['"b"', "null", "2"], ['"c"', '"x,y"', "3"]]))
    )
    assert shaped is not None
    assert [(row["key"], row["f0"]) for row in rows(shaped, shape)] == [("a,1", "EMPTY"), ("b", ""), ("c", "x,y")]


def test_a_key_that_no_field_takes_is_not_part_of_the_hash() -> None:
    shape = shape_for(("text",))
    one = plainly(shape, pages_of(objects(["id", "f0", "x"], [["1", '"a"', "1"]])))
    two = plainly(shape, pages_of(objects(["y", "id", "f0"], [["true", "1", '"a"']])))
    other = plainly(shape, pages_of(objects(["id", "f0", "x"], [["1", '"b"', "1"]])))
    assert one is not None
    assert two is not None
    assert other is not None
    hashes = [rows(shaped, shape)[0]["hash"] for shaped in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    "text",
    [
        '{"id":2, "f0":"b"}',
        '{"id":2,"f0": "b"}',
        '{"id":2,"f0":"b" }',
        '{ "id":2,"f0":"b"}',
        '{"id" :2,"f0":"b"}',
        '{"f0":"b","id":2}',
        '{"id":2}',
        '{"id":2,"f0":"b","x":1}',
        '{"id":2,"f0":"b","f0":"c"}',
        '{"id":2,"f0":"\\u00e9"}',
        '{"id":2,"f0":["b"]}',
        '{"id":2,"f0":{"f0":1}}',
        '{"id":null,"f0":"b"}',
        '{"id":"","f0":"b"}',
        '{"id":-0,"f0":"b"}',
        '{"id":2,"f0":1e2}',
        '{"id":2,"f0":1234567890123456789}',
        '{"id":"' + "k" * 1001 + '","f0":"b"}',
    ],
)
def test_a_record_with_something_special_goes_the_general_way(text: str) -> None:
    assert plainly(shape_for(("text",)), pages_of(['{"id":1,"f0":"a"}', text])) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"primary_key": ()},
        {"primary_key": ("id", "f0")},
        {"primary_key": ("a.b",)},
        {"mapping": Mapping(rules={"f0": FieldRule(paths=("a.b",))})},
        {"mapping": Mapping(rules={"f0": FieldRule(paths=('"a.b"',))})},
        {"mapping": Mapping(rules={"f0": FieldRule(sql="upper({f0})")})},
        {"dataset": Dataset(name="d", fields=(Field(name="f0", max_length=3),))},
        {"dataset": Dataset(name="d", fields=(Field(name="f0", type="json"),))},
        {"dataset": Dataset(name="d", fields=(Field(name="missing", required=True),))},
    ],
)
def test_a_mapping_that_asks_for_more_goes_the_general_way(changes: dict[str, object]) -> None:
    assert plain_plan(shape_for(("text",), **changes), ("id", "f0", "a.b"), from_json=True) is None


def test_a_field_without_a_key_is_null() -> None:
    shape = shape_for(("text", "text"))
    shaped = plainly(shape, pages_of(['{"id":1,"f0":"a"}']))
    assert shaped is not None
    assert shaped.fields == ("f0",)
