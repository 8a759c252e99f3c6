"""`run --queue`, `queue` and `workers`, as a user calls them."""

import json
from pathlib import Path

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro, kasparro  # noqa: F401 - a fixture

from kasparro.store.queries import queries

CONFIG = """
sources:
  one: {type: csv, path: one.csv, primary_key: id}
  two: {type: csv, path: one.csv, write_disposition: append}
"""


@pytest.fixture(autouse=True)
def declared(tmp_path: Path) -> None:
    (tmp_path / "kasparro.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "one.csv").write_text("id,title\n1,a\n", encoding="utf-8")


def test_runs_are_queued_and_not_waited_for(kasparro: Kasparro) -> None:  # noqa: F811 - the fixture
    said = kasparro("run", "--queue")
    assert said.code == 0
    assert said.out.splitlines() == ["one: queued as job 1", "two: queued as job 2"]
    assert "No worker that is alive runs one, two. They wait until one does: kasparro worker" in said.err
    again = kasparro("run", "one", "--queue")
    assert (again.code, again.out) == (0, "one: waits already as job 1\n")
    listed = [json.loads(line) for line in kasparro("queue", "--json").out.splitlines()]
    assert [(one["id"], one["source"], one["status"], one["by"]) for one in listed] == [
        (1, "one", "waiting", "cli"),
        (2, "two", "waiting", "cli"),
    ]
    assert "waiting" in kasparro("queue").out
    assert kasparro("runs", "list", "--json").out == ""


def test_as_json(kasparro: Kasparro) -> None:  # noqa: F811 - the fixture
    said = kasparro("run", "one", "--queue", "--full-refresh", "--accept-deletions", "--json")
    line = json.loads(said.out)
    assert said.code == 0
    assert (line["id"], line["source"], line["status"], line["new"]) == (1, "one", "waiting", True)
    assert (line["trigger"], line["accept"]) == ("full_refresh", True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["other"], "There is no source 'other': --queue takes declared sources, by name. Declared sources: one, two"),
        (["one", "one.csv"], "There is no source 'one.csv': --queue takes declared sources, by name."),
        (["two", "--full-refresh"], "two has write_disposition append: a full refresh would add all its records"),
        (["one", "--accept-deletions"], "--accept-deletions goes with --full-refresh."),
    ],
)
def test_what_cannot_be_queued_is_refused_before_anything_is(
    kasparro: Kasparro,  # noqa: F811 - the fixture
    words: list[str],
    says: str,
) -> None:
    said = kasparro("run", "--queue", *words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert kasparro("queue").out == "Nothing is queued.\n"


def test_a_source_whose_rows_are_held_is_not_queued(kasparro: Kasparro, database_url: str) -> None:  # noqa: F811
    kasparro("run", "one")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE etl_run SET held = 'held'")
    said = kasparro("run", "--queue")
    assert said.code == 1
    assert "The rows of run 1 of one are held, and wait for a decision" in said.err
    assert kasparro("queue").out == "Nothing is queued.\n"


def test_workers_are_shown(kasparro: Kasparro, database_url: str) -> None:  # noqa: F811 - the fixture
    assert kasparro("workers").out == "There is no worker. Start one: kasparro worker\n"
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO worker (id, name, host, pid, version, config_hash, sources, concurrency, lease, heartbeat_at) "
            "VALUES (1, 'here', 'h', 7, '1', 'abc', '{one,two}', 4, '1 minute', now()), "
            "(2, 'lost', 'h', 8, '1', 'abc', '{one}', 4, '1 minute', now() - interval '2 minutes')"
        )
    (here, lost) = [json.loads(line) for line in kasparro("workers", "--json").out.splitlines()]
    assert (here["name"], here["alive"], here["sources"]) == ("here", True, ["one", "two"])
    assert (lost["name"], lost["alive"], lost["pid"]) == ("lost", False, 8)
    assert kasparro("run", "one", "--queue").err == ""  # a worker that is alive runs it
    with psycopg.connect(database_url) as connection:
        row = connection.execute(queries("metrics")["read"], {"most": 10, "most_hosts": 10}).fetchone()
    assert row is not None
    assert ["kasparro_workers", [], "", 1, None] in json.loads(row[0])


def test_the_queue_is_counted(kasparro: Kasparro, database_url: str) -> None:  # noqa: F811 - the fixture
    kasparro("run", "--queue")
    with psycopg.connect(database_url) as connection:
        row = connection.execute(queries("metrics")["read"], {"most": 10, "most_hosts": 10}).fetchone()
    assert row is not None
    assert ["kasparro_queue_depth", ["runs"], "", 2, None] in json.loads(row[0])
    assert ["kasparro_workers", [], "", 0, None] in json.loads(row[0])


def test_what_waits_can_be_cancelled(kasparro: Kasparro, database_url: str) -> None:  # noqa: F811 - the fixture
    kasparro("run", "--queue")
    assert kasparro("queue", "--cancel", "1").out == "one: job 1 is cancelled\n"
    again = kasparro("queue", "--cancel", "1")
    assert (again.code, again.err) == (
        1,
        "error: Job 1 of one is dropped already. Only what waits can be cancelled\n",
    )
    assert "There is no job 9. List them with: kasparro queue" in kasparro("queue", "--cancel", "9").err
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = 2")
    assert "Job 2 of two is under way: a run ends with its worker." in kasparro("queue", "--cancel", "2").err
    assert kasparro("run", "one", "--queue").out == "one: queued as job 3\n"
