"""What docs/operating.md says of back-ups, done: a dump in the middle of a load, restored elsewhere, gone on with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.conftest import copied
from tests.integration.workers.conftest import (
    EXACT,
    PAGES,
    SIZE,
    Processes,
    Provider,
    commit_held,
    declare,
    exact,
    of_pages,
)

from kasparro.store.database import libpq_environment

pytestmark = pytest.mark.skipif(
    "TEST_DATABASE_URL" in os.environ, reason="the programs of the embedded server make dumps for servers as new as it"
)


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type,unused-ignore]
        return cursor.fetchall() if cursor.description else []


def kasparro(url: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kasparro", *arguments]
    return subprocess.run(
        command, env=of_pages(url), cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def shell(url: str, folder: Path, command: str) -> str:
    """Run a command of the shell as the documentation does: psql hands its connection on."""
    done = kasparro(url, folder, "psql", "--", "-c", rf"\! {command} && echo done")
    assert done.stdout.endswith("done\n"), done.stderr
    return done.stdout


@pytest.fixture
def restored_url(server_url: str) -> Iterator[str]:
    with copied(server_url, "template0") as url:
        yield url


@pytest.mark.slow
def test_a_dump_in_the_middle_of_a_load_is_restored_and_gone_on_with(
    processes: Processes, provider: Provider, database_url: str, restored_url: str, tmp_path: Path
) -> None:
    provider.hold("sales", 6)
    load = processes.start(declare(tmp_path, provider.url, "sales"), "run")
    provider.wait_for("sales", 6)
    with commit_held(processes, provider):
        shell(database_url, tmp_path, "pg_dump --format=custom --file=kasparro.dump")
    assert load.wait(timeout=120) == 0
    name = libpq_environment(restored_url)["PGDATABASE"]
    whole = "--exit-on-error --single-transaction --no-owner"
    shell(restored_url, tmp_path, f"pg_restore {whole} --dbname={name} kasparro.dump")

    assert rows(restored_url, EXACT) == exact("sales", pages=5), "the dump is of the middle"
    assert rows(restored_url, "SELECT sum(rows)::int FROM dataset_total") == [(5 * SIZE,)], "and in itself exact"
    looked = kasparro(restored_url, tmp_path, "doctor")
    assert looked.returncode == 0, looked.stdout
    again = kasparro(restored_url, tmp_path, "run", "--json")
    assert again.returncode == 0, again.stderr
    assert rows(restored_url, EXACT) == rows(database_url, EXACT) == exact("sales")
    runs = rows(restored_url, "SELECT status, extracted::int FROM etl_run ORDER BY id")
    read = (PAGES - 5) * SIZE  # what was committed before the dump was not read again
    assert runs == [("interrupted", 5 * SIZE), ("success", read)]


def test_programs_are_those_of_the_embedded_server(database_url: str, tmp_path: Path) -> None:
    assert shell(database_url, tmp_path, "pg_dump --version").startswith("pg_dump (PostgreSQL) 18")
    shell(database_url, tmp_path, "pg_dump --format=custom --file=kasparro.dump")
    assert "normalized_data" in shell(database_url, tmp_path, "pg_restore --list kasparro.dump")
