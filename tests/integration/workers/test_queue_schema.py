"""The tables of the queue: made with ours, moved on step by step, and nobody else's."""

from importlib.metadata import version
from pathlib import Path

import psycopg
import pytest
from procrastinate.schema import SchemaManager

from kasparro.errors import Misconfigured
from kasparro.store import queue_schema
from kasparro.store.database import connect
from kasparro.store.migrate import is_current, migrate

MADE = """
SELECT 'column', table_name || '.' || column_name, data_type || coalesce(column_default, '')
FROM information_schema.columns WHERE table_name LIKE 'procrastinate%'
UNION ALL
SELECT 'function', proname, pg_get_function_identity_arguments(oid) FROM pg_proc WHERE proname LIKE 'procrastinate%'
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'procrastinate%'
UNION ALL
SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname LIKE 'procrastinate%'
ORDER BY 1, 2, 3"""


def made(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return [(kind, name) for kind, name, _ in connection.execute(MADE.encode()).fetchall()]


def test_the_latest_step_is_that_of_the_installed_version() -> None:
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    assert files[-1].stem == queue_schema.LATEST
    assert version("procrastinate").startswith("3.10.")


async def test_a_queue_of_an_older_version_is_moved_on(empty_url: str, database_url: str) -> None:
    async with await connect(empty_url) as connection:
        await migrate(connection)
        await connection.execute("DROP SCHEMA public CASCADE")
        await connection.execute("CREATE SCHEMA public")
        old = [step for step in queue_schema.steps(after="") if step.stem < "03.01"]
        assert len(old) > 20
        await connection.execute(
            "CREATE TABLE queue_schema (one bool PRIMARY KEY DEFAULT true, made text, made_at timestamptz)"
        )
        for step in old:
            await connection.execute(step.read_bytes())
        await connection.execute("INSERT INTO queue_schema (made) VALUES (%s)", [old[-1].stem])
        assert not await queue_schema.is_installed(connection)
        await queue_schema.install(connection)
        assert await queue_schema.is_installed(connection)
    assert made(empty_url) == made(database_url)


async def test_tables_of_another_application_are_refused(empty_url: str) -> None:
    async with await connect(empty_url) as connection:
        await connection.execute(SchemaManager.get_schema())
        with pytest.raises(Misconfigured, match="another application made; its workers would take our runs"):
            await migrate(connection)
        cursor = await connection.execute("SELECT to_regclass('etl_run') IS NULL")
        assert await cursor.fetchone() == (True,)  # nothing is left of the attempt


async def test_a_queue_of_a_later_version_is_used_as_long_as_it_fits(database_url: str) -> None:
    async with await connect(database_url) as connection:
        await connection.execute("UPDATE queue_schema SET made = '03.99.00_01_more'")
        await migrate(connection)
        assert await is_current(connection)
        cursor = await connection.execute("SELECT made FROM queue_schema")
        assert await cursor.fetchone() == ("03.99.00_01_more",)
        await connection.execute("DROP FUNCTION procrastinate_fetch_job_v2")
        with pytest.raises(Misconfigured, match=r"moved on to 03\.99\.00_01_more by a later version"):
            await migrate(connection)
        with pytest.raises(Misconfigured, match="later version"):
            await is_current(connection)
