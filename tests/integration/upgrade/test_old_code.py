"""The version before goes on working while a newer one has migrated the database, or says by name that it cannot.

The code under test is the old code: a later version is a migration that it does not know.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.integration.stories.conftest import Kasparro
from tests.integration.workers.conftest import EXACT, Processes, Provider, declare, exact

from kasparro.errors import StoreBusy
from kasparro.store.database import connect
from kasparro.store.migrate import Migration, is_current, migrate, shipped

Serve = Callable[..., TestClient]

LATER = 9001
TABLES = """
SELECT format('%I', table_name) FROM information_schema.tables
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'procrastinate%'"""
RESTING = """
INSERT INTO etl_run (source, status, finished_at, holder, config_hash, code_version)
VALUES ('sales', 'resting', now(), 'later:1', 'x', '9')"""
CHECK = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'etl_run_status_check'"


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type,unused-ignore]
        return cursor.fetchall() if cursor.description else []


async def _migrate(url: str, migrations: list[Migration]) -> list[Migration]:
    async with await connect(url) as connection:
        return await migrate(connection, migrations)


def upgrade(url: str, text: str) -> None:
    """Migrate as a later version would, which knows one migration more."""
    later = Migration(number=LATER, name="later", sql=text)  # type: ignore[arg-type,unused-ignore]
    assert asyncio.run(_migrate(url, [*shipped(), later])) == [later]


async def _fits(url: str) -> bool:
    """Whether the code under test finds the schema current, and nothing to do."""
    async with await connect(url) as connection:
        return await is_current(connection) and await migrate(connection) == []


def more_of_everything(url: str) -> str:
    """What an expanding migration may do at its worst: a column in each table, and values that nobody knew."""
    columns = [f"ALTER TABLE {name} ADD COLUMN later text DEFAULT 'x'" for (name,) in rows(url, TABLES)]
    assert len(columns) > 20
    ((known,),) = rows(url, CHECK)
    wider = str(known).replace("'running'::text", "'running'::text, 'resting'::text")
    return ";\n".join(
        [
            *columns,
            "CREATE TABLE later_table (n int PRIMARY KEY)",
            "CREATE INDEX later_index ON etl_run (code_version)",
            "ALTER TABLE etl_run DROP CONSTRAINT etl_run_status_check",
            f"ALTER TABLE etl_run ADD CONSTRAINT etl_run_status_check {wider}",
            RESTING,
        ]
    )


def csv(folder: Path, count: int) -> None:
    (folder / "sales.csv").write_text("id,name\n" + "".join(f"{n},n{n}\n" for n in range(count)))
    (folder / "kasparro.yaml").write_text("sources:\n  sales: {type: csv, path: sales.csv, primary_key: id}\n")


def test_old_code_does_all_it_did_on_a_schema_that_was_added_to(
    kasparro: Kasparro, serve: Serve, database_url: str, tmp_path: Path
) -> None:
    csv(tmp_path, 10)
    assert kasparro("run").code == 0
    upgrade(database_url, more_of_everything(database_url))
    csv(tmp_path, 20)
    for command in (["run"], ["run", "--full-refresh"], ["replay", "sales"], ["runs", "list"], ["runs", "show", "1"]):
        assert (said := kasparro(*command)).code == 0, (command, said.err)
    for command in (["sources"], ["findings"], ["rejects", "list"], ["checkpoint", "show", "sales"], ["migrate"]):
        assert (said := kasparro(*command)).code == 0, (command, said.err)
    assert rows(database_url, "SELECT count(*), count(DISTINCT record_key) FROM normalized_data") == [(20, 20)]
    client = serve(database_url, api_key=SecretStr("key"))
    for path in ("/readyz", "/health", "/stats", "/runs", "/runs/1", "/findings", "/data", "/metrics", "/"):
        answer = client.get(path, headers={"X-API-Key": "key"})
        assert answer.status_code == 200, (path, answer.text)
    assert "resting" in {one["status"] for one in client.get("/runs").json()["data"]}


def test_a_server_that_runs_stays_ready_while_a_newer_version_migrates(serve: Serve, database_url: str) -> None:
    client = serve(database_url)
    assert client.get("/readyz").status_code == 200
    upgrade(database_url, "CREATE TABLE later_table (n int PRIMARY KEY)")
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/data").status_code == 200


def test_a_migration_that_breaks_something_is_refused_by_name(
    kasparro: Kasparro, serve: Serve, database_url: str, tmp_path: Path
) -> None:
    csv(tmp_path, 10)
    client = serve(database_url)
    assert client.get("/readyz").status_code == 200
    upgrade(database_url, f"-- needs: {LATER}\nALTER TABLE etl_run RENAME COLUMN holder TO worker")
    newest = shipped()[-1].number
    for command in (["run"], ["runs", "list"], ["migrate"]):
        said = kasparro(*command)
        assert said.code == 2
        assert (
            f"migration {LATER}_later, with which only versions of Kasparro work that know migration 9001" in said.err
        )
        assert f"this one knows them up to {newest:04d}. Install the version that made it" in said.err
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "kasparro migrate, or install a newer version" in answer.json()["detail"]
    assert client.get("/health").json()["status"] == "down"
    assert rows(database_url, "SELECT count(*) FROM etl_run") == [(0,)]


def test_what_is_taken_away_later_needs_the_version_that_can_do_without(database_url: str) -> None:
    """Expand, then contract: code that knows the first step runs on the second."""
    newest = shipped()[-1].number
    upgrade(database_url, f"-- needs: {newest:04d}\nDROP TABLE deleted_record")
    assert asyncio.run(_fits(database_url))
    ((oldest,),) = rows(database_url, f"SELECT oldest FROM schema_migration WHERE number = {LATER}")
    assert oldest == newest


def test_a_version_that_does_not_say_what_it_needs_is_refused(kasparro: Kasparro, database_url: str) -> None:
    rows(database_url, "INSERT INTO schema_migration (number, name, checksum) VALUES (9001, 'silent', 'x')")
    said = kasparro("runs", "list")
    assert said.code == 2
    assert "migration 9001, which this version of Kasparro does not know" in said.err


def test_a_database_from_before_the_rule_is_told_what_its_migrations_need(database_url: str) -> None:
    rows(database_url, "ALTER TABLE schema_migration DROP COLUMN oldest")
    assert asyncio.run(_fits(database_url))
    wanted = [(one.number, one.needs) for one in shipped()]
    assert rows(database_url, "SELECT number, oldest FROM schema_migration ORDER BY 1") == wanted


def test_a_migration_that_others_keep_from_its_tables_gives_way(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kasparro.store.migrate._ATTEMPTS", 1)
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE etl_run IN ACCESS SHARE MODE")
        with pytest.raises(StoreBusy, match="runs or other connections hold its tables"):
            upgrade(database_url, "ALTER TABLE etl_run ADD COLUMN later int")
        assert holder.execute("SELECT count(*) FROM etl_run").fetchone() == (0,), "nobody waits behind it"
    upgrade(database_url, "ALTER TABLE etl_run ADD COLUMN later int")


@pytest.mark.slow
def test_a_load_goes_on_while_a_newer_version_migrates(
    processes: Processes, provider: Provider, database_url: str, tmp_path: Path
) -> None:
    provider.pages = 100
    provider.hold("sales", 100)  # so that the load is not over before the migration
    load = processes.start(declare(tmp_path, provider.url, "sales"), "run")
    provider.wait_for("sales", 3)
    upgrade(database_url, more_of_everything(database_url))
    assert load.poll() is None, load.communicate()[0]
    provider.let_go()
    said, _ = load.communicate(timeout=120)
    assert load.returncode == 0, said
    assert rows(database_url, EXACT) == exact("sales", pages=100)
