"""What docs/operating.md says of back-ups, done: a dump in the middle of a load, restored elsewhere, gone on with."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.conftest import url_of

from kasparro.store.database import libpq_environment

pytestmark = pytest.mark.skipif(
    "TEST_DATABASE_URL" in os.environ, reason="the programs of the embedded server make dumps for servers as new as it"
)

ROWS = 60_000
SMALL = {"KASPARRO_PAGE_BYTES": "65536", "ETL_CHECKPOINT_INTERVAL": "2000"}


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type,unused-ignore]
        return cursor.fetchall() if cursor.description else []


def environment(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KASPARRO_", "DATABASE_"))}
    return {**kept, **SMALL, "DATABASE_URL": url}


def kasparro(url: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kasparro", *arguments]
    return subprocess.run(
        command, env=environment(url), cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def shell(url: str, folder: Path, command: str) -> str:
    """Run a command of the shell as the documentation does: psql hands its connection on."""
    done = kasparro(url, folder, "psql", "--", "-c", rf"\! {command} && echo done")
    assert done.stdout.endswith("done\n"), done.stderr
    return done.stdout


@pytest.fixture
def restored_url(server_url: str) -> Iterator[str]:
    name = f"restored_{uuid.uuid4().hex[:8]}"
    rows(server_url, f"CREATE DATABASE {name} TEMPLATE template0")
    yield url_of(server_url, name)
    rows(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def until(true: Callable[[], bool]) -> None:
    last = time.monotonic() + 60
    while not true():
        assert time.monotonic() < last
        time.sleep(0.02)


@pytest.mark.slow
def test_a_dump_in_the_middle_of_a_load_is_restored_and_gone_on_with(
    database_url: str, restored_url: str, tmp_path: Path
) -> None:
    (tmp_path / "sales.csv").write_text("id,name\n" + "".join(f"{n},n{n}\n" for n in range(ROWS)))
    (tmp_path / "kasparro.yaml").write_text("sources:\n  sales: {type: csv, path: sales.csv, primary_key: id}\n")
    load = subprocess.Popen(
        [sys.executable, "-m", "kasparro", "run"],
        env=environment(database_url),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: rows(database_url, "SELECT count(*) FROM raw_page WHERE source = 'sales'")[0][0] > 2)
    load.send_signal(signal.SIGSTOP)
    shell(database_url, tmp_path, "pg_dump --format=custom --file=kasparro.dump")
    load.send_signal(signal.SIGCONT)
    assert load.wait(timeout=120) == 0
    name = libpq_environment(restored_url)["PGDATABASE"]
    whole = "--exit-on-error --single-transaction --no-owner"
    shell(restored_url, tmp_path, f"pg_restore {whole} --dbname={name} kasparro.dump")

    ((there,),) = rows(restored_url, "SELECT count(*) FROM normalized_data")
    assert 0 < there < ROWS, "the dump is of the middle"
    assert rows(restored_url, "SELECT sum(rows)::bigint FROM dataset_total") == [(there,)], "and in itself exact"
    looked = kasparro(restored_url, tmp_path, "doctor")
    assert looked.returncode == 0, looked.stdout
    again = kasparro(restored_url, tmp_path, "run", "--json")
    assert again.returncode == 0, again.stderr
    all_keys = "SELECT count(*), count(DISTINCT record_key), sum(record_key::bigint) FROM normalized_data"
    assert rows(restored_url, all_keys) == rows(database_url, all_keys) == [(ROWS, ROWS, ROWS * (ROWS - 1) // 2)]
    states = rows(restored_url, "SELECT status FROM etl_run ORDER BY id")
    assert states == [("interrupted",), ("success",)]
    ((read,),) = rows(restored_url, "SELECT extracted FROM etl_run WHERE status = 'success'")
    assert read == ROWS - there, "what was committed before the dump was not read again"


def test_programs_are_those_of_the_embedded_server(database_url: str, tmp_path: Path) -> None:
    assert shell(database_url, tmp_path, "pg_dump --version").startswith("pg_dump (PostgreSQL) 18")
    shell(database_url, tmp_path, "pg_dump --format=custom --file=kasparro.dump")
    assert "normalized_data" in shell(database_url, tmp_path, "pg_restore --list kasparro.dump")
