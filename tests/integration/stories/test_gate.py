"""A run that looks wrong: its rows wait beside the table, until somebody releases or drops them."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro, Said, reply

from kasparro.store.database import Database
from kasparro.store.watch import Watch

Ask = Callable[[str], list[tuple[Any, ...]]]
Declare = Callable[..., None]

FIELDS = {"fields": {"id": "integer", "name": "text", "amount": "numeric"}}
ROWS = "SELECT id, name, amount::text FROM data.d ORDER BY id, run_id"
HELD = "SELECT id, status, held, skipped, extracted, inserted, updated FROM etl_run ORDER BY id"
NOTHING_LEFT = """
SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'refresh'), (SELECT count(*) FROM etl_refresh),
       (SELECT count(*) FROM staged_page), (SELECT count(*) FROM etl_checkpoint WHERE lane <> '')
"""


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]

    return query


@pytest.fixture
def do(database_url: str) -> Callable[[str], None]:
    def execute(statement: str) -> None:
        with psycopg.connect(database_url) as connection:
            connection.execute(statement)  # type: ignore[call-overload,unused-ignore]

    return execute


@pytest.fixture
def declare(kasparro: Kasparro, tmp_path: Path) -> Declare:
    """Write the configuration of the source `s`, with a gate unless something else is said."""
    assert kasparro is not None

    def write(**more: Any) -> None:
        source = {"type": "csv", "path": "s.csv", "primary_key": "id", "dataset": "d", "hold_on": "suspicious", **more}
        source = {name: value for name, value in source.items() if value is not None}
        (tmp_path / "kasparro.yaml").write_text(json.dumps({"sources": {"s": source}, "datasets": {"d": FIELDS}}))

    write()
    put(tmp_path, range(20))
    return write


def put(folder: Path, keys: Any, *, word: str = "n", amount: bool = True) -> None:
    """Write the file; without amounts it looks wrong."""
    last = ",amount" if amount else ""
    rows = (f"{key},{word}{key}{f',{key}.5' if amount else ''}\n" for key in keys)
    (folder / "s.csv").write_text(f"id,name{last}\n" + "".join(rows))


@pytest.fixture
def held(kasparro: Kasparro, declare: Declare, tmp_path: Path) -> Said:
    """A source with 20 rows whose second run is held: four rows changed, five new."""
    assert declare is not None
    assert kasparro("run").code == 0
    put(tmp_path, range(20))
    text = (tmp_path / "s.csv").read_text().replace(",n3,", ",m3,").replace(",n4,", ",m4,")
    names = [*text.splitlines()[1:], *(f"{n},n{n},{n}.5" for n in range(20, 25))]
    (tmp_path / "s.csv").write_text("id,name\n" + "".join(f"{line.rpartition(',')[0]}\n" for line in names))
    return kasparro("run")


def totals_are_exact(ask: Ask) -> None:
    assert ask("SELECT sum(rows)::bigint FROM dataset_total") == ask("SELECT count(*) FROM data.d")
    sums = "sum(extracted)::bigint, sum(inserted)::bigint, sum(updated)::bigint, sum(unchanged)::bigint"
    assert ask(f"SELECT {sums} FROM etl_run") == ask(
        "SELECT extracted, inserted, updated, unchanged FROM etl_source WHERE source = 's'"
    )


def test_nothing_of_a_held_run_is_visible_and_what_to_do_is_said(held: Said, kasparro: Kasparro, ask: Ask) -> None:
    assert held.code == 3, held
    assert re.search(r"s +held ", held.out)
    assert "s: run 2 is suspicious, so its rows are held: 5 new, 20 changed (0 unchanged)." in held.out
    assert "  warning: amount was in 100% of the records so far" in held.out
    for command in ("held", "release", "drop"):
        assert f"kasparro runs {command} 2" in held.out
    assert "s: held after" in held.err
    assert ask("SELECT count(*), count(amount), max(name) FROM data.d") == [(20, 20, "n9")]
    assert ask(HELD)[1] == (2, "success", "held", False, 0, 0, 0)
    assert ask("SELECT count(*), max(version) FROM source_schema") == [(1, 1)]
    totals_are_exact(ask)
    shown = kasparro("runs", "held", "2", "--limit", "14")
    assert re.search(r"20 +new +id: 20, name: n20", shown.out), shown.out
    assert re.search(r"0 +changed +amount: 0\.5 → null", shown.out)
    assert "and 11 more; show them with --limit" in shown.out
    found = json.loads(kasparro("runs", "held", "2", "--json").out)
    assert (found["new"], found["changed"], found["removed"], found["run_id"]) == (5, 20, 0, 2)
    (three,) = [row for row in found["rows"] if row["record_key"] == "3"]
    assert three["old"] == {"id": 3, "name": "n3", "amount": 3.5}
    assert three["new"] == {"id": 3, "name": "m3", "amount": None}
    (listed,) = map(json.loads, kasparro("runs", "list", "--held", "held", "--json").out.splitlines())
    assert (listed["id"], listed["held"], listed["decided_at"]) == (2, "held", None)
    assert kasparro("runs", "list", "--held", "waiting").code == 2
    assert json.loads(kasparro("runs", "show", "2", "--json").out)["held"] == "held"


def test_a_released_run_is_as_if_it_had_never_waited(held: Said, kasparro: Kasparro, ask: Ask, tmp_path: Path) -> None:
    assert held.code == 3
    tried = kasparro("runs", "release", "2", "--dry-run")
    assert "would be released: 5 new, 20 changed (0 unchanged). Nothing was changed." in tried.out
    assert ask("SELECT count(*) FROM data.d") == [(20,)]
    said = kasparro("runs", "release", "2")
    assert said.out == "Released run 2 of s: 5 added, 20 updated, 0 unchanged. The next run goes on behind it.\n"
    assert ask(HELD)[1] == (2, "success", "released", False, 25, 5, 20)
    assert ask("SELECT decided_by LIKE '%@%', decided_at > finished_at, schema_version FROM etl_run WHERE id = 2") == [
        (True, True, 2)
    ]
    assert ask("SELECT version, run_id, accepted_by LIKE '%@%' FROM source_schema WHERE version = 2") == [(2, 2, True)]
    assert ask(NOTHING_LEFT) == [(0, 0, 0, 0)]
    totals_are_exact(ask)
    again = kasparro("runs", "release", "2")
    assert (again.code, "Run 2 of s was released already, by " in again.err) == (1, True)
    assert kasparro("runs", "drop", "2").code == 1
    assert kasparro("runs", "held", "2").code == 1
    assert re.search(r"s +success +0 ", kasparro("run").out)  # it goes on behind what was released
    before = ask(ROWS)
    assert kasparro("replay", "s").code == 0
    assert ask(ROWS) == before
    assert kasparro("checkpoint", "rewind", "s", "--to", "1", "--yes").code == 0
    with (tmp_path / "s.csv").open("a") as file:
        file.write("99,n99\n")
    assert re.search(r"s +success +26 +1 +0 +25", kasparro("run").out)  # what was released is history, and is compared


def test_a_dropped_run_leaves_no_trace_and_is_read_again(held: Said, kasparro: Kasparro, ask: Ask) -> None:
    assert held.code == 3
    before, schemas = ask(ROWS), ask("SELECT version, run_id FROM source_schema")
    tried = kasparro("runs", "drop", "2", "--dry-run")
    assert "would be dropped. The next run reads the same records again. Nothing was changed." in tried.out
    assert ask(HELD)[1][2] == "held"
    assert kasparro("runs", "drop", "2").out == (
        "Dropped the rows of run 2 of s. The next run reads the same records again.\n"
    )
    assert ask(NOTHING_LEFT) == [(0, 0, 0, 0)]
    assert ask(HELD)[1] == (2, "success", "dropped", False, 0, 0, 0)
    assert kasparro("replay", "s").code == 0  # the raw pages of the dropped run are kept, and say nothing
    assert (ask(ROWS), ask("SELECT count(*) FROM raw_page")) == (before, [(2,)])
    assert ask("SELECT version, run_id FROM source_schema") == schemas
    again = kasparro("run")
    assert (again.code, ask("SELECT array_agg(held ORDER BY id) FROM etl_run")) == (
        3,
        [([None, "dropped", None, "held"],)],
    )
    assert kasparro("runs", "release", "4").code == 0
    assert ask("SELECT count(*), count(amount) FROM data.d") == [(25, 0)]
    totals_are_exact(ask)
    found = ask("SELECT run_id, count(*) FROM finding GROUP BY 1 ORDER BY 1")
    assert found == [(2, 1), (4, 1)]
    assert kasparro("runs", "drop", "2").err.startswith("error: Run 2 of s was dropped already, by ")


def test_a_skipped_run_is_passed_over_and_a_replay_brings_it(held: Said, kasparro: Kasparro, ask: Ask) -> None:
    assert held.code == 3
    before = ask(ROWS)
    said = kasparro("runs", "drop", "2", "--skip")
    assert "The next run goes on behind its records; kasparro replay s would bring them." in said.out
    assert (ask(NOTHING_LEFT), ask(ROWS)) == ([(0, 0, 0, 0)], before)
    assert ask(HELD)[1][:4] == (2, "success", "dropped", True)
    assert re.search(r"s +success +0 ", kasparro("run").out)
    assert "and its records are passed over" in kasparro("runs", "release", "2").err
    assert kasparro("replay", "s").code == 0
    assert ask("SELECT count(*), count(amount) FROM data.d") == [(25, 0)]


def test_later_runs_are_compared_with_released_runs_and_not_with_dropped_ones(
    held: Said, kasparro: Kasparro, database_url: str
) -> None:
    def compared_with(run_id: int) -> int:
        async def body() -> int:
            async with Database(database_url, size=1) as database:
                return len((await Watch(database).seen(run_id)).history)

        return asyncio.run(body())

    assert held.code == 3
    assert compared_with(2) == 1
    assert kasparro("runs", "drop", "2").code == 0
    assert kasparro("run").code == 3
    assert compared_with(3) == 1
    assert kasparro("runs", "release", "3").code == 0
    assert kasparro("run").code == 0
    assert compared_with(4) == 2


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "run s --full-refresh",
        "replay s",
        "rejects replay s",
        "checkpoint reset s --yes",
        "checkpoint reset s --rows --yes",
        "checkpoint rewind s --to 0 --yes",
    ],
)
@pytest.mark.parametrize("gate", ["suspicious", None])
@pytest.mark.usefixtures("held")
def test_what_is_refused_while_a_run_is_held(
    declare: Declare, kasparro: Kasparro, ask: Ask, command: str, gate: str | None
) -> None:
    declare(hold_on=gate)
    everything = ROWS, HELD, "SELECT source, lane, slice, bookmark::text FROM etl_checkpoint ORDER BY lane"
    before = [ask(one) for one in everything]
    said = kasparro(*command.split())
    assert said.code == 1
    assert "The rows of run 2 of s are held, and wait for a decision; nothing was done." in said.err
    assert "kasparro runs release 2. Throw them away: kasparro runs drop 2" in said.err
    assert [ask(one) for one in everything] == before
    assert kasparro("runs", "release", "2").code == 0


def test_what_is_allowed_while_a_run_is_held(held: Said, declare: Declare, kasparro: Kasparro, ask: Ask) -> None:
    assert held.code == 3
    declare(raw_retention="1d")
    ask("UPDATE raw_page SET last_at = last_at - interval '2 days' RETURNING 1")
    assert "1 raw pages with 20 records were deleted" in kasparro("prune").out  # those of the first run alone
    assert ask("SELECT run_id FROM raw_page") == [(2,)]
    assert kasparro("checkpoint", "show", "s").code == 0
    assert "version 2 now" in kasparro("drift", "accept", "s", "--run", "2").out
    assert kasparro("runs", "release", "2").code == 0
    assert ask("SELECT max(version) FROM source_schema") == [(2,)]  # what the operator has accepted stays
    assert ask("SELECT count(*), count(amount) FROM data.d") == [(25, 0)]


def test_only_a_bad_run_is_held_where_that_is_asked_for(
    declare: Declare, kasparro: Kasparro, ask: Ask, tmp_path: Path
) -> None:
    declare(hold_on="bad")
    kasparro("run")
    put(tmp_path, range(22), amount=False)
    assert kasparro("run").code == 0
    assert ask("SELECT verdict, held, inserted, updated FROM etl_run WHERE id = 2") == [("suspicious", None, 2, 20)]
    assert ask("SELECT max(version) FROM source_schema") == [(2,)]


def test_a_held_refresh_removes_nothing_before_its_release_and_max_deletions_counts(
    declare: Declare, kasparro: Kasparro, ask: Ask, tmp_path: Path
) -> None:
    declare(write_disposition="replace")
    kasparro("run")
    put(tmp_path, range(15, 22), amount=False)
    said = kasparro("run")
    assert said.code == 3
    assert "2 new, 5 changed, 15 to be removed (0 unchanged)." in said.out
    assert ask("SELECT count(*), count(amount) FROM data.d") == [(20, 20)]
    rows = json.loads(kasparro("runs", "held", "2", "--limit", "100", "--json").out)["rows"]
    assert sum(row["change"] == "removed" and row["new"] is None for row in rows) == 15
    refused = kasparro("runs", "release", "2")
    assert refused.code == 1
    assert "max_deletions allows to lose 50 %. Nothing was changed." in refused.err
    assert "kasparro runs release 2 --accept-deletions. If not: kasparro runs drop 2" in refused.err
    assert ask(HELD)[1][:3] == (2, "success", "held")
    said = kasparro("runs", "release", "2", "--accept-deletions")
    assert "2 added, 5 updated, 0 unchanged, 15 removed" in said.out
    assert ask("SELECT count(*), count(amount) FROM data.d") == [(7, 0)]
    assert ask("SELECT count(*) FROM deleted_record") == [(15,)]
    assert ask("SELECT extracted, deleted FROM etl_run WHERE id = 2") == [(7, 15)]
    assert re.search(r"s +success +0 ", kasparro("run").out)
    totals_are_exact(ask)
    put(tmp_path, range(15, 22))
    (tmp_path / "s.csv").write_text((tmp_path / "s.csv").read_text().replace("name", "title"))
    assert kasparro("run").code == 3
    assert kasparro("runs", "drop", "4", "--skip").code == 0
    assert re.search(
        r"s +success +0 ", kasparro("run").out
    )  # what was skipped is not read again as long as it stays so
    assert ask(NOTHING_LEFT) == [(0, 0, 0, 0)]


def test_appended_rows_come_once(declare: Declare, kasparro: Kasparro, ask: Ask, tmp_path: Path) -> None:
    declare(write_disposition="append")
    kasparro("run")
    put(tmp_path, range(3), amount=False)
    (tmp_path / "s.csv").write_text((tmp_path / "s.csv").read_text() + "1,n1\n1,n1\n")
    said = kasparro("run")
    assert (said.code, "5 new, 0 changed (0 unchanged)" in said.out) == (3, True)
    keys = [row["record_key"] for row in json.loads(kasparro("runs", "held", "2", "--json").out)["rows"]]
    assert kasparro("runs", "release", "2").code == 0
    assert ask("SELECT array_agg(record_key ORDER BY record_key) FROM data.d WHERE run_id = 2") == [(sorted(keys),)]
    assert ask("SELECT count(*) FROM data.d") == [(25,)]
    totals_are_exact(ask)


def test_rejects_of_a_dropped_run(declare: Declare, kasparro: Kasparro, ask: Ask, tmp_path: Path) -> None:
    assert declare is not None
    (tmp_path / "s.csv").write_text("id,name,amount\n" + "".join(f"{n},n,{n}\n" for n in range(20)) + "77,old,odd\n")
    assert kasparro("run").code == 3
    (tmp_path / "s.csv").write_text("id,name\n" + "".join(f"{n},n\n" for n in range(20)) + "x,y\n")
    assert "are held" in kasparro("run").out
    states = "SELECT value, status, resolved_by LIKE '%@%' FROM rejected_record ORDER BY id"
    assert ask(states) == [("odd", "open", None), ("x", "open", None)]
    kasparro("runs", "drop", "2")
    assert ask(states) == [("odd", "open", None), ("x", "gone", True)]
    kasparro("run")
    assert ask(states) == [("odd", "open", None), ("x", "open", None)]


REBORN = """
ALTER TABLE etl_run DISABLE TRIGGER etl_run_transition;
UPDATE etl_run SET status = 'running', finished_at = NULL WHERE id = 2;
UPDATE etl_source SET runs = 1;
ALTER TABLE etl_run ENABLE TRIGGER etl_run_transition"""
"""As it is where the process died between holding the rows and recording the end of the run."""


def test_a_run_that_died_after_it_was_held_is_a_success(
    held: Said, kasparro: Kasparro, ask: Ask, do: Callable[[str], None]
) -> None:
    assert held.code == 3
    do(REBORN)
    assert "The rows of run 2 of s are held" in kasparro("run").err
    assert ask(HELD)[1][:3] == (2, "success", "held")
    do(REBORN)
    assert kasparro("runs", "release", "2").code == 0
    assert ask(HELD)[1] == (2, "success", "released", False, 25, 5, 20)


def test_rows_that_somebody_dropped_can_only_be_given_up(
    held: Said, kasparro: Kasparro, ask: Ask, do: Callable[[str], None]
) -> None:
    assert held.code == 3
    ((table,),) = ask("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'refresh'")
    do(f"DROP TABLE {table}")
    for command in ("held", "release"):
        said = kasparro("runs", command, "2")
        assert (said.code, "somebody dropped their table" in said.err) == (1, True)
    assert kasparro("runs", "drop", "2").code == 0
    assert kasparro("run").code == 3


def test_wrong_runs_are_refused(held: Said, kasparro: Kasparro) -> None:
    assert held.code == 3
    for command in ("held", "release", "drop"):
        assert "There is no run 9" in kasparro("runs", command, "9").err
        said = kasparro("runs", command, "1")
        assert (said.code, "Run 1 of s was not held" in said.err) == (1, True)
        assert kasparro("runs", command, "x").code == 2


def test_a_held_api_goes_on_behind_its_cursor(declare: Declare, kasparro: Kasparro, ask: Ask, server: Any) -> None:
    records: list[dict[str, Any]] = [{"id": n, "name": f"n{n}", "amount": n, "at": n} for n in range(30)]
    asked: list[str] = []

    def answer(handler: Any) -> None:
        asked.append(handler.path)
        since = int(handler.path.rpartition("since=")[2] or 0) if "since=" in handler.path else 0
        body = json.dumps({"items": [one for one in records if one["at"] >= since]}).encode()
        reply(200, body, Content_Type="application/json")(handler)

    declare(
        type="api",
        path=None,
        url=server(answer),
        records="items",
        cursor_field="at",
        cursor_param="since",
        pagination={"type": "single_page"},
    )
    assert kasparro("run").code == 0
    records += [{"id": n, "name": f"n{n}", "price": n, "at": n} for n in range(30, 60)]
    assert kasparro("run").code == 3
    refused = kasparro("backfill", "s", "--from", "1", "--to", "9")
    assert "The rows of run 2 of s are held" in refused.err
    assert [path.rpartition("?")[2] for path in asked] == ["/items", "since=29"]
    assert kasparro("runs", "release", "2").code == 0
    assert kasparro("run").code == 0
    assert asked[-1].endswith("since=59")
    assert ask("SELECT count(*) FROM data.d") == [(60,)]
    totals_are_exact(ask)
