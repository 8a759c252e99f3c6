"""The plain way gives the rows that the general way gives, or stands aside."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.model.dataset import Dataset, Field, FieldType
from kasparro.model.mapping import FieldRule, Mapping
from kasparro.model.page import CsvRecords, Page
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping import plain
from kasparro.shaping.plain_csv import shape_plain
from kasparro.shaping.plain_hash import line_hashes, texts_of_numbers
from kasparro.shaping.plain_plan import plain_plan
from kasparro.shaping.plan import Shape
from kasparro.shaping.shaper import Shaper
from kasparro.store.probing import keys_and_hashes

STAMP = Stamp(source="s", run_id=3, page_ids=[7])
TYPES: tuple[FieldType, ...] = ("text", "integer", "numeric", "float", "timestamp", "date")

Row = dict[str, str]


def records(columns: Sequence[str], lines: Sequence[str], delimiter: str = ",") -> CsvRecords:
    content = "".join(line + "\n" for line in lines).encode()
    starts = [0, *np.cumsum([len(line.encode()) + 1 for line in lines]).tolist()]
    return CsvRecords(
        columns=tuple(columns),
        delimiter=delimiter,
        quote='"',
        text=content,
        content=content,
        starts=starts,
        lines=range(2, len(lines) + 2),
        origin="f.csv",
        null_values=("", "NA"),
    )


def shape_for(types: Sequence[FieldType], **changes: object) -> Shape:
    fields = tuple(Field(name=f"f{n}", type=one) for n, one in enumerate(types))
    given_options = {"dataset": Dataset(name="d", fields=fields), "primary_key": ("id",), "well_known": {}, **changes}
    return Shape(**given_options)  # type: ignore[arg-type]


def plainly(shape: Shape, found: CsvRecords) -> Shaped | None:
    plan = plain_plan(shape, found.columns)
    return None if plan is None else shape_plain(found, plan, STAMP, 7)


def rows(shaped: Shaped, shape: Shape) -> list[Row]:
    if shaped.places is not None:
        assert keys_and_hashes(shaped.rows, "s", shaped.places)[1] == keys_and_hashes(shaped.rows, "s")[1]
    names = shaped.fields or tuple(field.name for field in shape.dataset.fields)
    head = ("source", "key", "hash", "run", "page", "index")
    found = []
    for row in csv.reader(io.StringIO(shaped.rows.decode(), newline="")):
        one = dict(zip((*head, *names), row, strict=True))
        one["index"] = str(int(one["index"]))
        for field in shape.dataset.fields:
            one.setdefault(field.name, "")
            if field.type == "timestamp":
                one[field.name] = one[field.name].replace("T", " ").replace("+00", "").removesuffix("Z")
            if field.type in {"integer", "numeric", "float"} and one[field.name]:
                one[field.name] = str(float(one[field.name]))
        found.append(one)
    return found


def generally(shape: Shape, found: CsvRecords, folder: Path) -> Shaped:
    page = Page(content=found.content, content_type="text/csv", records=found, origin="f.csv", bytes_read=1)
    with pytest.MonkeyPatch.context() as patch, Shaper(shape, folder) as shaper:
        patch.setattr(plain, "plain_plan", lambda *_, **__: None)
        return shaper.shape([page], STAMP)


_WORDS = """
    NA 0 7 -7 007 - 1-2 1.5 -0.5 1. .5 1.2.3 1e3 +5 x é null \\N \\. 123456789012345678 1234567890123456789
    12345678901234567890 99999999999999999.25 2024-02-29 2023-02-29 2024-13-01 2024-1-01 0000-01-01 2024-04-31
    2024-12-31 2024-02-29T23:59:59Z 2024-02-29T24:00:00Z 2024-02-29T10:60:00Z 2024-02-29T10:00:00
    2024-02-29T10:00:00+02:00 2024-02-29X10:00:00Z
"""
CELLS = st.sampled_from([*_WORDS.split(), "", " 5", "N A", "2024-02-29 00:00:00Z"])


@given(data=st.data())
def test_it_gives_what_the_general_way_gives_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    types = data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))
    columns = data.draw(st.permutations(["id", "unused", *(f"f{n}" for n in range(len(types)))]))
    count = data.draw(st.integers(1, 4))
    table = [[data.draw(CELLS) for _ in columns] for _ in range(count)]
    for number, line in enumerate(table):
        line[columns.index("id")] = f"k{number}"
    shape = shape_for(types)
    found = records(columns, [",".join(line) for line in table])
    quick = plainly(shape, found)
    if quick is None:
        return
    general = generally(shape, found, tmp_path_factory.mktemp("general"))
    assert general.rejects == ()
    ours, theirs = rows(quick, shape), rows(general, shape)
    for one in (*ours, *theirs):
        one.pop("hash")
    assert ours == theirs


def test_ordinary_pages_go_the_plain_way() -> None:
    shape = shape_for(("integer", "text", "timestamp", "numeric", "date"))
    found = records(
        ["id", "f0", "x", "f1", "f2", "f3", "f4", "y"],
        ["a,1,-,é,2024-02-29T10:00:00Z,1.50,2024-02-29,9", "b,NA,,,2024-03-01T10:00:00Z,-2,NA,"],
    )
    shaped = plainly(shape, found)
    assert shaped is not None
    assert [list(row.values()) for row in rows(shaped, shape)] == [
        [
            "s",
            "a",
            rows(shaped, shape)[0]["hash"],
            "3",
            "7",
            "0",
            "1.0",
            "é",
            "2024-02-29 10:00:00",
            "1.5",
            "2024-02-29",
        ],
        ["s", "b", rows(shaped, shape)[1]["hash"], "3", "7", "1", "", "", "2024-03-01 10:00:00", "-2.0", ""],
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"primary_key": ()},
        {"primary_key": ("id", "f0")},
        {"primary_key": ("nowhere",)},
        {"mapping": Mapping(rules={"f0": FieldRule(sql="upper({f0})")})},
        {"mapping": Mapping(rules={"f0": FieldRule(const="x")})},
        {"mapping": Mapping(rules={"f0": FieldRule(paths=("f0",), format="%d")})},
        {"mapping": Mapping(rules={"f0": FieldRule(paths=("f0", "id"))})},
        {"dataset": Dataset(name="d", fields=(Field(name="f0", max_length=3),))},
        {"dataset": Dataset(name="d", fields=(Field(name="f0", type="json"),))},
        {"dataset": Dataset(name="d", fields=(Field(name="missing", required=True),))},
    ],
)
def test_a_mapping_that_asks_for_more_goes_the_general_way(changes: dict[str, object]) -> None:
    assert plainly(shape_for(("text",), **changes), records(["id", "f0"], ["a,b"])) is None


@pytest.mark.parametrize("line", ['a,"b"', ",b", "NA,b", "k" * 1001 + ",b"])
def test_a_page_with_something_special_goes_the_general_way(line: str) -> None:
    assert plainly(shape_for(("text",)), records(["id", "f0"], ["z,b", line])) is None


def test_another_delimiter_is_fine_unless_a_comma_stands_in_a_cell() -> None:
    shape = shape_for(("text",))
    shaped = plainly(shape, records(["id", "f0"], ["a;b"], delimiter=";"))
    assert shaped is not None
    assert rows(shaped, shape)[0]["f0"] == "b"
    assert plainly(shape, records(["id", "f0"], ["a;b,c"], delimiter=";")) is None


@given(
    st.lists(st.binary(max_size=40).map(lambda one: one.replace(b"\n", b"")), min_size=1, max_size=30),
    st.integers(0, 9),
)
def test_lines_have_one_hash_exactly_if_they_are_the_same(lines: list[bytes], seed: int) -> None:
    data = np.frombuffer(b"".join(line + b"\n" for line in lines), dtype=np.uint8)
    ends = np.cumsum([len(line) + 1 for line in lines])
    starts = ends - np.array([len(line) + 1 for line in lines])
    hashes = line_hashes(data, starts, ends, seed).tolist()
    assert len(set(hashes)) == len(set(lines))
    assert all((hashes[a] == hashes[b]) == (lines[a] == lines[b]) for a in range(len(lines)) for b in range(len(lines)))
    assert all(1 << 62 <= one < 1 << 63 for one in hashes)
    assert line_hashes(data, starts, ends, seed + 1).tolist() != hashes


@pytest.mark.parametrize("line", [b"\n", b"abc\n", b"1234567\n", b"12345678\n", b"x" * (1 << 20) + b"\n"])
def test_a_line_has_the_same_hash_wherever_it_stands(line: bytes) -> None:
    alone = line_hashes(np.frombuffer(line, dtype=np.uint8), np.array([0]), np.array([len(line)]), 1)
    for before in (b"a\n", b"1234567\n", b"12345678\n"):
        data = np.frombuffer(before + line + before, dtype=np.uint8)
        bounds = np.cumsum([0, len(before), len(line), len(before)])
        first, found, last = line_hashes(data, bounds[:-1], bounds[1:], 1).tolist()
        assert found == alone[0]
        assert first == last


def test_numbers_as_texts() -> None:
    texts = texts_of_numbers(np.array([0, 7, 4611686018427387904], dtype=np.uint64))
    assert [bytes(one).decode() for one in texts] == ["0" * 19, "0" * 18 + "7", "4611686018427387904"]
