"""A source with a contract: what its accepted schema does not have fails the run, is rejected, or is left out."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro, reply

Ask = Callable[[str], list[tuple[Any, ...]]]
Row = dict[str, Any]

FIELDS = {"id": "integer", "name": "text", "price": "numeric", "extra": "text"}


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]

    return query


class Origin:
    """A source of records in one of three kinds, and its declaration."""

    def __init__(self, kind: str, folder: Path, server: Any) -> None:
        self._kind, self._folder = kind, folder
        self._body = b""
        self._url = server(self._answer)

    def _answer(self, handler: Any) -> None:
        kind = {"api": "application/json", "rss": "application/rss+xml"}[self._kind]
        reply(200, self._body, Content_Type=kind)(handler)

    def holds(self, rows: Sequence[Row]) -> None:
        match self._kind:
            case "csv":
                names = list(dict.fromkeys(name for row in rows for name in row))
                lines = [",".join(str(row.get(name, "")) for name in names) for row in rows]
                (self._folder / "s.csv").write_text("\n".join([",".join(names), *lines, ""]))
            case "api":
                self._body = json.dumps({"items": rows}).encode()
            case _:
                self._body = feed(rows)

    def declare(self, contract: object, **more: Any) -> None:
        where = {
            "csv": {"path": "s.csv"},
            "api": {"url": self._url, "records": "items", "pagination": {"type": "single_page"}},
            "rss": {"url": self._url},
        }
        source = {"type": self._kind, **where[self._kind], "schema_contract": contract, **more}
        if self._kind != "rss":
            source |= {"primary_key": "id", "dataset": "d"}
        config = {"sources": {"s": source}, "datasets": {"d": {"fields": FIELDS}}}
        (self._folder / "kasparro.yaml").write_text(json.dumps(config))


def feed(rows: Sequence[Row]) -> bytes:
    """Entries with a title; `extra` is an author, which the others do not have."""
    items = "".join(
        f"<item><guid>{row['id']}</guid><title>{row['name']}</title><link>http://h/{row['id']}</link>"
        + (f"<author>{row['extra']}</author>" if "extra" in row else "")
        + "</item>"
        for row in rows
    )
    return f'<rss version="2.0"><channel><title>f</title>{items}</channel></rss>'.encode()


@pytest.fixture
def origin_of(tmp_path: Path, server: Any) -> Callable[[str], Origin]:
    return lambda kind: Origin(kind, tmp_path, server)


def rows(first: int, last: int, **more: Any) -> list[Row]:
    return [{"id": n, "name": f"n{n}", "price": n + 0.5, **more} for n in range(first, last + 1)]


BASE = rows(1, 20)
FIELD = [*rows(1, 24), *rows(25, 25, extra="x")]
TYPE = [*rows(1, 24), {"id": 25, "name": "n25", "price": "much"}]

COUNTS = "SELECT status, extracted, inserted, rejected FROM etl_run ORDER BY id DESC LIMIT 1"
FINDINGS = "SELECT kind, severity, subject FROM finding WHERE run_id = (SELECT max(id) FROM etl_run) ORDER BY kind"
ODD = "SELECT price::text, extra FROM data.d WHERE record_key = '25'"


@pytest.mark.parametrize("kind", ["csv", "api"])
@pytest.mark.parametrize(("rule", "odd", "path"), [("fields", FIELD, "extra"), ("types", TYPE, "price")])
def test_each_word_for_fields_and_types(  # noqa: PLR0917 - what the cases are made of
    kasparro: Kasparro,
    ask: Ask,
    origin_of: Callable[[str], Origin],
    kind: str,
    rule: str,
    odd: list[Row],
    path: str,
) -> None:
    origin = origin_of(kind)
    rest = {"types": "evolve", "fields": "evolve"}
    origin.declare({**rest, rule: "freeze"})
    origin.holds(BASE)
    assert kasparro("run").code == 0
    origin.holds(odd)
    said = kasparro("run")
    assert said.code == 1
    place = r"s\.csv:(2|26)" if kind == "csv" else r"items#24"
    assert re.search(rf"{place}.* {path} .*accepted schema of s \(version 1\).*drift accept s --run 2", said.err), said
    assert ask("SELECT status, error_code, inserted FROM etl_run WHERE id = 2") == [("failed", "schema_broken", 0)]
    assert ("contract_broken", "critical", path) in ask(FINDINGS)
    assert ask("SELECT count(*) FROM data.d") == [(20,)]
    assert ask("SELECT count(*) FROM raw_page") == [(1,)]

    origin.declare({**rest, rule: "discard_value"})
    assert kasparro("run").code == 0
    assert ask(ODD) == [(None if rule == "types" else "25.5", None)]
    assert ("x" if rule == "fields" else "much") in ask("SELECT content FROM raw_page ORDER BY id DESC LIMIT 1")[0][0]
    found = ask("SELECT subject, message, facts ->> 'records' FROM finding WHERE kind = 'value_discarded'")
    count = 25 if kind == "csv" and rule == "fields" else 1
    assert [(one[0], int(one[2])) for one in found] == [(path, count)]
    assert ask("SELECT max(version) FROM source_schema") == [(1,)]

    origin.declare({**rest, rule: "discard_row"})
    kasparro("checkpoint", "reset", "s", "--rows")
    assert kasparro("run").code == 3
    lost = 25 if kind == "csv" and rule == "fields" else 1
    assert ask(COUNTS) == [("success", 25, 25 - lost, lost)]
    (reject,) = ask("SELECT path, code, reason FROM rejected_record WHERE raw_index = 24 AND status = 'open'")
    assert reject[:2] == (path, "field_not_accepted" if rule == "fields" else "type_not_accepted")
    assert ("row_discarded", "warning", path) in ask(FINDINGS)

    said = kasparro("drift", "accept", "s", "--run", str(ask("SELECT max(id) FROM etl_run")[0][0]))
    assert "The schema of s is version 2 now" in said.out
    assert kasparro("rejects", "replay", "s").code in {0, 3}
    left = ask("SELECT code FROM rejected_record WHERE status = 'open'")
    if rule == "fields":
        assert (ask("SELECT count(*) FROM data.d"), left) == ([(25,)], [])
        assert ask(ODD) == [("25.5", "x")]
    else:  # now it is the dataset that does not take it
        assert left == [("not_numeric",)]

    origin.declare("evolve")
    kasparro("checkpoint", "reset", "s", "--rows")
    assert kasparro("run").code == (0 if rule == "fields" else 3)
    assert ask("SELECT count(*) FROM data.d") == [(25 if rule == "fields" else 24,)]


@pytest.mark.parametrize("word", ["freeze", "discard_row", "discard_value"])
def test_a_feed_is_held_to_its_contract(
    kasparro: Kasparro, ask: Ask, origin_of: Callable[[str], Origin], word: str
) -> None:
    origin = origin_of("rss")
    origin.declare(word)
    origin.holds(BASE)
    kasparro("run")
    origin.holds(FIELD)
    said = kasparro("run")
    title = (
        "SELECT title, attributes ->> 'author', attributes ->> 'authors' FROM normalized_data WHERE record_key = '25'"
    )
    match word:
        case "freeze":
            assert (said.code, ask("SELECT count(*) FROM normalized_data")) == (1, [(20,)])
            said = kasparro("drift", "accept", "s", "--run", "2")
            assert said.code == 0
            assert kasparro("run").code == 0
        case "discard_row":
            assert (said.code, ask("SELECT count(*) FROM normalized_data")) == (3, [(24,)])
            kasparro("drift", "accept", "s", "--run", "2")
            assert kasparro("rejects", "replay", "s").code == 0
        case _:
            assert (said.code, ask(title)) == (0, [("n25", None, None)])
            kasparro("drift", "accept", "s", "--run", "2")
            assert kasparro("replay", "s").code == 0
    (found,) = ask(title)
    assert "x" in str(found)
    assert ask("SELECT count(*) FROM normalized_data") == [(25,)]


def test_a_page_that_comes_again_is_made_again_when_more_is_accepted(
    kasparro: Kasparro, ask: Ask, origin_of: Callable[[str], Origin]
) -> None:
    origin = origin_of("api")
    origin.declare("discard_value")
    origin.holds(BASE)
    kasparro("run")
    origin.holds(FIELD)
    kasparro("run")
    assert ask(ODD) == [("25.5", None)]
    kasparro("run")
    assert ask(COUNTS) == [("success", 25, 0, 0)]
    assert kasparro("drift", "accept", "s", "--field", "extra:text").code == 0
    kasparro("run")
    assert ask(ODD) == [("25.5", "x")]
    assert ask("SELECT updated, unchanged FROM etl_run ORDER BY id DESC LIMIT 1") == [(1, 24)]


def test_a_run_whose_records_are_all_rejected_can_be_accepted_also_when_there_were_too_many(
    kasparro: Kasparro, ask: Ask, origin_of: Callable[[str], Origin]
) -> None:
    origin = origin_of("csv")
    origin.declare("discard_row")
    origin.holds(BASE)
    kasparro("run")
    origin.declare("discard_row", max_rejects=5)
    origin.holds(rows(1, 30, extra="x"))
    assert kasparro("run").code == 1
    assert ask(FINDINGS) == [("row_discarded", "warning", "extra")]
    said = kasparro("drift", "accept", "s", "--run", "2")
    assert said.code == 0, said
    assert kasparro("rejects", "replay", "s").code == 0
    assert ask("SELECT count(*), count(extra) FROM data.d") == [(30, 30)]
    assert ask("SELECT version, accepted_by LIKE '%@%' FROM source_schema ORDER BY version") == [(1, False), (2, True)]


def test_what_the_contract_does_not_hold_goes_on_evolving(
    kasparro: Kasparro, ask: Ask, origin_of: Callable[[str], Origin]
) -> None:
    origin = origin_of("api")
    origin.declare({"types": "discard_value"})
    origin.holds(BASE)
    kasparro("run")
    origin.holds([{**row, "extra": "x", "price": "much"} for row in rows(1, 30)])
    kasparro("run")
    found = [("field_added", "info", "extra"), ("type_changed", "warning", "price")]
    assert ask(FINDINGS) == [*found, ("value_discarded", "warning", "price")]
    shown = json.loads(kasparro("drift", "show", "s", "--json").out)
    assert {one["field"]: one["types"] for one in shown["fields"]} == {
        "extra": "text",
        "id": "integer",
        "name": "text",
        "price": "number",
    }
    kasparro("run")  # the rows are there, and nothing new is: the schema stays
    assert ask("SELECT max(version) FROM source_schema") == [(2,)]
    origin.declare("freeze")
    assert "version 2" in kasparro("run").err
    origin.declare({"fields": "freeze"})
    origin.holds([{**row, "price": "much"} for row in rows(1, 30)])
    assert kasparro("run").code == 3  # the field is missed, which no contract minds, and not forgotten
    assert ("field_removed", "warning", "extra") in ask(FINDINGS)
    assert "extra" in kasparro("drift", "show", "s").out


def test_fields_are_accepted_and_taken_out_by_hand(
    kasparro: Kasparro, ask: Ask, origin_of: Callable[[str], Origin]
) -> None:
    origin = origin_of("api")
    origin.declare("freeze")
    assert kasparro("drift", "accept", "s", "--field", "x").code == 1
    origin.holds(BASE)
    kasparro("run")
    assert kasparro("drift", "accept", "s").code == 2
    assert 'did you mean "number"' in kasparro("drift", "accept", "s", "--field", "quotes.USD.price:nubmer").err
    assert "names no field" in kasparro("drift", "accept", "s", "--field", ":text").err
    assert "accepted already: number" in kasparro("drift", "accept", "s", "--field", "price:number").err
    assert "one of s, not of t" in kasparro("drift", "accept", "t", "--run", "1").err
    assert kasparro("drift", "accept", "s", "--run", "77").code == 1
    assert "has no field gone" in kasparro("drift", "accept", "s", "--without", "gone").err
    assert ask("SELECT max(version) FROM source_schema") == [(1,)]
    options = ("--field", "quotes.USD.price:number", "--field", "dc:creator:", "--field", "price:text|boolean")
    said = kasparro("drift", "accept", "s", *options, "--without", "name")
    assert "version 2 now" in said.out
    shown = json.loads(kasparro("drift", "show", "s", "--json").out)
    assert {one["field"]: (one["types"], one["by_hand"]) for one in shown["fields"]} == {
        "dc:creator": ("any", True),
        "id": ("integer", False),
        "price": ("boolean, number, text", True),
        "quotes": ("object", True),
        "quotes.USD": ("object", True),
        "quotes.USD.price": ("number", True),
    }
    origin.holds([{"id": 1, "quotes": {"USD": {"price": 1.5}}, "dc:creator": [1], "price": "much"}])
    assert kasparro("run").code == 3  # the dataset wants a number
    assert ask("SELECT code FROM rejected_record") == [("not_numeric",)]
    origin.holds([{"id": 1, "name": "n"}])
    assert "has the field name (text)" in kasparro("run").err
    assert kasparro("drift", "accept", "s", "--run", "3").code == 0  # and what was said by hand stays
    after = json.loads(kasparro("drift", "show", "s", "--json").out)
    assert {one["field"] for one in after["fields"]} == {*(one["field"] for one in shown["fields"]), "name"}


def test_a_full_refresh_and_a_replay_are_held_too(
    kasparro: Kasparro, ask: Ask, origin_of: Callable[[str], Origin]
) -> None:
    origin = origin_of("csv")
    origin.declare("evolve")
    origin.holds(FIELD)
    kasparro("run")
    assert ask("SELECT count(extra) FROM data.d") == [(1,)]
    kasparro("drift", "accept", "s", "--without", "extra")
    origin.declare("freeze")
    said = kasparro("run", "--full-refresh")
    assert (said.code, ask("SELECT count(extra) FROM data.d")) == (1, [(1,)])
    assert kasparro("replay", "s").code == 0  # what was taken once is not refused
    assert ask("SELECT count(extra) FROM data.d") == [(1,)]
    origin.declare("discard_value")
    assert kasparro("replay", "s").code == 0
    assert ask("SELECT count(*), count(extra) FROM data.d") == [(25, 0)]
    assert ask(FINDINGS) == [("value_discarded", "warning", "extra")]
    origin.declare("discard_row")
    assert "max_deletions" in kasparro("replay", "s").err
    assert kasparro("run", "--full-refresh", "--accept-deletions").code == 3
    assert ask("SELECT count(*) FROM data.d") == [(0,)]


def test_nothing_is_seen_of_a_run_that_freezes_late(
    kasparro: Kasparro, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETL_BATCH_SIZE", "50")
    config = {"type": "csv", "path": "s.csv", "primary_key": "id", "dataset": "d", "schema_contract": "freeze"}
    (tmp_path / "kasparro.yaml").write_text(
        json.dumps({"sources": {"s": config}, "datasets": {"d": {"fields": FIELDS}}})
    )
    file = tmp_path / "s.csv"
    file.write_text("id,name,price\n" + "".join(f"{n},n,{n}.5\n" for n in range(1, 21)))
    assert kasparro("run").code == 0
    file.write_text("id,name,price\n" + "".join(f"{n},m,{'much' if n == 990 else n}\n" for n in range(1, 1001)))
    said = kasparro("run")
    assert (said.code, "s.csv:991" in said.err) == (1, True)
    assert ask("SELECT count(*), count(*) FILTER (WHERE name = 'm') FROM data.d") == [(20, 0)]
    assert ask("SELECT pages > 10, inserted, updated FROM etl_run ORDER BY id DESC LIMIT 1") == [(True, 0, 0)]
    assert kasparro("drift", "accept", "s", "--run", "2").code == 0
    said = kasparro("run")
    assert "going on from the last checkpoint" in said.err
    assert said.code == 3  # what is accepted now is still no number
    assert ask("SELECT count(*), count(*) FILTER (WHERE name = 'm') FROM data.d") == [(999, 999)]
    assert ask("SELECT code, place FROM rejected_record") == [("not_numeric", "s.csv:991")]


def test_a_schema_with_too_many_fields_cannot_tell_what_is_new(
    kasparro: Kasparro, origin_of: Callable[[str], Origin]
) -> None:
    origin = origin_of("api")
    origin.declare({"fields": "freeze"})
    origin.holds([{"id": n, **{f"f{k:03d}": 1 for k in range(600)}} for n in range(6)])
    assert kasparro("run").code == 0
    said = kasparro("run")
    assert said.code == 2
    assert "has 500 fields" in said.err


def test_rejects_that_the_contract_freezes_stay_rejected(
    kasparro: Kasparro, ask: Ask, origin_of: Callable[[str], Origin]
) -> None:
    origin = origin_of("api")
    origin.declare("discard_row")
    origin.holds(BASE)
    kasparro("run")
    origin.holds(FIELD)
    kasparro("run")
    origin.declare("freeze")
    assert kasparro("rejects", "replay", "s").code == 3
    assert ask("SELECT code, status, times FROM rejected_record") == [("field_not_accepted", "open", 2)]
    assert ask(FINDINGS) == [("row_discarded", "warning", "extra")]
    origin.declare("discard_value")
    assert kasparro("rejects", "replay", "s").code == 0
    assert (ask(ODD), ask("SELECT status FROM rejected_record")) == ([("25.5", None)], [("replayed",)])
    assert ask(FINDINGS) == [("value_discarded", "warning", "extra")]


def test_a_new_field_that_was_left_out_is_not_forgotten_by_a_stopped_or_failed_slice(
    kasparro: Kasparro, ask: Ask, tmp_path: Path
) -> None:
    """Two files of one source: the second one breaks the contract, what the first one lost is told all the same."""
    config = {"type": "csv", "path": "*.csv", "primary_key": "id", "schema_contract": {"fields": "discard_value"}}
    config["schema_contract"] = {"fields": "discard_value", "types": "freeze"}
    (tmp_path / "kasparro.yaml").write_text(json.dumps({"sources": {"s": config}}))
    (tmp_path / "a.csv").write_text("id,price\n1,1\n2,2\n")
    assert kasparro("run").code == 0
    (tmp_path / "b.csv").write_text("id,price,extra\n3,3,x\n")
    (tmp_path / "c.csv").write_text("id,price\n4,much\n")
    assert kasparro("run").code == 1
    found = set(ask("SELECT kind, subject FROM finding WHERE run_id = 2"))
    assert ("contract_broken", "price") in found
    rows = ask("SELECT count(*) FROM normalized_data WHERE record_key = '3'")
    assert (("value_discarded", "extra") in found) == (rows == [(1,)])
    assert ask("SELECT count(*) FROM normalized_data WHERE record_key = '4'") == [(0,)]
