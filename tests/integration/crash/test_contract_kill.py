"""Kill a run that is held to a contract, run it again: rows, rejects and findings are those of an undisturbed run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.integration.conftest import environment
from tests.integration.crash.test_kill import ask, wait_for_rows

RECORDS = 60_000

CONFIG = """\
sources:
  s: {type: csv, path: s.csv, primary_key: id, dataset: d, schema_contract: {fields: discard_value, types: %s}}
datasets:
  d: {fields: {id: integer, price: numeric, extra: text}}
"""

DIGEST = "SELECT count(*), count(extra), count(price), md5(string_agg(record_key, '' ORDER BY id)) FROM data.d"
REJECTS = "SELECT count(*), count(DISTINCT place), coalesce(sum(times), 0)::bigint FROM rejected_record"
FOUND = """SELECT array_agg(array[kind, subject, facts ->> 'records'] ORDER BY kind, subject)
           FROM finding WHERE kind LIKE '%discarded'"""


def start(url: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "kasparro", "run"],
        env=environment(url, KASPARRO_PAGE_BYTES=str(64 * 1024)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


def declare(folder: Path, word: str, url: str) -> None:
    """A first run of a few sound records makes the accepted schema."""
    (folder / "kasparro.yaml").write_text(CONFIG % word)
    (folder / "s.csv").write_text("id,price\n" + "".join(f"{n},{n}.5\n" for n in range(50)))
    said, _ = (process := start(url, folder)).communicate(timeout=60)
    assert process.returncode == 0, said
    lines = (f"{n},{'odd' if n % 1000 == 7 else n},x\n" for n in range(RECORDS))
    (folder / "s.csv").write_text("id,price,extra\n" + "".join(lines))


@pytest.mark.parametrize("word", ["discard_row", "discard_value"])
def test_a_run_that_was_killed_goes_on_and_tells_of_all_that_was_kept_out(
    tmp_path: Path, database_url: str, empty_url: str, word: str
) -> None:
    calm, folder = tmp_path / "calm", tmp_path / "s"
    for one, url in ((calm, empty_url), (folder, database_url)):
        one.mkdir()
        declare(one, word, url)
    said, _ = (process := start(empty_url, calm)).communicate(timeout=120)
    assert process.returncode == (3 if word == "discard_row" else 0), said
    for _ in range(2):
        process = start(database_url, folder)
        wait_for_rows(database_url, RECORDS // 6, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    said, _ = (process := start(database_url, folder)).communicate(timeout=120)
    assert "going on from the last checkpoint" in said
    assert process.returncode == (3 if word == "discard_row" else 0), said
    for statement in (DIGEST, REJECTS, FOUND):
        assert ask(database_url, statement) == ask(empty_url, statement)
    count = RECORDS // 1000
    kept_out = [["value_discarded", "extra", str(RECORDS - (count if word == "discard_row" else 0))]]
    other = ["row_discarded" if word == "discard_row" else "value_discarded", "price", str(count)]
    assert sorted(ask(database_url, FOUND)[0]) == sorted([*kept_out, other])  # type: ignore[call-overload] # a list
    with psycopg.connect(database_url) as connection:
        versions = connection.execute("SELECT max(version) FROM source_schema").fetchall()
    assert versions == [(1,)]
