"""Rejects are listed, shown, tried again and discarded; who did it, when, and in which run is kept."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro

Ask = Callable[[str], list[tuple[Any, ...]]]

CONFIG = """\
sources:
  s: {type: csv, path: 's*.csv', primary_key: id, dataset: d, null_values: ['', NA]%s}
datasets:
  d: {fields: {id: integer, name: {type: text, max_length: %d}, amount: numeric}}
"""


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]

    return query


def declare(folder: Path, more: str = "", length: int = 3) -> None:
    (folder / "kasparro.yaml").write_text(CONFIG % (more, length))


@pytest.fixture
def loaded(kasparro: Kasparro, tmp_path: Path) -> Kasparro:
    """Four rejects: of broken structure, a long name, and amounts that are none; and two rows."""
    declare(tmp_path)
    (tmp_path / "s1.csv").write_text('id,name,amount\n1,a,1\n2,"long\nname",2\n3,c,1x\n4,d\n')
    (tmp_path / "s2.csv").write_text("id,name,amount\n5,e,NA\r\n6,f,2x\r\n")
    assert kasparro("run").code == 3
    return kasparro


def listed(kasparro: Kasparro, *options: str) -> set[str]:
    return {json.loads(line)["place"] for line in kasparro("rejects", "list", "--json", *options).out.splitlines()}


def test_they_are_found_by_filter_and_shown_one_by_one(loaded: Kasparro) -> None:
    assert listed(loaded) == {"s1.csv:3", "s1.csv:5", "s1.csv:6", "s2.csv:3"}
    assert listed(loaded, "--place", "s2") == {"s2.csv:3"}
    assert listed(loaded, "--code", "width") == {"s1.csv:6"}
    assert listed(loaded, "--path", "name") == {"s1.csv:3"}
    assert listed(loaded, "s", "--run", "1", "--since", "2020-01-01") == listed(loaded)
    assert listed(loaded, "--since", "2099-01-01T00:00:00") == set()
    assert listed(loaded, "--status", "discarded") == set()
    assert loaded("rejects", "list", "--status", "odd").code == 2
    shown = json.loads(loaded("rejects", "show", "1", "--json").out)
    assert (shown["status"], shown["resolved_by"]) == ("open", None)
    assert loaded("rejects", "show", "99").err == (
        "error: There is no reject 99. List them with: kasparro rejects list\n"
    )


def test_what_fits_now_becomes_rows_and_the_rest_goes_back_with_a_new_reason(
    loaded: Kasparro, ask: Ask, tmp_path: Path
) -> None:
    declare(tmp_path, ", mapping: {amount: {sql: \"replace({amount}, '1x', '11')\"}}", length=5)
    (tmp_path / "s1.csv").unlink()  # nothing is read from the source
    said = loaded("rejects", "replay", "s", "--dry-run")
    assert "To replay:" in said.out
    assert len(ask("SELECT id FROM rejected_record WHERE status = 'open'")) == 4
    said = loaded("rejects", "replay", "s")
    assert said.code == 3
    assert re.search(r"s +success +3 +1 +0 +0 +0 +2", said.out), said
    assert ask("SELECT record_key, name, amount::text, raw_index FROM data.d ORDER BY id") == [
        ("1", "a", "1", 0),
        ("3", "c", "11", 2),
        ("5", "e", None, 0),
    ]
    left = ask(
        "SELECT code, status, times, reason, last_run_id FROM rejected_record WHERE status = 'open' ORDER BY code"
    )
    assert [one[:3] for one in left] == [("not_numeric", "open", 2), ("too_long", "open", 2), ("width", "open", 1)]
    assert "5" in left[1][3]  # the reason is that of now
    done = ask(
        "SELECT resolved_by, resolved_run_id, resolved_at IS NOT NULL FROM rejected_record WHERE status = 'replayed'"
    )
    assert [(by.count("@"), run, when) for by, run, when in done] == [(1, 2, True)]
    assert ask("SELECT count(*) FROM etl_checkpoint WHERE lane <> ''") == [(0,)]
    assert ask("SELECT sum(rows)::bigint FROM dataset_total") == [(3,)]
    declare(tmp_path, length=20)
    assert re.search(r"s +success +1 +1 +0 +0 +0 +0", loaded("rejects", "replay", "s", "--path", "name").out)
    assert ask("SELECT name FROM data.d WHERE id = 2") == [("long\nname",)]
    assert re.search(r"s +success +0 +0 +0 +0", loaded("rejects", "replay", "s", "--code", "width").out)


def test_a_reject_does_not_overwrite_what_came_later(kasparro: Kasparro, ask: Ask, tmp_path: Path) -> None:
    declare(tmp_path)
    (tmp_path / "s.csv").write_text("id,name,amount\n1,old,1x\n2,b,2x\n")
    kasparro("run")
    (tmp_path / "s.csv").write_text("id,name,amount\n1,new,5\n")
    kasparro("run")
    declare(tmp_path, ", mapping: {amount: {sql: \"replace({amount}, 'x', '')\"}}")
    said = kasparro("rejects", "replay", "s")
    assert re.search(r"s +success +2 +1 +0 +0 +1 +0", said.out), said
    assert ask("SELECT record_key, name, amount::text FROM data.d ORDER BY id") == [("1", "new", "5"), ("2", "b", "2")]
    assert ask("SELECT DISTINCT status FROM rejected_record") == [("replayed",)]


def test_discarded_rejects_stay_discarded(loaded: Kasparro, ask: Ask) -> None:
    assert loaded("rejects", "discard").code == 2
    assert "Nothing was changed" in loaded("rejects", "discard", "s", "--dry-run").out
    assert loaded("rejects", "discard", "s", "--code", "not_numeric").out.endswith("Discarded 2.\n")
    assert loaded("rejects", "discard", "--id", "1", "--id", "2").code == 0
    loaded("checkpoint", "reset", "s")
    assert loaded("run").code == 3
    found = ask("SELECT status, count(*) FROM rejected_record WHERE code = 'not_numeric' GROUP BY 1")
    assert found == [("discarded", 2)]
    assert ask("SELECT count(*) FROM rejected_record") == [(4,)]
    assert "There is nothing to discard" in loaded("rejects", "discard", "s", "--code", "not_numeric").out


def test_a_full_refresh_closes_rejects_that_it_did_not_meet(loaded: Kasparro, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "s1.csv").write_text("id,name,amount\n1,a,1\n3,c,1x\n")
    loaded("run", "--full-refresh")
    assert set(ask("SELECT place, raw, status FROM rejected_record")) == {
        ("s1.csv:3", '2,"long\nname",2', "gone"),
        ("s1.csv:5", "3,c,1x", "gone"),
        ("s1.csv:6", "4,d", "gone"),
        ("s1.csv:3", "3,c,1x", "open"),
        ("s2.csv:3", "6,f,2x", "open"),
    }
