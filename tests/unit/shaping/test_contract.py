"""What a contract takes of records, held against a plain loop over all of their values."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.shaping.test_profiling import pages_of

from kasparro.errors import SchemaBroken
from kasparro.model.contract import Agreement, Contract, Word, taken
from kasparro.model.dataset import NORMALIZED
from kasparro.model.page import CsvRecords, JsonRecords, Page
from kasparro.model.profile import Profile
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping.contract import Agreed, agreed
from kasparro.shaping.plan import Shape
from kasparro.shaping.profiling import leaves_of, parsed, type_of
from kasparro.shaping.shaper import Shaper

Accepted = dict[str, tuple[str, ...]]

WORDS: tuple[Word, ...] = ("evolve", "discard_row", "discard_value")
MANY = max(250, settings().max_examples)
"""More than is drawn elsewhere: each of three words for fields with each of three for types, and any types."""


def json_page(*records: Any) -> Page:
    texts = [json.dumps(one).encode() for one in records]  # any size of numbers
    made = JsonRecords(texts=texts, origin="t")
    return Page(content=b"[]", content_type="application/json", records=made, origin="t", bytes_read=1)


def terms(accepted: Accepted, fields: Word = "evolve", types: Word = "evolve") -> Agreement:
    return Agreement(
        source="s",
        contract=Contract(fields=fields, types=types),
        version=3,
        accepted={path: frozenset(one) for path, one in accepted.items()},
    )


def agree(pages: list[Page], held: Agreement) -> Agreed:
    return agreed(pages, held, Stamp(source="s", run_id=9, page_ids=[7] * len(pages)))


def records_of(page: Page) -> list[Any]:
    """The records as plain values, as the shaper reads them."""
    records = page.records
    if isinstance(records, JsonRecords):
        return [parsed(text) for text in records.texts]
    text = records.text.decode().removeprefix("\ufeff")
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=records.delimiter,
        quotechar=records.quote,
        quoting=csv.QUOTE_NONE if records.quote is None else csv.QUOTE_MINIMAL,
    )
    return [
        {name: None if cell in records.null_values else cell for name, cell in zip(records.columns, cells, strict=True)}
        for cells in reader
    ]


def wrong(
    record: dict[str, Any], held: Agreement, *, text: bool, above: str = "", deep: int = 4
) -> Iterator[tuple[str, str]]:
    """Path and rule of each value that the terms do not take, told one by one."""
    for name, value in record.items():
        path = f"{above}{name}"
        if path not in held.accepted:
            if held.contract.fields != "evolve":
                yield path, "fields"
            continue
        types = held.accepted[path]
        if not types:
            continue
        fits = value is None or type_of(value, from_text=text) in taken(types, from_text=text)
        if not fits and held.contract.types != "evolve":
            yield path, "types"
        elif isinstance(value, dict) and deep > 1:
            yield from wrong(value, held, text=text, above=f"{path}.", deep=deep - 1)


def cut(record: dict[str, Any], paths: set[str], above: str = "") -> dict[str, Any]:
    return {
        name: cut(value, paths, f"{above}{name}.") if isinstance(value, dict) else value
        for name, value in record.items()
        if f"{above}{name}" not in paths
    }


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "2026-01-31", "2026-01-31T10:00:00Z", "2026-01-3", "{", 'a"b\\', "é\n", "17", "٣"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4), min_size=1, max_size=8)
TYPES = st.sets(
    st.sampled_from(["integer", "number", "boolean", "timestamp", "date", "text", "object", "array"]), max_size=4
).map(tuple)
PATHS = st.sampled_from(["a", "b", "c", "d", "a.a", "a.b", "b.a", "c.c", "a.a.a", "a.a.a.a", "a.a.a.a.a"])
ACCEPTED = st.dictionaries(PATHS, TYPES, max_size=9)


@settings(max_examples=MANY, deadline=None)
@given(RECORDS, RECORDS, ACCEPTED, st.sampled_from(WORDS), st.sampled_from(WORDS))
def test_json_records_are_told_apart_as_value_by_value(
    first: list[Any], second: list[Any], accepted: Accepted, fields: Word, types: Word
) -> None:
    held = terms(accepted, fields, types)
    pages = [json_page(*first), json_page(), json_page(*second)]
    left = agree(pages, held)
    counts: dict[str, int] = {}
    for page, made in ((pages[0], left.pages[0]), (pages[2], left.pages[2])):
        kept = []
        before = records_of(page)
        for number, record in enumerate(before):
            found = list(wrong(record, held, text=False))
            if any(held.contract.word(rule) == "discard_row" for _, rule in found):  # type: ignore[arg-type]
                words = {"discard_row"}
            else:
                words = {"discard_value"}
                kept.append((number, cut(record, {path for path, _ in found})))
            for path, rule in found:
                if held.contract.word(rule) in words:  # type: ignore[arg-type]
                    counts[path] = counts.get(path, 0) + 1
        assert records_of(made) == [record for _, record in kept]
        numbers = range(len(before)) if made.records.indexes is None else made.records.indexes
        assert list(numbers) == [number for number, _ in kept]
        assert made.content == page.content
    assert {path: one.records for path, one in left.breaches.items()} == counts
    lost = len(first) + len(second) - sum(len(page.records) for page in left.pages)
    assert len(left.rejects) == lost


CELLS = st.sampled_from(
    [
        "",
        "NA",
        "1",
        "-5",
        "+7",
        "1.5",
        "1e5",
        "1" * 25,
        "true",
        "2026-01-31",
        "2026-01-31 10:00",
        "x",
        '"',
        "a,b",
        "c\nd",
    ]
)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[CELLS] * width), min_size=1, max_size=8))


@settings(max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    TABLES, ACCEPTED, st.sampled_from(WORDS), st.sampled_from(WORDS), st.sampled_from([("",), ("", "NA"), ("NA",), ()])
)
async def test_csv_records_are_told_apart_as_cell_by_cell(  # noqa: PLR0917 - as many as hypothesis draws
    tmp_path: Path,
    rows: list[tuple[str, ...]],
    accepted: Accepted,
    fields: Word,
    types: Word,
    nulls: tuple[str, ...],
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if len(rows[0]) == 1 else csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerows([list("abcd")[: len(rows[0])], *rows])
    pages = await pages_of(tmp_path, text.getvalue(), quote='"', null_values=nulls)
    held = terms(accepted, fields, types)
    (page,) = pages
    before = records_of(page)
    left = agree([page], held)
    nothing_left = fields == "discard_value" and all(name not in accepted for name in before[0])
    kept, lost = [], 0
    for record in before:
        found = list(wrong(record, held, text=True))
        words = {held.contract.word(rule) for _, rule in found}  # type: ignore[arg-type]
        if "discard_row" in words or nothing_left:
            lost += 1
            continue
        gone = {path for path, rule in found if rule == "fields"}
        null = {path for path, rule in found if rule == "types"}
        kept.append({name: None if name in null else cell for name, cell in record.items() if name not in gone})
    assert records_of(left.pages[0]) == kept
    assert len(left.rejects) == lost
    assert left.pages[0].content == page.content
    rest = left.pages[0].records
    assert [rest.raw(at) for at in range(len(rest))] == [
        page.records.raw(at) for at in (range(len(rest)) if rest.indexes is None else rest.indexes)
    ]


def shaped(tmp_path: Path, page: Page, held: Agreement | None) -> Shaped:
    well_known = {"title": ("name",), "value": ("price",)}
    with Shaper(Shape(dataset=NORMALIZED, well_known=well_known), tmp_path, held) as shaper:
        return shaper.shape([page], Stamp(source="s", run_id=9, page_ids=[7]))


ONE: Accepted = {"id": ("integer",), "name": ("text",), "price": ("number",)}


def test_a_frozen_field_ends_the_batch_and_says_where_and_what_to_do() -> None:
    page = json_page({"id": 1, "name": "a"}, {"id": 2, "name": "b", "extra": {"x": 1}, "b": 1, "c": None})
    with pytest.raises(SchemaBroken) as caught:
        agree([page], terms(ONE, "freeze", "freeze"))
    assert caught.value.code == "schema_broken"
    assert str(caught.value) == (
        "t#1 has the field b (integer), which the accepted schema of s (version 3) does not have. Likewise: c, extra. "
        "schema_contract is freeze for fields, so these records were not written. If they are right: kasparro drift "
        "accept s --run 9, then run again. If not, look at the source, or declare discard_row, discard_value or evolve."
    )
    facts = caught.value.facts
    assert facts["breaches"]["extra"]["seen"] == {"extra": ["object"], "extra.x": ["integer"]}
    assert Profile.from_json(facts["profile"]).rows == 2


async def test_a_frozen_type_names_the_line(tmp_path: Path) -> None:
    (page,) = await pages_of(tmp_path, 'id,price\n1,1\n2,"a\nb"\n3,true\n')
    with pytest.raises(SchemaBroken, match=r"^a.csv:3: price is text, and the accepted schema .* has number\. "):
        agree([page], terms(ONE, "evolve", "freeze"))
    assert agree([page], terms({"id": ("integer",), "price": ()}, "freeze", "freeze")).pages[0] is page


def test_a_record_is_rejected_for_its_first_fault_with_its_value(tmp_path: Path) -> None:
    page = json_page({"id": 1, "price": 2}, {"id": 2, "price": "x" * 500, "new": [1]}, {"id": 3, "price": None})
    made = shaped(tmp_path, page, terms(ONE, "evolve", "discard_row"))
    (one,) = made.rejects
    assert (made.count, one.code, one.path, one.index, one.place) == (2, "type_not_accepted", "price", 1, "t#1")
    assert one.reason == "price is text, and the accepted schema (version 3) has number"
    assert one.value == "x" * 200
    assert json.loads(one.raw)["new"] == [1]
    made = shaped(tmp_path, page, terms(ONE, "discard_row", "discard_value"))
    (one,) = made.rejects
    assert (one.code, one.path, one.value) == ("field_not_accepted", "new", "[1]")
    assert one.reason == "new is not in the accepted schema (version 3)"
    assert set(made.profile.breaches) == {"new"}  # the price of the record that is lost is not left out besides
    assert made.profile.rows == 3


def test_a_value_is_left_out_of_the_row_and_numbers_stay_exact(tmp_path: Path) -> None:
    texts = [b'{"id":1, "price" : 1.10,"name":"a","new":{"deep":[1,{"x":2}]},"n":0.1234567890123456789}']
    page = replace(json_page(), records=JsonRecords(texts=texts, origin="t"))
    held = terms({**ONE, "n": ("number",), "new": ("object",)}, "discard_value")
    (left,) = agree([page], held).pages
    assert isinstance(left.records, JsonRecords)
    assert left.records.texts == [b'{"id":1,"price":1.10,"name":"a","new":{},"n":0.1234567890123456789}']
    made = shaped(tmp_path, page, terms(ONE, "discard_value"))
    assert b'"{""id"":1}"' in made.rows
    assert b",1.10," in made.rows
    assert {path: one.records for path, one in made.profile.breaches.items()} == {"n": 1, "new": 1}


async def test_a_column_is_left_out_also_the_last_and_the_only_other_one(tmp_path: Path) -> None:
    (page,) = await pages_of(tmp_path, "x,id,price,y\n1,2,,3\n4,5,a,6\n")
    held = terms({"id": ("integer",), "price": ("number",)}, "discard_value", "discard_value")
    records = agree([page], held).pages[0].records
    assert isinstance(records, CsvRecords)
    assert (records.columns, records.text) == (("id", "price"), b"2,\n5,\n")
    assert records.raw(1) == "4,5,a,6"
    (page,) = await pages_of(tmp_path, "x,price\n1,2\n4,a\n")
    records = agree([page], terms({"price": ("number",)}, "discard_value", "discard_value")).pages[0].records
    assert isinstance(records, CsvRecords)
    assert records.text == "2\n\ue0000\n".encode()  # no line may be empty
    made = shaped(tmp_path, page, terms({"price": ("number",)}, "discard_value", "discard_value"))
    assert made.count == 2
    assert b",,,2,," in made.rows


async def test_a_file_of_other_columns_is_rejected_where_nothing_would_be_left(tmp_path: Path) -> None:
    (page,) = await pages_of(tmp_path, "a,b\n1,2\n3,4\n")
    made = shaped(tmp_path, page, terms({"id": ("integer",)}, "discard_value"))
    assert (made.count, [one.path for one in made.rejects]) == (0, ["a", "a"])
    assert {path: one.word for path, one in made.profile.breaches.items()} == {"a": "discard_row", "b": "discard_row"}


def test_a_number_that_no_double_holds_and_an_object_with_a_key_for_each_record() -> None:
    texts = [b'{"id":1,"price":1E400,"by":{"k%d":1}}' % number for number in range(300)]
    page = replace(json_page(), records=JsonRecords(texts=texts, origin="t"))
    held = terms({**ONE, "by": ("object",)}, "discard_value", "discard_value")
    left = agree([page], held)
    assert isinstance(left.pages[0].records, JsonRecords)
    assert left.pages[0].records.texts == [b'{"id":1,"price":1E400,"by":{}}'] * 300
    assert len(left.breaches) == 300


def test_some_records_of_a_stored_page_keep_their_place(tmp_path: Path) -> None:
    records = JsonRecords(texts=[b'{"id":1}', b'{"id":"x"}', b'{"id":3}'], origin="t", first=10, indexes=[4, 6, 8])
    page = replace(json_page(), records=records)
    made = shaped(tmp_path, page, terms(ONE, "evolve", "discard_row"))
    assert [(one.index, one.place) for one in made.rejects] == [(6, "t#16")]
    assert [line.split(b",")[4:6] for line in made.rows.splitlines()] == [[b"7", b"4"], [b"7", b"8"]]


def test_what_an_evolving_source_is_held_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a source without a contract was held to one")

    monkeypatch.setattr("kasparro.shaping.contract.agreed", never)
    assert shaped(tmp_path, json_page({"id": 1, "new": 2}), None).count == 1
    with pytest.raises(AssertionError):
        shaped(tmp_path, json_page({"id": 1, "new": 2}), terms(ONE, "freeze"))


def test_types_that_fit_others() -> None:
    assert taken(frozenset({"number"}), from_text=False) == {"number", "integer"}
    assert taken(frozenset({"timestamp"}), from_text=True) == {"timestamp", "date"}
    assert "integer" not in taken(frozenset({"text"}), from_text=False)
    assert taken(frozenset({"text"}), from_text=True) >= {"integer", "number", "boolean", "date", "timestamp"}


@pytest.mark.parametrize("value", [1, 1.5, True, "x", "2026-01-01", [1], {"a": 1}])
def test_a_value_has_the_type_that_its_profile_tells(value: object) -> None:
    page = json_page({"v": value})
    ((_, leaves),) = leaves_of(page.records, [0])
    kind = type_of(dict(leaves)["v"], from_text=False)
    accepted: Accepted = {"v": (kind,), "v.a": ("integer",)}
    assert agree([page], terms(accepted, "freeze", "freeze")).pages[0] is page
    assert orjson.loads(page.records.raw(0)) == {"v": value}
