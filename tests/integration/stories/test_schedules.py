"""Schedules on the command line: what is declared, what was done by it, and who asked for a run."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from tests.integration.stories.conftest import Kasparro

SOURCE: dict[str, Any] = {"type": "csv", "path": "a.csv", "primary_key": "id"}


def declare(folder: Path, **schedules: Any) -> None:
    (folder / "a.csv").write_text("id,n\n1,2\n")
    sources = {name: {**SOURCE, **({} if one is None else {"schedule": one})} for name, one in schedules.items()}
    (folder / "kasparro.yaml").write_text(json.dumps({"sources": sources}))


def change(url: str, statement: str, *given: object) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode(), given)


def test_schedules_are_shown_with_what_was_done_by_them(kasparro: Kasparro, tmp_path: Path, database_url: str) -> None:
    declare(tmp_path, bare=None)
    none = kasparro("schedules")
    assert (none.code, none.out) == (
        0,
        "No source has a schedule. Give one to a source in kasparro.yaml, and start: kasparro worker\n",
    )
    assert kasparro("schedules", "--json").out == ""

    declare(tmp_path, bare=None, hourly="1h", nightly={"cron": "30 2 * * *", "timezone": "Europe/Berlin"})
    assert kasparro("run").code == 0
    change(
        database_url,
        "INSERT INTO schedule_tick (source, last_due, last_was, queued, joined, missed) "
        "VALUES ('hourly', date_trunc('hour', now()), 'queued', 7, 1, 2)",
    )
    text = kasparro("schedules")
    assert text.code == 0
    assert [line.split()[0] for line in text.out.splitlines()] == ["source", "hourly", "nightly"]
    hourly, nightly = (json.loads(line) for line in kasparro("schedules", "--json").out.splitlines())
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert datetime.fromisoformat(hourly["next_due"]) - hour in {timedelta(0), timedelta(hours=1)}
    assert (hourly["schedule"], hourly["last_was"]) == ("every 1h", "queued")
    assert (hourly["queued"], hourly["joined"], hourly["missed"]) == (7, 1, 2)
    assert (nightly["schedule"], nightly["last_due"]) == ("30 2 * * * (Europe/Berlin)", None)

    change(database_url, "UPDATE source_schedule SET schedule = '{\"lunar\": 1}' WHERE source = 'hourly'")
    strange = json.loads(kasparro("schedules", "--json").out.splitlines()[-2])
    assert (strange["schedule"], strange["next_due"]) == ("(of another version)", None)


def test_a_schedule_is_run_without_a_word_that_it_is_not(kasparro: Kasparro, tmp_path: Path) -> None:
    declare(tmp_path, hourly="1h")
    checked = kasparro("check")
    assert checked.code == 0
    assert "due every 1h, next at" in checked.out
    assert checked.err == ""


def test_a_run_says_who_asked_for_it(kasparro: Kasparro, tmp_path: Path) -> None:
    declare(tmp_path, bare=None)
    kasparro("run")
    (run,) = (json.loads(line) for line in kasparro("runs", "list", "--json").out.splitlines())
    assert (run["requested_by"], run["due_at"]) == ("cli", None)
    shown = kasparro("runs", "show", str(run["id"])).out.splitlines()
    (line,) = (one for one in shown if one.startswith("requested by"))
    assert line.split() == ["requested", "by", "cli"]
