"""Rows again: full refresh, replace, replay, rewind, backfill, and raw pages that are no longer kept."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro

Ask = Callable[[str], list[tuple[Any, ...]]]

HEAD = "sources:\n  s:\n    type: csv\n    path: s*.csv\n    primary_key: id\n    dataset: d\n"
FIELDS = "datasets:\n  d: {fields: {id: integer, name: text, amount: numeric}}\n"


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]

    return query


@pytest.fixture
def declare(kasparro: Kasparro, tmp_path: Path) -> Callable[..., None]:
    """Write the configuration: the source `s` with more lines, and the file `s.csv`."""
    assert kasparro is not None

    def write(*lines: str, fields: str = FIELDS) -> None:
        text = HEAD + "".join(f"    {line}\n" for line in lines) + fields
        (tmp_path / "kasparro.yaml").write_text(text)

    write()
    put(tmp_path, *range(1, 11))
    return write


def put(folder: Path, *ids: int, name: str = "s.csv", word: str = "n") -> None:
    (folder / name).write_text("id,name,amount\n" + "".join(f"{n},{word}{n},{n}.50\n" for n in ids))


ROWS = "SELECT record_key, name FROM data.d ORDER BY id"


def totals_are_exact(ask: Ask) -> None:
    assert ask("SELECT sum(rows)::bigint FROM dataset_total") == ask("SELECT count(*) FROM data.d")
    assert ask("SELECT id FROM etl_run WHERE extracted <> inserted + updated + unchanged + duplicates + rejected") == []


def test_a_full_refresh_removes_what_is_gone_and_keeps_it_aside(
    kasparro: Kasparro, declare: Any, ask: Ask, tmp_path: Path
) -> None:
    kasparro("run")
    put(tmp_path, *range(3, 12), word="m")
    (tmp_path / "s.csv").write_text((tmp_path / "s.csv").read_text().replace("m3", "n3"))
    said = kasparro("run", "--full-refresh")
    assert re.search(r"s +success +9 +1 +7 +1 +0 +0 +2", said.out), said
    assert ask("SELECT record_key, row ->> 'name', row ->> 'amount' FROM deleted_record ORDER BY id") == [
        ("1", "n1", "1.50"),
        ("2", "n2", "2.50"),
    ]
    assert [key for key, _ in ask(ROWS)] == [str(n) for n in range(3, 12)]
    assert ask("SELECT to_regclass('refresh.x') IS NULL, (SELECT count(*) FROM etl_refresh)") == [(True, 0)]
    assert ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'refresh'") == [(0,)]
    totals_are_exact(ask)
    assert re.search(r"s +success +0 +0 +0 +0", kasparro("run").out)  # the usual checkpoint has moved along
    assert json.loads(kasparro("runs", "show", "2", "--json").out)["trigger"] == "full_refresh"
    declare("deletions: hard")
    put(tmp_path, *range(4, 12), word="m")
    assert re.search(r"s +success +8 +0 +0 +8 +0 +0 +1", kasparro("run", "--full-refresh").out)
    assert ask("SELECT count(*) FROM deleted_record") == [(2,)]
    declare("deletions: ignore")
    put(tmp_path, 11, word="m")
    assert "deleted" not in kasparro("run", "--full-refresh").out
    assert ask("SELECT count(*) FROM data.d") == [(8,)]
    totals_are_exact(ask)


def test_most_of_a_table_is_not_deleted_unless_it_is_accepted(
    kasparro: Kasparro, declare: Any, ask: Ask, tmp_path: Path
) -> None:
    declare("write_disposition: replace")
    kasparro("run")
    before = ask(ROWS)
    put(tmp_path)
    said = kasparro("run")
    assert said.code == 1
    assert "s has 10 rows; after this refresh it would have 0, and max_deletions allows to lose 50 %." in said.err
    assert "kasparro run s --full-refresh --accept-deletions" in said.err
    assert ask(ROWS) == before
    totals_are_exact(ask)
    put(tmp_path, 1, 2, 3)  # the source came back with less than half: read anew, and refused again
    assert "it would have 3" in kasparro("run").err
    said = kasparro("run", "s", "--full-refresh", "--accept-deletions")
    assert (said.code, len(ask(ROWS))) == (0, 3)
    declare("write_disposition: replace", "max_deletions: 1")
    put(tmp_path, 1, 2)
    assert kasparro("run").code == 0
    assert len(ask(ROWS)) == 2
    assert kasparro("run", "--accept-deletions").code == 2
    totals_are_exact(ask)


def test_replace_reads_nothing_when_nothing_has_changed(
    kasparro: Kasparro, declare: Any, ask: Ask, tmp_path: Path
) -> None:
    declare("write_disposition: replace")
    put(tmp_path, 20, name="s2.csv")
    kasparro("run")
    assert re.search(r"s +success +0 +0 +0 +0 +0 +0", kasparro("run").out)
    assert ask("SELECT pages, bytes FROM etl_run ORDER BY id DESC LIMIT 1") == [(0, 0)]
    (tmp_path / "s2.csv").unlink()
    assert re.search(r"s +success +10 +0 +0 +10 +0 +0 +1", kasparro("run").out)
    assert len(ask(ROWS)) == 10


def test_replay_makes_the_rows_again_by_the_mapping_of_now(
    kasparro: Kasparro, declare: Any, ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text('id,name,amount\n1,a,1\n2,"b\nb",x\n3,c,3\n4,d,4,5\n')
    kasparro("run")
    assert set(ask("SELECT place, code, status FROM rejected_record")) == {
        ("s.csv:6", "width", "open"),
        ("s.csv:3", "not_numeric", "open"),
    }
    declare("mapping: {name: {sql: 'upper({name})'}}", fields=FIELDS.replace("numeric", "text"))
    said = kasparro("run")
    assert said.code == 1  # another type of a column is refused, by name
    declare("mapping: {name: {sql: 'upper({name})'}, amount: {sql: \"replace({amount}, 'x', '0')\"}}")
    said = kasparro("run")
    assert "the mapping has changed since the 2 rows that are there were made" in said.err
    assert "kasparro replay s" in said.err
    assert "3 records of 1 raw pages of s would be shaped again" in kasparro("replay", "s", "--dry-run").out
    (tmp_path / "s.csv").unlink()  # the source is not asked
    said = kasparro("replay", "s")
    assert re.search(r"s +success +3 +1 +2 +0 +0 +0", said.out), said
    assert ask("SELECT record_key, name, amount::text FROM data.d ORDER BY id") == [
        ("1", "A", "1"),
        ("2", "B\nB", "0"),
        ("3", "C", "3"),
    ]
    found = ask("SELECT code, status, resolved_by LIKE '%@%', resolved_run_id FROM rejected_record ORDER BY code")
    assert found[0][:3] == ("not_numeric", "replayed", True)
    assert found[1] == ("width", "open", None, None)
    totals_are_exact(ask)
    put(tmp_path, 1)
    assert "mapping has changed" not in kasparro("run").err


def test_replay_after_another_key_and_of_rows_whose_pages_are_gone(
    kasparro: Kasparro, declare: Any, ask: Ask, tmp_path: Path
) -> None:
    kasparro("run")
    text = (tmp_path / "kasparro.yaml").read_text().replace("primary_key: id", "primary_key: name")
    (tmp_path / "kasparro.yaml").write_text(text)
    said = kasparro("run")
    assert (said.code, "kasparro replay s" in said.err) == (2, True)
    assert kasparro("replay", "s").code == 0
    assert ask(ROWS)[0] == ("n1", "n1")
    assert kasparro("run").code == 0
    declare("primary_key: id", "raw_retention: 1d")
    declare("raw_retention: 1d")
    ask("UPDATE raw_page SET last_at = last_at - interval '2 days' RETURNING 1")
    assert "10 records would be deleted" in kasparro("prune", "--dry-run").out
    assert "1 raw pages with 10 records were deleted" in kasparro("prune").out
    assert ask("SELECT count(*) FROM raw_page") == [(0,)]
    said = kasparro("replay", "s")
    assert said.code == 1
    assert "the raw pages of 10 of its rows are no longer kept" in said.err
    assert len(ask(ROWS)) == 10


@pytest.mark.usefixtures("declare")
def test_of_pages_that_came_again_the_last_counts_also_in_a_replay(
    kasparro: Kasparro, ask: Ask, tmp_path: Path
) -> None:
    for word in ("a", "b", "a"):
        put(tmp_path, 1, 2, word=word)
        kasparro("run")
    put(tmp_path, 2, 3, name="s0.csv", word="z")  # a slice before the other in name, later in time
    kasparro("run")
    rows = ask(ROWS)
    assert rows == [("1", "a1"), ("2", "z2"), ("3", "z3")]
    said = kasparro("replay", "s")
    assert re.search(r"s +success +6 +0 +0 +3 +3 +0", said.out), said
    assert ask(ROWS) == rows


@pytest.mark.usefixtures("declare")
def test_rewind_says_what_it_comes_to_and_the_next_run_goes_on_from_there(
    kasparro: Kasparro, ask: Ask, tmp_path: Path
) -> None:
    kasparro("run")
    with (tmp_path / "s.csv").open("a") as file:
        file.write("11,n11,1\n12,n12,1\n")
    kasparro("run")
    put(tmp_path, 50, name="s9.csv")
    kasparro("run")
    said = kasparro("checkpoint", "rewind", "s", "--to", "1", "--dry-run").out
    assert "About 3 records would be read again" in said
    assert re.search(r"s.csv +line 13 +line 11 +2\n", said), said
    assert re.search(r"s9.csv +line 2 +the start +1\n", said), said
    assert "Since run 1, 3 rows were added and 0 updated" in said
    assert "the start" in said
    assert re.search(r"s +success +0 ", kasparro("run").out)
    assert "Set s back." in kasparro("checkpoint", "rewind", "s", "--to", "1").out
    assert re.search(r"s +success +3 +0 +0 +3", kasparro("run").out)
    assert "nothing to set back" in kasparro("checkpoint", "rewind", "s", "--to", "5").err
    moment = ask("SELECT to_char(finished_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US') FROM etl_run WHERE id = 2")[0][0]
    assert "About 1 records" in kasparro("checkpoint", "rewind", "s", "--to", moment, "--slice", "s9.csv").out
    assert re.search(r"s +success +1 +0 +0 +1", kasparro("run").out)
    assert "There is no run 99 of s" in kasparro("checkpoint", "rewind", "s", "--to", "99").err
    assert kasparro("checkpoint", "rewind", "s", "--to", "soon").code == 2
    totals_are_exact(ask)


def test_append_is_replayed_record_by_record_and_never_refreshed(
    kasparro: Kasparro, declare: Any, ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text("id,name,amount\n1,a,1\n1,a,1\n2,b,x\n")
    declare("write_disposition: append")
    kasparro("run")
    kasparro("checkpoint", "reset", "s")
    kasparro("run")
    assert ask("SELECT count(*), count(DISTINCT raw_page_id) FROM data.d") == [(4, 1)]
    assert "would add all its records once more" in kasparro("run", "--full-refresh").err
    declare("write_disposition: append", "mapping: {amount: {sql: \"replace({amount}, 'x', '7')\"}, name: {const: k}}")
    said = kasparro("replay", "s")
    assert re.search(r"s +success +3 +1 +2 +0 +0 +0", said.out), said
    assert ask("SELECT name, amount::text, count(*) FROM data.d GROUP BY 1, 2 ORDER BY 2") == [
        ("k", "1", 4),
        ("k", "7", 1),
    ]
    totals_are_exact(ask)


def test_raw_pages_with_open_rejects_are_kept(kasparro: Kasparro, declare: Any, ask: Ask, tmp_path: Path) -> None:
    assert kasparro("prune").code == 2
    declare("raw_retention: 12h")
    kasparro("run")
    ask("UPDATE raw_page SET last_at = last_at - interval '1 day' RETURNING 1")
    (tmp_path / "s1.csv").write_text("id,name,amount\n30,a,x\n")
    kasparro("run")  # a run lets go of what is old
    assert ask("SELECT slice FROM raw_page") == [("s1.csv",)]
    ask("UPDATE raw_page SET last_at = last_at - interval '1 day' RETURNING 1")
    kasparro("prune", "s")
    assert ask("SELECT slice FROM raw_page") == [("s1.csv",)]
    assert kasparro("rejects", "discard", "s").code == 0
    kasparro("prune")
    assert ask("SELECT count(*) FROM raw_page") == [(0,)]
    assert len(ask(ROWS)) == 10
