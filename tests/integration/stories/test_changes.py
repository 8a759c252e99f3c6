"""Tables that somebody changed, and configurations that change between two runs.

Each is gone on with rightly, or refused with the reason and the remedy. What is refused leaves rows and raw pages as
they were, and after the remedy that was named the next run goes on and all rows are there.
"""

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from tests.integration.stories.conftest import Answer, Kasparro, Said, reply

FIELDS = "{id: integer, name: text, amount: numeric}"
TABLES = [
    pytest.param(('data."d"', "name", "amount"), id="dataset"),
    pytest.param(("normalized_data", "title", "value"), id="normalized_data"),
]
Table = tuple[str, str, str]


class Story:
    """One source `s`, its configuration, its file `s.csv` and what is in the database."""

    def __init__(self, kasparro: Kasparro, url: str, folder: Path) -> None:
        self._kasparro = kasparro
        self._url = url
        self.folder = folder

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type,unused-ignore]
            return cursor.fetchall() if cursor.description else []

    def declare(self, *lines: str, fields: str = FIELDS, kind: str = "type: csv\n    path: s*.csv") -> None:
        text = f"sources:\n  s:\n    {kind}\n    primary_key: id\n    dataset: d\n"
        more = "".join(f"    {line}\n" for line in lines)
        (self.folder / "kasparro.yaml").write_text(f"{text}{more}datasets:\n  d: {{fields: {fields}}}\n")

    def declare_in(self, table: Table) -> None:
        self.declare()
        if table[0] == "normalized_data":
            (self.folder / "kasparro.yaml").write_text("sources:\n  s: {type: csv, path: s*.csv, primary_key: id}\n")

    def put(self, text: str, name: str = "s.csv") -> None:
        (self.folder / name).write_text(text)

    def call(self, *arguments: str, code: int = 0) -> Said:
        said = self._kasparro(*arguments)
        assert "Traceback" not in said.out + said.err
        assert said.code == code, said
        return said

    def runs(self, *arguments: str, counts: str, code: int = 0) -> Said:
        """Call it, and expect these counts: extracted, inserted, updated, unchanged, duplicates, rejected."""
        said = self.call(*(arguments or ("run",)), code=code)
        assert re.search(rf"s +success +{counts.replace(' ', ' +')}( |$)", said.out), said
        return said

    def refused(self, *words: str, code: int = 1, arguments: tuple[str, ...] = ("run",)) -> None:
        """Nothing but the record of the run is written, and it says why and what to do."""
        before = self.kept()
        said = self.call(*arguments, code=code)
        assert all(word in said.err for word in words), said.err
        assert self.kept() == before

    def kept(self) -> list[list[tuple[Any, ...]]]:
        tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        found = self.ask(f"{tables} WHERE tablename IN ('d', 'normalized_data') ORDER BY 1")
        rows = [sorted(self.ask(f"SELECT to_json(t)::text FROM {table} AS t")) for (table,) in found]
        filled = [one for one in rows if one]  # a table that is not there is made meanwhile
        return [*filled, self.ask("SELECT id, layout::text, content FROM raw_page ORDER BY id")]

    def counts_are_exact(self, table: str = 'data."d"') -> None:
        assert self.ask(f"SELECT count(*) FROM {table}") == self.ask("SELECT sum(rows)::bigint FROM dataset_total")
        wrong = "SELECT id FROM etl_run WHERE extracted <> inserted + updated + unchanged + duplicates + rejected"
        assert self.ask(wrong) == []


def lines(*ids: int, word: str = "n") -> str:
    return "id,name,amount\n" + "".join(f"{n},{word}{n},{n}.50\n" for n in ids)


@pytest.fixture
def story(kasparro: Kasparro, database_url: str, tmp_path: Path) -> Story:
    made = Story(kasparro, database_url, tmp_path)
    made.declare()
    made.put(lines(*range(1, 6)))
    return made


def values(table: Table) -> str:
    return f"SELECT record_key, {table[1]}, {table[2]}::text FROM {table[0]} ORDER BY record_key"


@pytest.mark.parametrize("table", TABLES)
def test_a_dropped_column_is_added_again_and_filled_by_a_replay(story: Story, table: Table) -> None:
    story.declare_in(table)
    story.call("run")
    before = story.ask(values(table))
    story.ask(f"ALTER TABLE {table[0]} DROP COLUMN {table[2]}")
    said = story.call("run")
    assert f"{table[2]} of" in said.err
    assert "had been dropped and was added again" in said.err
    assert "kasparro replay s" in story.call("run").err
    story.runs("replay", "s", counts="5 0 5 0 0 0")
    assert story.ask(values(table)) == before
    assert "replay" not in story.call("run").err
    story.ask(f"ALTER TABLE {table[0]} DROP COLUMN {table[2]}")
    story.call("run")
    story.runs("run", "--full-refresh", counts="5 0 5 0 0 0")
    assert story.ask(values(table)) == before


@pytest.mark.parametrize("table", TABLES)
def test_a_column_of_another_type_is_refused_until_it_is_dropped(story: Story, table: Table) -> None:
    story.declare_in(table)
    story.call("run")
    before = story.ask(values(table))
    story.ask(f"ALTER TABLE {table[0]} ALTER COLUMN {table[2]} TYPE text")
    story.put(lines(6), "s6.csv")
    story.refused(f"Column {table[2]} of", "is text, but numeric is declared", f"DROP COLUMN {table[2]}", "replay")
    story.ask(f"ALTER TABLE {table[0]} DROP COLUMN {table[2]}")
    story.runs("replay", "s", counts="5 0 5 0 0 0")
    story.runs(counts="1 1 0 0 0 0")
    assert story.ask(values(table)) == [*before, ("6", "n6", "6.50")]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("done", "remedy"), [("DROP TABLE", "replay s"), ("TRUNCATE", "run s --full-refresh")])
def test_a_table_that_was_dropped_or_emptied_is_made_again(story: Story, table: Table, done: str, remedy: str) -> None:
    story.declare_in(table)
    story.call("run")
    before = story.ask(values(table))
    story.ask(f"{done} {table[0]}")
    story.put(lines(6), "s6.csv")
    story.refused("holds none of the 5 rows of s", "kasparro replay s", "kasparro run s --full-refresh")
    story.call(*remedy.split())
    story.call("run")
    assert story.ask(values(table)) == [*before, ("6", "n6", "6.50")]
    story.counts_are_exact(table[0])


def test_a_table_that_is_to_stay_empty_is_forgotten(story: Story) -> None:
    story.call("run")
    story.ask("DROP TABLE data.d")
    story.refused("kasparro checkpoint reset s --rows")
    story.call("checkpoint", "reset", "s", "--rows")
    story.runs(counts="5 5 0 0 0 0")
    story.counts_are_exact()


def test_rows_that_were_deleted_or_changed_by_hand_come_back_with_a_replay(story: Story) -> None:
    story.call("run")
    before = story.ask(values(("data.d", "name", "amount")))
    story.ask("DELETE FROM data.d WHERE id < 3")
    story.ask("UPDATE data.d SET name = 'x' WHERE id = 4")
    story.runs("replay", "s", counts="5 2 1 2 0 0")
    assert story.ask(values(("data.d", "name", "amount"))) == before
    story.counts_are_exact()


NOT_NULL = "ADD COLUMN mine int NOT NULL DEFAULT 1; ALTER TABLE {table} ALTER mine DROP DEFAULT"


@pytest.mark.parametrize(
    ("harm", "words", "remedy"),
    [
        ("DROP COLUMN record_hash", "Column record_hash", "DROP TABLE"),
        ("ALTER COLUMN raw_index TYPE bigint", "Column raw_index", "DROP TABLE"),
        ("DROP CONSTRAINT {key}", "no primary key any more", "ADD PRIMARY KEY (source, record_key)"),
        (NOT_NULL, "Column mine", "mine DROP NOT NULL"),
    ],
    ids=["column", "type", "key", "not null"],
)
@pytest.mark.parametrize("table", TABLES)
def test_what_rows_are_known_by_is_refused_when_it_is_gone(
    story: Story, table: Table, harm: str, words: str, remedy: str
) -> None:
    story.declare_in(table)
    story.call("run")
    name = table[0].replace("data.", "").strip('"')
    story.ask(f"ALTER TABLE {table[0]} {harm.format(key=f'{name}_pkey', table=table[0])}")
    story.put(lines(5, 6, word="m"), "s6.csv")
    story.refused(words, remedy)
    if remedy == "DROP TABLE":
        story.ask(f"DROP TABLE {table[0]}")
        story.call("replay", "s")
    else:
        story.ask(f"ALTER TABLE {table[0]} {'' if remedy.startswith('ADD') else 'ALTER COLUMN '}{remedy}")
    story.runs(counts="2 1 1 0 0 0")
    assert [key for key, *_ in story.ask(values(table))] == ["1", "2", "3", "4", "5", "6"]
    story.counts_are_exact(table[0])


def test_columns_that_others_added_and_that_fill_themselves_are_left_alone(story: Story) -> None:
    story.call("run")
    story.ask("ALTER TABLE data.d ADD COLUMN mine int GENERATED ALWAYS AS IDENTITY, ADD COLUMN at date DEFAULT now()")
    story.ask("ALTER TABLE data.d ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 2) STORED")
    story.put(lines(*range(1, 8), word="m"))
    story.runs(counts="7 2 5 0 0 0")
    story.put(lines(*range(2, 8), word="k"))
    story.runs("run", "--full-refresh", counts="6 0 6 0 0 0")
    assert story.ask("SELECT count(mine), count(at), min(twice)::text FROM data.d") == [(6, 6, "5.00")]


def test_a_refresh_whose_table_was_dropped_begins_anew(story: Story) -> None:
    story.call("run")
    story.put(lines(1))
    story.call("run", "--full-refresh", code=1)  # refused, and its rows wait for a decision
    ((table,),) = story.ask("SELECT format('refresh.%I', tablename) FROM pg_tables WHERE schemaname = 'refresh'")
    story.ask(f"DROP TABLE {table}")
    story.runs("run", "--full-refresh", "--accept-deletions", counts="1 0 0 1 0 0 4")
    story.counts_are_exact()


@pytest.mark.parametrize(
    "bookmark",
    ['{"format": 1}', '{"paging": "auto", "mark": 9, "pass": {"params": {"page": 2}}}', '{"seen": ["a b"]}', "{}"],
    ids=["no fields", "of an API", "of a feed", "empty"],
)
def test_a_bookmark_that_says_nothing_of_the_file_reads_it_from_its_start(story: Story, bookmark: str) -> None:
    story.call("run")
    story.put(lines(*range(1, 8)))
    story.ask(f"UPDATE etl_checkpoint SET bookmark = '{bookmark}'")
    story.runs(counts="7 2 0 5 0 0")
    story.counts_are_exact()


SPOILED = {
    "list": "'[]'",
    "number": "'5'",
    "format": '\'{"format": "x"}\'',
    "no spot": "(bookmark::jsonb - 'spot')::json",
    "no columns": "(bookmark::jsonb #- '{recognised,columns}')::json",
    "offset": "jsonb_set(bookmark::jsonb, '{spot,offset}', '\"x\"')::json",
}


@pytest.mark.parametrize(
    "bookmark",
    [*SPOILED.values(), "'null'"],
    ids=[*SPOILED, "null"],
)
def test_a_bookmark_that_cannot_be_understood_is_refused_by_name(story: Story, bookmark: str) -> None:
    story.call("run")
    story.put(lines(*range(1, 8), word="m"))
    story.ask(f"UPDATE etl_checkpoint SET bookmark = {bookmark}")
    story.refused("checkpoint", "kasparro checkpoint reset")
    assert story.ask("SELECT error_code FROM etl_run ORDER BY id DESC LIMIT 1") == [("bookmark_lost",)]
    story.call("checkpoint", "reset", "s")
    story.runs(counts="7 2 5 0 0 0")
    story.counts_are_exact()


@pytest.mark.parametrize("bookmark", ["[]", '{"paging": "offset", "pass": 3}'])
def test_a_bookmark_that_is_none_of_an_api_is_refused(
    story: Story, server: Callable[[Answer], str], bookmark: str
) -> None:
    api(story, server, reply(200, b'[{"id": 1, "name": "a"}]'))
    story.call("run")
    story.ask(f"UPDATE etl_checkpoint SET bookmark = '{bookmark}'")
    story.refused("checkpoint", "reset")
    story.call("checkpoint", "reset", "s")
    story.runs(counts="1 0 0 1 0 0")


def api(story: Story, server: Callable[[Answer], str], answer: Answer, *more: str) -> str:
    kind = f"type: api\n    url: '{server(answer)}'"
    story.declare(*more, kind=kind)
    return kind


def test_another_path_to_the_records_brings_other_records(story: Story, server: Callable[[Answer], str]) -> None:
    both = json.dumps({"a": [{"id": 1, "name": "a"}], "b": [{"id": 2, "name": "b"}]}).encode()
    kind = api(story, server, reply(200, both, ETag='"1"'), "records: a")
    story.runs(counts="1 1 0 0 0 0")
    story.declare("records: b", kind=kind)
    story.runs(counts="1 1 0 0 0 0")
    story.runs("replay", "s", counts="2 0 0 2 0 0")
    assert story.ask("SELECT id, name FROM data.d ORDER BY 1") == [(1, "a"), (2, "b")]
    assert story.ask("SELECT payload ->> 'name' FROM raw_data_api ORDER BY raw_page_id") == [("a",), ("b",)]
    story.counts_are_exact()


def record(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"n{number}", "amount": number, "day": f"2024-01-0{number + 1}"}


def pages(handler: BaseHTTPRequestHandler, asked: list[str], fail_at: list[int]) -> None:
    """Seven records, two by two; by page number, or by offset. Fails from a record on."""
    asked.append(handler.path)
    query = {name: int(found[0]) for name, found in parse_qs(urlsplit(handler.path).query).items() if name != "since"}
    start = query["offset"] if "offset" in query else (query.get("page", 1) - 1) * 2
    if fail_at and start >= fail_at[0]:
        reply(400, b"no")(handler)
        return
    found = [
        {"id": n, "name": f"n{n}", "amount": n, "day": f"2024-01-0{n + 1}"} for n in range(start, min(start + 2, 7))
    ]
    reply(200, json.dumps({"items": found}).encode())(handler)


def test_another_pagination_begins_the_pass_anew_and_doubles_nothing(
    story: Story, server: Callable[[Answer], str]
) -> None:
    asked: list[str] = []
    fail_at = [4]
    kind = api(story, server, lambda it: pages(it, asked, fail_at), "records: items", "pagination: {type: page_number}")
    story.call("run", code=1)
    assert story.ask("SELECT count(*) FROM data.d") == [(4,)]
    fail_at.clear()
    asked.clear()
    story.declare("records: items", "pagination: {type: offset, size: 2}", kind=kind)
    story.runs(counts="7 3 0 4 0 0")
    assert "offset=0" in asked[0]
    story.declare("records: items", "pagination: {type: page_number}", kind=kind)
    story.runs(counts="7 0 0 7 0 0")
    story.counts_are_exact()


def test_another_cursor_field_forgets_the_mark_of_the_first(story: Story, server: Callable[[Answer], str]) -> None:
    asked: list[str] = []
    common = ("records: items", "cursor_param: since", "pagination: {type: single_page}")
    kind = api(story, server, lambda it: pages(it, asked, []), "cursor_field: id", *common)
    story.call("run")
    story.call("run")
    story.declare("cursor_field: day", *common, kind=kind)
    story.call("run")
    story.call("run")
    assert [parse_qs(urlsplit(path).query).get("since") for path in asked] == [None, ["1"], None, ["2024-01-02"]]
    story.counts_are_exact()


def test_another_kind_of_source_under_the_same_name_goes_on_by_key(
    story: Story, server: Callable[[Answer], str]
) -> None:
    story.call("run")
    kind = api(story, server, reply(200, b'[{"id": 5, "name": "api", "amount": 5}, {"id": 6, "name": "api"}]'))
    said = story.runs(counts="2 1 1 0 0 0")
    assert "kasparro replay s" in said.err
    rows = story.ask("SELECT id, name FROM data.d ORDER BY id")
    assert rows == [(1, "n1"), (2, "n2"), (3, "n3"), (4, "n4"), (5, "api"), (6, "api")]
    story.runs("replay", "s", counts="7 0 0 6 1 0")
    assert story.ask("SELECT id, name FROM data.d ORDER BY id") == rows
    story.refused("max_deletions", "--accept-deletions", arguments=("run", "s", "--full-refresh"))
    story.declare("max_deletions: 100%", kind=kind)
    story.runs("run", "s", "--full-refresh", counts="2 0 0 2 0 0 4")
    story.counts_are_exact()


def test_a_file_with_other_columns(story: Story) -> None:
    story.declare("mapping: {amount: amount}")
    story.call("run")
    story.put("amount,id,name\n" + "".join(f"{n}.50,{n},n{n}\n" for n in range(1, 6)))
    story.runs(counts="5 0 0 5 0 0")  # in another order
    story.put("id,name,price\n1,x,9\n")
    story.refused("s.csv has no column 'amount'", "It has: id, name, price")
    story.declare()
    story.put("number,label\n1,x\n")
    story.refused("s.csv has no column 'id'", "It has: number, label")
    story.put("id,name,price\n1,x,9\n")
    story.declare("mapping: {amount: price}")
    assert "kasparro replay s" in story.runs(counts="1 0 1 0 0 0").err
    assert story.ask("SELECT name, amount::text FROM data.d WHERE id < 3 ORDER BY id") == [("x", "9"), ("n2", "2.50")]
    story.counts_are_exact()


def test_a_column_that_no_mapping_names_and_that_is_gone_is_said(story: Story) -> None:
    story.put(lines(*range(1, 31)))
    story.call("run")
    story.put("id,name\n" + "".join(f"{n},n{n}\n" for n in range(1, 31)))
    assert "s: warning: amount was in 100% of the records so far" in story.call("run").err


def test_another_delimiter_or_other_names_read_the_same_file_again(story: Story) -> None:
    story.put("id;name;amount\n1;a,b;1\n2;c,d;2\n")
    story.call("run")
    story.declare('delimiter: ","')
    story.refused("the header in line 1 of s.csv has 1 cell", "`delimiter`")
    story.declare('delimiter: ";"')
    story.runs(counts="2 0 0 2 0 0")
    story.put("id,name,amount\n1,2,3\n4,5,6\n")
    story.declare("skip_lines: 1", "header: false", "columns: [id, amount, name]")
    story.runs(counts="2 1 1 0 0 0")
    story.declare("skip_lines: 1", "header: false", "columns: [id, name, amount]")
    story.runs(counts="2 0 2 0 0 0")
    rows = [(1, "2", "3"), (2, "c,d", "2"), (4, "5", "6")]
    assert story.ask("SELECT id, name, amount::text FROM data.d ORDER BY id") == rows
    story.call("replay", "s")  # the same lines are kept with the names of then and of now
    assert story.ask("SELECT id, name, amount::text FROM data.d ORDER BY id") == rows
    story.counts_are_exact()


def test_another_path_reads_the_other_file_and_keeps_the_rows_of_the_first(story: Story) -> None:
    story.call("run")
    (story.folder / "s.csv").rename(story.folder / "t.csv")
    with (story.folder / "t.csv").open("a") as file:
        file.write("6,n6,6\n")
    story.refused("no file matches s*.csv", "check the pattern")
    story.declare(kind="type: csv\n    path: t.csv")
    story.runs(counts="6 1 0 5 0 0")
    story.runs("replay", "s", counts="11 0 0 6 5 0")
    story.counts_are_exact()


def test_other_null_values_are_followed_by_the_next_run_and_by_a_replay(story: Story) -> None:
    story.put("id,name,amount\n1,NA,1\n2,b,2\n")
    story.call("run")
    story.declare('null_values: ["", NA]')
    assert "kasparro replay s" in story.runs(counts="2 0 1 1 0 0").err  # the file is read again from its start
    assert story.ask("SELECT name FROM data.d ORDER BY id") == [(None,), ("b",)]
    story.runs("replay", "s", counts="2 0 0 2 0 0")
    assert "replay" not in story.call("run").err


def test_another_time_zone_and_a_tighter_constraint_are_followed_by_a_replay(story: Story) -> None:
    fields = "{id: integer, at: timestamp, amount: numeric}"
    story.declare(fields=fields)
    story.put("id,at,amount\n1,2024-01-01 10:00,1\n2,2024-07-01 10:00,2\n3,2024-07-01 10:00,3\n")
    story.call("run")
    tight = fields.replace("amount: numeric", "amount: {type: numeric, min: 2}")
    story.declare("timezone: Europe/Berlin", fields=tight)
    assert "kasparro replay s" in story.runs(counts="0 0 0 0 0 0").err
    assert story.ask("SELECT count(*) FROM data.d") == [(3,)]
    story.runs("replay", "s", counts="3 0 2 0 0 1 1", code=3)
    found = "SELECT id, to_char(at, 'HH24:MI') FROM data.d ORDER BY id"
    story.ask("ALTER DATABASE " + story.ask("SELECT current_database()")[0][0] + " SET timezone = 'UTC'")
    assert story.ask(found) == [(2, "08:00"), (3, "08:00")]
    assert story.ask("SELECT place, code, status FROM rejected_record") == [("s.csv:2", "too_small", "open")]
    story.declare("timezone: Europe/Berlin", fields=fields)
    story.runs("replay", "s", counts="3 1 0 2 0 0")  # loosened again: what was rejected is there
    assert story.ask(found) == [(1, "09:00"), (2, "08:00"), (3, "08:00")]
    story.counts_are_exact()


def test_from_merge_to_append_to_merge_and_to_replace(story: Story) -> None:
    story.call("run")
    story.declare("write_disposition: append")
    with (story.folder / "s.csv").open("a") as file:
        file.write("5,again,5\n6,n6,6\n")
    story.runs(counts="2 2 0 0 0 0")
    assert story.ask("SELECT count(*), count(DISTINCT id) FROM data.d") == [(7, 6)]
    story.declare()
    story.refused("7 rows", "each record was appended", "kasparro replay s", code=2)
    story.runs("replay", "s", counts="7 1 1 4 1 0 2")
    assert story.ask("SELECT record_key, name FROM data.d WHERE id > 4 ORDER BY id") == [("5", "again"), ("6", "n6")]
    story.runs(counts="0 0 0 0 0 0")
    story.declare("write_disposition: append")
    story.put(lines(7), "s7.csv")
    story.call("run")
    story.declare("write_disposition: replace")
    story.runs(counts="8 1 0 6 1 0 1")  # what was appended is known by its key now
    assert [key for (key,) in story.ask("SELECT record_key FROM data.d ORDER BY 1")] == list("1234567")
    story.counts_are_exact()


def test_replace_holds_also_when_nothing_is_new_at_the_source(story: Story) -> None:
    story.call("run")
    story.put(lines(1, 2, 3))
    story.call("run")
    assert story.ask("SELECT count(*) FROM data.d") == [(5,)]  # merge leaves what is gone
    story.declare("write_disposition: replace")
    story.runs(counts="3 0 0 3 0 0 2")
    story.runs(counts="0 0 0 0 0 0")
    story.declare("write_disposition: replace", "mapping: {name: {const: k}}")
    story.runs(counts="3 0 3 0 0 0")
    assert story.ask("SELECT DISTINCT name FROM data.d") == [("k",)]
    story.runs(counts="0 0 0 0 0 0")
    story.counts_are_exact()
