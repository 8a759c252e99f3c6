from dataclasses import replace

import psycopg
import pytest

from kasparro.errors import Misconfigured
from kasparro.store.database import Database, connect
from kasparro.store.migrate import Migration, is_current, migrate, shipped

SCHEMA = """
SELECT table_schema, table_name, column_name, data_type, column_default, is_nullable
FROM information_schema.columns WHERE table_schema IN ('public', 'data') ORDER BY 1, 2, ordinal_position
"""


def tables(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(SCHEMA).fetchall()


async def test_a_fresh_schema_equals_one_migrated_step_by_step(empty_url: str, database_url: str) -> None:
    async with await connect(empty_url) as connection:
        for upto in range(1, len(shipped()) + 1):
            applied = await migrate(connection, shipped()[:upto])
            assert [one.number for one in applied] == [shipped()[upto - 1].number]
        assert await is_current(connection)
    assert tables(empty_url) == tables(database_url)
    assert any(row[1] == "normalized_data" for row in tables(empty_url))


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    async with await connect(database_url) as connection:
        assert await migrate(connection) == []


async def test_whoever_is_frozen_in_a_start_does_not_keep_all_others_from_starting(empty_url: str) -> None:
    bound = "current_setting('idle_in_transaction_session_timeout')"
    one = Migration(number=1, name="one", sql=f"CREATE TABLE seen AS SELECT {bound} AS inside")
    async with await connect(empty_url) as connection:
        await migrate(connection, [one])
        found = await (await connection.execute(f"SELECT inside, {bound} FROM seen")).fetchall()
    assert found == [("10s", "0")]  # then the server ends it, and with it the lock


async def test_an_applied_file_that_changed_is_refused(empty_url: str) -> None:
    async with await connect(empty_url) as connection:
        await migrate(connection)
        changed = [replace(shipped()[0], sql="SELECT 1"), *shipped()[1:]]
        with pytest.raises(Misconfigured, match="0001_first was applied with another text"):
            await migrate(connection, changed)


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO schema_migration VALUES (9999, 'later', 'x')")
    with pytest.raises(Misconfigured, match="migration 9999"):
        async with Database(database_url):
            pass


async def test_serving_without_migrations_names_the_remedy(empty_url: str) -> None:
    with pytest.raises(Misconfigured, match="kasparro migrate"):
        async with Database(empty_url, migrations="check"):
            pass
