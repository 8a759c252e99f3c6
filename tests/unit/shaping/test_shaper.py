import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kasparro.errors import Misconfigured, SchemaBroken
from kasparro.model.dataset import NORMALIZED, Dataset, Field, FieldType
from kasparro.model.mapping import FieldRule, Mapping
from kasparro.model.page import CsvRecords, JsonRecords, Page
from kasparro.model.shaped import ROW_COLUMNS, Shaped, Stamp
from kasparro.shaping.plan import Shape
from kasparro.shaping.shaper import Shaper

WELL_KNOWN = {"title": ("title", "name"), "url": ("url",), "value": ("value", "price"), "occurred_at": ("date",)}

Row = dict[str, Any]


def json_page(*records: str) -> Page:
    texts = [record.encode() for record in records]
    found = JsonRecords(texts=texts, origin="http://h/x")
    return Page(content=b"[]", content_type="application/json", records=found, origin="http://h/x", bytes_read=1)


def csv_page(columns: str, *lines: str) -> Page:
    content = "".join(line + "\n" for line in lines).encode()
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()) + 1)
    names = tuple(columns.split(","))
    found = CsvRecords(
        columns=names,
        delimiter=",",
        quote='"',
        text=content,
        content=content,
        starts=starts,
        lines=range(2, len(lines) + 2),
        origin="f.csv",
    )
    return Page(content=content, content_type="text/csv", records=found, origin="f.csv", bytes_read=len(content))


ShapeIt = Callable[..., tuple[list[Row], Shaped]]


@pytest.fixture
def shape_it(tmp_path: Path) -> ShapeIt:
    def run(page: Page, dataset: Dataset = NORMALIZED, **options: Any) -> tuple[list[Row], Shaped]:
        shape = Shape(dataset=dataset, well_known=WELL_KNOWN, **options)
        with Shaper(shape, tmp_path) as shaper:
            shaped = shaper.shape([page], Stamp(source="s", run_id=1, page_ids=[7]))
        names = [*ROW_COLUMNS, *(field.name for field in dataset.fields)]
        rows = [dict(zip(names, row, strict=True)) for row in csv.reader(io.StringIO(shaped.rows.decode()))]
        assert len(rows) == shaped.count
        return rows, shaped

    return run


def one(field_type: FieldType, **constraints: Any) -> Dataset:
    return Dataset(name="d", fields=(Field(name="f", type=field_type, **constraints),))


def test_unmapped_json_fills_the_well_known_fields_and_the_rest_goes_to_attributes(shape_it: ShapeIt) -> None:
    rows, shaped = shape_it(
        json_page(
            '{"id": 1, "name": "Bit\\ncoin", "price": 1.10, "date": "2024-05-01T10:00:00+02:00", "x": {"y": 2.50}}'
        )
    )
    assert shaped.rejects == ()
    assert rows[0]["title"] == "Bit\ncoin"
    assert rows[0]["value"] == "1.10"
    assert rows[0]["occurred_at"] == "2024-05-01 08:00:00+00"
    assert rows[0]["attributes"] == '{"id":1,"x":{"y":2.50}}'
    assert rows[0]["url"] == ""


def test_a_guess_that_does_not_fit_stays_in_attributes(shape_it: ShapeIt) -> None:
    rows, shaped = shape_it(json_page('{"title": "a", "name": "b", "price": "on request"}'))
    assert shaped.rejects == ()
    assert rows[0]["title"] == "a"
    assert rows[0]["value"] == ""
    assert json.loads(rows[0]["attributes"]) == {"name": "b", "price": "on request"}


def test_unmapped_csv_does_the_same(shape_it: ShapeIt) -> None:
    rows, _ = shape_it(csv_page('id,name,price,a "b"', '1,"x, y",1.10,"q""r"', "2,,no,"))
    by_id = {json.loads(row["attributes"])["id"]: row for row in rows}
    assert by_id["1"]["title"] == "x, y"
    assert by_id["1"]["value"] == "1.10"
    assert json.loads(by_id["1"]["attributes"]) == {"id": "1", 'a "b"': 'q"r'}
    assert json.loads(by_id["2"]["attributes"]) == {"id": "2", "price": "no", 'a "b"': None}


@pytest.mark.parametrize(
    "number",
    ["0.12345678901234567891", "1.10", "41389.57931641128", "1E400", "-0.0", "12345678901234567890123", "1e-7", "0"],
)
def test_numbers_stay_exact_as_value_and_inside_attributes(shape_it: ShapeIt, number: str) -> None:
    rows, shaped = shape_it(json_page(f'{{"value": {number}, "deep": [{number}, "{number}"]}}'))
    assert shaped.rejects == ()
    assert rows[0]["value"] == number
    assert rows[0]["attributes"] == f'{{"deep":[{number},"{number}"]}}'


@pytest.mark.parametrize(
    ("field_type", "text", "value"),
    [
        ("integer", "5", "5"),
        ("integer", " +5.0 ", "5"),
        ("integer", "9223372036854775807", "9223372036854775807"),
        ("numeric", "1.50", "1.50"),
        ("numeric", "1e3", "1e3"),
        ("float", "2.5e-3", "2.5e-3"),
        ("boolean", "Yes", "true"),
        ("boolean", "0", "false"),
        ("timestamp", "2024-05-01", "2024-05-01 00:00:00+00"),
        ("timestamp", "2024-05-01T10:00:00.123456789Z", "2024-05-01 10:00:00.123456+00"),
        ("timestamp", "1714557600", "2024-05-01 10:00:00+00"),
        ("timestamp", "1714557600123", "2024-05-01 10:00:00.123+00"),
        ("timestamp", "1714557600.5", "2024-05-01 10:00:00.5+00"),
        ("timestamp", "Wed, 01 May 2024 12:00:00 +0200", "2024-05-01 10:00:00+00"),
        ("timestamp", "Wed, 01 May 2024 10:00:00 GMT", "2024-05-01 10:00:00+00"),
        ("date", "2024-05-01", "2024-05-01"),
        ("date", "2024-05-01T00:00:00", "2024-05-01"),
        ("integer", "", ""),
        ("timestamp", " ", ""),
    ],
)
def test_what_fits_a_type(shape_it: ShapeIt, field_type: FieldType, text: str, value: str) -> None:
    for page in (json_page(json.dumps({"f": text})), csv_page("f,g", f'"{text}",1')):
        rows, shaped = shape_it(page, one(field_type))
        assert shaped.rejects == ()
        assert rows[0]["f"] == value


@pytest.mark.parametrize(
    ("field_type", "text"),
    [
        ("integer", "1.5"),
        ("integer", "1e3"),
        ("integer", "5_0"),
        ("integer", "9223372036854775808"),
        ("numeric", "NaN"),
        ("numeric", "1,5"),
        ("numeric", "0x10"),
        ("float", "inf"),
        ("float", "1e999"),
        ("boolean", "maybe"),
        ("timestamp", "2024-02-30"),
        ("timestamp", "infinity"),
        ("timestamp", "20240501"),
        ("timestamp", "05/01/2024"),
        ("date", "2024-05-01T10:00:00"),
        ("date", "2024-13-01"),
    ],
)
def test_what_does_not_fit_is_a_reject_with_its_place_value_and_text(
    shape_it: ShapeIt, field_type: FieldType, text: str
) -> None:
    rows, shaped = (
        shape_it(
            csv_page("f,g", "1,1", f'"{text}",é'),
            Dataset(name="d", fields=(Field(name="g"), Field(name="f", type=field_type))),
        )
        if field_type in {"integer", "numeric", "float", "boolean"}
        else shape_it(
            csv_page("f,g", ",1", f'"{text}",é'),
            Dataset(name="d", fields=(Field(name="g"), Field(name="f", type=field_type))),
        )
    )
    assert len(rows) == 1
    (reject,) = shaped.rejects
    assert (reject.place, reject.path, reject.code, reject.value) == ("f.csv:3", "f", f"not_{field_type}", text)
    assert reject.raw == f'"{text}",é'
    assert reject.reason.startswith("f is not")
    assert reject.index == 1


@pytest.mark.parametrize(
    ("dataset", "good", "bad", "code"),
    [
        (one("text", required=True), "x", None, "required"),
        (one("integer", required=True), "1", "", "required"),
        (one("numeric", min=0), "0", "-0.01", "too_small"),
        (one("integer", max=9), "9", "10", "too_large"),
        (one("text", min_length=2), "ab", "é", "too_short"),
        (one("text", max_length=2), "éé", "abc", "too_long"),
        (one("text", pattern="[a-z]+"), "abc", "abc1", "pattern"),
        (one("text", one_of=("a", "b'c")), "b'c", "c", "one_of"),
    ],
)
def test_constraints(shape_it: ShapeIt, dataset: Dataset, good: str, bad: str | None, code: str) -> None:
    rows, shaped = shape_it(json_page(json.dumps({"f": good}), json.dumps({"f": bad})), dataset)
    assert [row["f"] for row in rows] == [good]
    assert [(reject.code, reject.path, reject.place) for reject in shaped.rejects] == [(code, "f", "http://h/x#1")]


def test_a_mapping_takes_paths_candidates_constants_expressions_and_formats(shape_it: ShapeIt) -> None:
    mapping = Mapping(
        rules={
            "title": FieldRule(paths=("nope", "symbol")),
            "description": FieldRule(const="it's a coin"),
            "value": FieldRule(paths=("quotes[0].USD.price",)),
            "url": FieldRule(sql="'https://h/' || lower({symbol})"),
            "occurred_at": FieldRule(paths=('"a.b"',), format="%d/%m/%Y %H:%M"),
        },
        attributes=("rank", "quotes[0].USD"),
    )
    page = json_page('{"symbol":"BTC","rank":1,"quotes":[{"USD":{"price":1.10}}],"a.b":"01/05/2024 10:30","other":1}')
    rows, shaped = shape_it(page, mapping=mapping, timezone="Europe/Berlin")
    assert shaped.rejects == ()
    assert rows[0]["title"] == "BTC"
    assert rows[0]["description"] == "it's a coin"
    assert rows[0]["value"] == "1.10"
    assert rows[0]["url"] == "https://h/btc"
    assert rows[0]["occurred_at"] == "2024-05-01 10:30:00+02"
    assert json.loads(rows[0]["attributes"]) == {"rank": 1, "quotes[0].USD": {"price": 1.1}}


def test_a_naive_time_is_read_in_the_declared_zone(shape_it: ShapeIt) -> None:
    rows, _ = shape_it(json_page('{"f":"2024-05-01 10:00"}'), one("timestamp"), timezone="America/New_York")
    assert rows[0]["f"] == "2024-05-01 10:00:00-04"


def test_a_column_that_the_file_does_not_have_is_refused_by_name(shape_it: ShapeIt) -> None:
    with pytest.raises(SchemaBroken, match=r"f\.csv has no column 'idd'.*It has: id, x"):
        shape_it(csv_page("id,x", "1,2"), primary_key=("idd",))


def test_an_expression_that_does_not_work_is_refused(shape_it: ShapeIt) -> None:
    mapping = Mapping(rules={"title": FieldRule(sql="nonsense({id})")})
    with pytest.raises(Misconfigured, match="nonsense"):
        shape_it(json_page('{"id":1}'), mapping=mapping)
    mapping = Mapping(rules={"title": FieldRule(sql="CAST({id} AS INT)")})
    with pytest.raises(Misconfigured, match="Use TRY_CAST"):
        shape_it(json_page('{"id":"x"}'), mapping=mapping)


def test_an_expression_reads_no_file(shape_it: ShapeIt) -> None:
    mapping = Mapping(rules={"title": FieldRule(sql="(SELECT content FROM read_text('/etc/hostname'))")})
    with pytest.raises(Exception, match=r"(?i)disabled by configuration"):
        shape_it(json_page('{"id":1}'), mapping=mapping)


def test_keys(shape_it: ShapeIt) -> None:
    long = "x" * 1001
    rows, shaped = shape_it(
        json_page('{"id":1,"v":"a"}', '{"id":"2"}', '{"id":1,"v":"b"}', '{"id":null}', f'{{"id":"{long}"}}'),
        primary_key=("id",),
    )
    assert [row["record_key"] for row in rows][:3] == ["1", "2", "1"]  # which of them counts is decided by the merge
    assert [row["raw_index"] for row in rows] == ["0", "1", "2", "4"]
    assert rows[3]["record_key"].startswith("sha256:")
    assert [(reject.code, reject.place) for reject in shaped.rejects] == [("key_missing", "http://h/x#3")]


def test_a_key_of_several_parts_cannot_be_mistaken_for_another(shape_it: ShapeIt) -> None:
    page = csv_page("a,b", '"1,2",3', '1,"2,3"', "1,")
    rows, shaped = shape_it(page, primary_key=("a", "b"))
    assert [row["record_key"] for row in rows] == ['["1,2","3"]', '["1","2,3"]']
    assert [reject.code for reject in shaped.rejects] == ["key_missing"]


def test_without_a_key_exact_duplicates_collapse_and_order_of_json_keys_does_not_count(shape_it: ShapeIt) -> None:
    rows, _ = shape_it(json_page('{"a":1.0,"b":2}', '{ "b":2, "a":1.0 }', '{"a":1,"b":2}'))
    assert len({row["record_key"] for row in rows}) == 2
    rows, _ = shape_it(csv_page("a,b", '1,""', "1,", "1,", "x,y"))
    assert len({row["record_key"] for row in rows}) == 3


def test_the_hash_tells_contents_apart_but_not_the_order_of_keys(shape_it: ShapeIt) -> None:
    def hashed(text: str) -> str:
        rows, _ = shape_it(json_page(text), primary_key=("id",))
        return str(rows[0]["record_hash"])

    assert hashed('{"id":1,"a":1.0,"b":2}') == hashed('{"b":2,"id":1,"a":1.0}')
    assert hashed('{"id":1,"a":0.12345678901234567891}') != hashed('{"id":1,"a":0.12345678901234567892}')
    assert hashed('{"id":1,"title":null}') != hashed('{"id":1,"title":""}')


def test_a_json_cell_of_csv_must_be_json_by_the_standard(shape_it: ShapeIt) -> None:
    page = csv_page("g,f", '1,"{""a"": 1.10}"', '2,"[1,]"', "3,NaN", "4,")
    rows, shaped = shape_it(page, Dataset(name="d", fields=(Field(name="g"), Field(name="f", type="json"))))
    assert {row["g"]: row["f"] for row in rows} == {"1": '{"a": 1.10}', "4": ""}
    assert [(reject.code, reject.value) for reject in shaped.rejects] == [("not_json", "[1,]"), ("not_json", "NaN")]


def test_the_profile_is_that_of_the_raw_records(shape_it: ShapeIt) -> None:
    _, shaped = shape_it(json_page('{"title":"a"}', '{"title":null,"value":1}'))
    assert (shaped.profile.rows, shaped.profile.looked) == (2, 2)
    assert {path: (one.present, one.nulls) for path, one in shaped.profile.fields.items()} == {
        "title": (2, 1),
        "value": (1, 0),
    }


def test_a_page_without_records_gives_nothing(shape_it: ShapeIt) -> None:
    assert shape_it(json_page()) == ([], Shaped())


def test_of_many_batches_every_eighth_is_looked_at_and_all_records_are_counted(tmp_path: Path) -> None:
    shape = Shape(dataset=NORMALIZED, well_known={})
    with Shaper(shape, tmp_path) as shaper:
        seen = [
            shaper.shape([json_page('{"a":1}', '{"a":2}')], Stamp(source="s", run_id=1, page_ids=[1])).profile
            for _ in range(40)
        ]
    assert [one.looked for one in seen] == [2] * 17 + ([0] * 7 + [2]) * 2 + [0] * 7
    assert {one.rows for one in seen} == {2}
