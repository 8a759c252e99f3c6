"""The invariants hold where all is well, and each finds what it is there to find."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from kasparro.assembly.running import run_declared
from kasparro.faults.server import private_server
from kasparro.store.witness import ALWAYS, Facts, Witness, scratch_database, witness

ROWS = "rows equal an undisturbed run"
DOUBLED = "no record is doubled: each row is a raw record of its own"
ACCOUNTED = "every raw record is a row, an unchanged row, a duplicate or a reject"
AHEAD = "no checkpoint is ahead of the data"
CHECKPOINTS = "checkpoints count what was committed"
RECOUNTS = "row counts equal recounts"
OVER = "a run that is over commits nothing more"
FORESEEN = "no run failed of what no fault explains"

COPIED = (
    "INSERT INTO normalized_data (source, record_key, title, record_hash, run_id, raw_page_id, raw_index) "
    "SELECT source, '{}', title, record_hash, run_id, raw_page_id, {} FROM normalized_data WHERE record_key = '1'"
)


async def load(folder: Path, url: str, **more: str) -> None:
    file = folder / "a.csv"
    file.write_text("id,title\n1,a\n2,b\n,no key\n3,c,one too many\n")
    declared = {"type": "csv", "path": str(file), "primary_key": "id", **more}
    await run_declared({"s": declared}, datasets={}, database_url=url)


@pytest.fixture
async def loaded(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Witness, Facts]]:
    await load(tmp_path, database_url)
    async with witness(database_url) as one:
        await one.remember()
        yield one, await one.facts()


async def test_a_whole_database_is_found_whole(loaded: tuple[Witness, Facts]) -> None:
    one, facts = loaded
    assert {count for count, _ in facts.rows.values()} == {2}
    assert {count for count, _ in facts.rejects.values()} == {2}
    assert {count for count, _ in facts.records.values()} == {3}
    found = await one.broken(facts)
    assert set(found.values()) == {""}
    assert len(found) == 12
    assert set(await one.standing()) == {*ALWAYS, OVER}


async def test_a_database_without_tables_has_nothing_wrong_yet(empty_url: str) -> None:
    async with witness(empty_url) as one:
        await one.remember()
        assert await one.standing() == {}


@pytest.mark.parametrize(
    ("tampering", "invariant"),
    [
        ("DELETE FROM normalized_data WHERE record_key = '1'", ROWS),
        ("UPDATE normalized_data SET title = 'x' WHERE record_key = '1'", ROWS),
        ("UPDATE normalized_data SET record_key = '9' WHERE record_key = '1'", ROWS),
        ("DELETE FROM rejected_record", "rejects equal an undisturbed run"),
        ("DELETE FROM raw_page", "no raw record is lost"),
        ("UPDATE raw_page SET content = replace(content, 'a', 'x')", "no raw record is lost"),
        (COPIED.format("1 again", "raw_index"), DOUBLED),
        (COPIED.format("from nowhere", "99"), DOUBLED),
        ("DELETE FROM raw_page", DOUBLED),
        ("UPDATE raw_page SET records = records + 2", ACCOUNTED),
        ("UPDATE raw_page SET records = records + 1", ACCOUNTED),
        ("DELETE FROM normalized_data WHERE record_key = '1'", AHEAD),
        ("UPDATE etl_checkpoint SET extracted = extracted + 1", AHEAD),
        ("UPDATE etl_checkpoint SET extracted = extracted - 1", CHECKPOINTS),
        ("DELETE FROM etl_checkpoint", CHECKPOINTS),
        ("DELETE FROM normalized_data WHERE record_key = '1'", RECOUNTS),
        ("UPDATE dataset_total SET rows = rows + 1", RECOUNTS),
        ("UPDATE etl_run SET inserted = inserted - 1, unchanged = unchanged + 1", RECOUNTS),
        ("UPDATE etl_run SET error_code = 'internal'", FORESEEN),
        ("UPDATE etl_run SET extracted = extracted + 1, unchanged = unchanged + 1", OVER),
        ("UPDATE etl_run SET pages = pages + 1", OVER),
        (
            "INSERT INTO etl_run (source, holder, config_hash, code_version) VALUES ('s', '', '', '')",
            "every run ended, and its counts add up",
        ),
        ("UPDATE etl_source SET inserted = inserted + 1", "totals equal the sum of the runs"),
        ("UPDATE etl_source SET runs = runs + 1", "totals equal the sum of the runs"),
    ],
)
async def test_what_is_broken_is_found(
    loaded: tuple[Witness, Facts], database_url: str, tampering: str, invariant: str
) -> None:
    one, facts = loaded
    with psycopg.connect(database_url) as connection:
        connection.execute(tampering.encode())
    assert (await one.broken(facts))[invariant] != ""


async def test_other_lanes_are_not_the_usual_checkpoints(loaded: tuple[Witness, Facts], database_url: str) -> None:
    one, facts = loaded
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO etl_checkpoint (source, lane, slice, lease_epoch, extracted) VALUES ('s', 'r', 'x', 1, 7)"
        )
    assert set((await one.broken(facts)).values()) == {""}


async def test_of_rows_that_are_only_added_the_values_count(database_url: str, tmp_path: Path) -> None:
    await load(tmp_path, database_url, write_disposition="append")
    async with witness(database_url, ["s"]) as lenient, witness(database_url) as strict:
        sums, keys = await lenient.facts(), await strict.facts()
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE normalized_data SET record_key = 'of another run ' || record_key")
        assert (await lenient.broken(sums))[ROWS] == ""
        assert (await strict.broken(keys))[ROWS] != ""
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE normalized_data SET title = 'x'")
        assert (await lenient.broken(sums))[ROWS] != ""


async def test_a_crash_of_the_server_is_survived() -> None:
    with private_server() as server:
        url = server.url
        async with scratch_database(url, "scratch") as scratch, witness(scratch) as one:
            with psycopg.connect(scratch, autocommit=True) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
            server.crash()
            assert server.url == url
            assert await one.at_point("random") is None
            with psycopg.connect(scratch) as connection:
                assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT FROM pg_database WHERE datname = 'scratch'").fetchall() == []
    assert not await asyncio.to_thread(Path(url.split("host=")[1]).exists)
