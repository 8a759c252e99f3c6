"""Sources are killed, cut off and frozen; all is there afterwards, and once. And the check finds what is not."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from kasparro.assembly.running import run_declared
from kasparro.store.witness import Facts, Witness, witness

COMMAND = [sys.executable, "-m", "kasparro", "chaos"]


def chaos(url: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KASPARRO_", "DATABASE_"))}
    environment = {**kept, "DATABASE_URL": url, **more}
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.slow
def test_twenty_faults_over_three_kinds_of_sources(server_url: str) -> None:
    said = chaos(server_url, "--seed", "20", "--rounds", "20", "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(said.stdout)
    assert found["broken"] == {}
    assert len(found["invariants"]) == 7
    struck = [line for line in said.stderr.splitlines() if line.endswith("struck")]
    assert len(struck) >= 15  # a run may end before its fault; most must not
    assert {line.split()[0] for line in struck} == {"kill", "cut", "freeze"}
    assert "Repeat this plan with: kasparro chaos --seed 20 --rounds 20" in said.stderr
    with psycopg.connect(server_url) as connection:
        left = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'kasparro_chaos%'").fetchall()
    assert left == [(0,)]


def test_it_is_refused_in_production_and_unknown_faults_are_named(server_url: str) -> None:
    said = chaos(server_url, ENVIRONMENT="production")
    assert (said.returncode, "--force" in said.stderr) == (2, True)
    said = chaos(server_url, "--faults", "kill,flood")
    assert said.returncode == 2
    assert "There is no fault flood. There are: kill, cut, freeze" in said.stderr


@pytest.fixture
async def loaded(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Witness, Facts]]:
    file = tmp_path / "a.csv"
    file.write_text("id,title\n1,a\n2,b\n,no key\n")
    await run_declared(
        {"s": {"type": "csv", "path": str(file), "primary_key": "id"}}, datasets={}, database_url=database_url
    )
    async with witness(database_url) as one:
        yield one, await one.facts()


async def test_a_whole_database_is_found_whole(loaded: tuple[Witness, Facts]) -> None:
    one, facts = loaded
    assert {count for count, _ in facts.rows.values()} == {2}
    assert {count for count, _ in facts.rejects.values()} == {1}
    assert set((await one.broken(facts)).values()) == {""}


@pytest.mark.parametrize(
    ("tampering", "invariant"),
    [
        ("DELETE FROM normalized_data WHERE record_key = '1'", "rows equal an undisturbed run"),
        ("UPDATE normalized_data SET title = 'x' WHERE record_key = '1'", "rows equal an undisturbed run"),
        ("DELETE FROM normalized_data WHERE record_key = '1'", "row counts equal recounts"),
        ("DELETE FROM rejected_record", "rejects equal an undisturbed run"),
        ("UPDATE etl_source SET inserted = inserted + 1", "totals equal the sum of the runs"),
        ("UPDATE etl_checkpoint SET extracted = extracted + 1", "checkpoints count what was committed"),
        ("UPDATE raw_page SET records = records + 10", "every raw record is accounted for"),
        (
            "INSERT INTO etl_run (source, holder, config_hash, code_version) VALUES ('s', '', '', '')",
            "every run ended, and its counts add up",
        ),
    ],
)
async def test_what_is_broken_is_found(
    loaded: tuple[Witness, Facts], database_url: str, tampering: str, invariant: str
) -> None:
    one, facts = loaded
    with psycopg.connect(database_url) as connection:
        connection.execute(tampering.encode())
    assert (await one.broken(facts))[invariant] != ""
