"""Sources are disturbed in every way that is known; all is there afterwards, and once."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.integration.conftest import environment

from kasparro.cli.disturbed import main
from kasparro.faults.plan import ACTS

COMMAND = [sys.executable, "-m", "kasparro", "chaos"]


def chaos(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**more),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.mark.parametrize(
    ("number", "in_background"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, False)]
)
def test_whoever_ends_it_early_finds_nothing_left_behind(
    tmp_path: Path, number: signal.Signals, *, in_background: bool
) -> None:
    # A shell lets its background jobs ignore Ctrl-C.
    before = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"] if in_background else []
    with subprocess.Popen(
        [*before, *COMMAND, "--rounds", "50"],
        env=environment(TMPDIR=str(tmp_path)),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Repeat this plan")
        line = process.stderr.readline()
        assert line.startswith("1. "), line + process.stderr.read(2000)
        assert list(tmp_path.glob("kasparro-chaos-*"))
        process.send_signal(number)
        assert process.wait(120) == 130
    assert list(tmp_path.glob("kasparro-chaos-*")) == []


def struck(said: subprocess.CompletedProcess[str]) -> list[str]:
    """The acts that struck a run."""
    return [line.split()[1].rstrip(",") for line in said.stderr.splitlines() if line.endswith(": struck")]


@pytest.mark.slow
def test_twenty_faults_over_three_kinds_of_sources(tmp_path: Path) -> None:
    said = chaos(tmp_path, "--seed", "20", "--rounds", "20", "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(said.stdout)
    assert found["broken"] == {}
    assert len(found["invariants"]) == 12
    assert len(struck(said)) >= 17  # a run may end before its fault; most must not
    assert set(struck(said)) == set(ACTS)
    assert f"kasparro chaos --seed 20 --rounds 20 --faults {','.join(ACTS)}" in said.stderr


@pytest.mark.slow
def test_sources_of_the_user_on_a_server_of_the_user(server_url: str, tmp_path: Path) -> None:
    lines = "".join(f"{number},{number % 7}\n" for number in range(4000))
    (tmp_path / "log.csv").write_text(f"title,value\n{lines}")
    source = {"type": "csv", "path": "log.csv", "write_disposition": "append"}
    (tmp_path / "my.yaml").write_text(json.dumps({"sources": {"log": source, "other": {**source, "path": "none.csv"}}}))
    arguments = ["log", "--config", "my.yaml", "--seed", "3", "--rounds", "4", "--faults", "kill,lose,truncate"]
    said = chaos(tmp_path, *arguments, DATABASE_URL=server_url)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("holds ") == 12
    assert {"lose", "truncate"} <= set(struck(said))
    assert f"kasparro chaos {' '.join(arguments[:7])} --faults kill,truncate,lose" in said.stderr
    with psycopg.connect(server_url) as connection:
        left = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'kasparro_chaos%'").fetchall()
    assert left == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "more", "words"),
    [
        ([], {"ENVIRONMENT": "production"}, "--force"),
        (["--faults", "kill,flood"], {}, f"There is no fault flood. There are: {', '.join(ACTS)}"),
        (["--faults", "restart"], {"DATABASE_URL": "postgresql://h/d"}, "Unset DATABASE_URL"),
        (["nothing"], {"DATABASE_URL": "postgresql://h/d"}, "There is no source 'nothing'"),
    ],
)
def test_what_is_refused_before_anything_begins(
    tmp_path: Path, arguments: list[str], more: dict[str, str], words: str
) -> None:
    said = chaos(tmp_path, *arguments, **more)
    assert said.returncode == 2, said.stderr
    assert words in said.stderr


def test_a_disturbed_run_says_so_and_ends_as_a_run_does(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    (tmp_path / "a.csv").write_text("id,title\n1,a\n2,b\n")
    source = {"type": "csv", "path": "a.csv", "primary_key": "id"}
    (tmp_path / "my.yaml").write_text(json.dumps({"sources": {"s": source, "t": source}}))
    assert main(["truncate", "4", "--config", "my.yaml", "s"]) == 1
    assert main(["double", "4", "--config", "my.yaml", "t"]) == 0
    assert main(["double", "4", "--config", "my.yaml", "nothing"]) == 2
    assert capsys.readouterr().out == "truncate s\ndouble t\n"
    with psycopg.connect(database_url) as connection:
        counts = "SELECT extracted, inserted, unchanged + duplicates FROM etl_run WHERE source = 't'"
        assert connection.execute(counts).fetchall() == [(4, 2, 2)]
        assert connection.execute("SELECT count(*) FROM normalized_data WHERE source = 't'").fetchall() == [(2,)]
