"""Databases that are not as Kasparro needs them: rights that are missing, read-only, another encoding, other owners."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from tests.integration.conftest import LOCKS, url_of
from tests.integration.doctor.test_doctor import ask, looked, state
from tests.integration.stories.conftest import Kasparro

from kasparro.store.database import connect, place_of
from kasparro.store.examining import _pooled, examine

SECURITY = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
OF_OTHERS = """
SELECT relname FROM pg_class
WHERE relnamespace::regnamespace::text IN ('public', 'data', 'refresh') AND relowner::regrole::text <> '{0}'
UNION ALL SELECT proname FROM pg_proc
WHERE pronamespace::regnamespace::text = 'public' AND proowner::regrole::text <> '{0}'
UNION ALL SELECT typname FROM pg_type
WHERE typnamespace::regnamespace::text = 'public' AND typowner::regrole::text <> '{0}'
"""
"""What of ours does not belong to a role."""


@pytest.fixture
def role(server_url: str) -> Iterator[str]:
    """A role that may log in and no more."""
    name = f"reader_{uuid.uuid4().hex[:8]}"
    ask(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    yield name
    ask(server_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:x@{parts.netloc.rpartition('@')[2]}"))


def with_option(url: str, option: str) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}options={quote('-c ' + option)}"


def rights(kasparro: Kasparro, code: int = 0) -> list[dict[str, Any]]:
    said = kasparro("doctor", "--json")
    assert said.code == code, said.out + said.err
    return [one for one in map(json.loads, said.out.splitlines()) if one["subject"] == "rights"]


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)


def test_an_empty_database_is_no_problem(kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, empty_url: str) -> None:
    use(monkeypatch, empty_url)
    lines = looked(kasparro)
    assert state(lines, "database", "schema") == "warning"
    assert "kasparro migrate" in lines["database", "schema"]["remedy"]
    assert ask(empty_url, "SELECT to_regclass('schema_migration')") == [(None,)], "it migrated nothing"


def test_rights_that_are_missing_are_named(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, database_url: str, role: str
) -> None:
    name = place_of(database_url).split("/")[-1]
    ask(database_url, f'REVOKE TEMP ON DATABASE "{name}" FROM PUBLIC', f"GRANT SELECT ON schema_migration TO {role}")
    ask(database_url, f"GRANT pg_read_all_data TO {role}")
    use(monkeypatch, as_role(database_url, role))
    found = rights(kasparro, code=1)
    refused = [one for one in found if " may not make " in one["says"]]
    assert [one["says"].split(": ")[0] for one in refused] == [
        f"{role} may not make {what}" for what in ("schemas", "tables", "temporary tables")
    ]
    assert f"{role} may not read and write all tables of Kasparro, such as " in found[-1]["says"]
    assert len(found) == len(refused) + 1, "what follows from another line is not told"
    for one in refused:
        ask(database_url, one["remedy"].removeprefix("Let the owner of the database run: "))
    assert [one["state"] for one in rights(kasparro, code=1)] == ["problem"], "each remedy helped"
    ask(database_url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    (left,) = rights(kasparro)
    assert (left["state"], left["says"]) == ("warning", f"tables belong to postgres, so {role} cannot migrate them")
    ask(database_url, f"DROP OWNED BY {role}")


def test_tables_of_another_role_go_to_ours_as_documented(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, database_url: str, role: str, tmp_path: Path
) -> None:
    """Those of the superuser that made the cluster, too: it takes no REASSIGN OWNED."""
    (tmp_path / "s.csv").write_text("id\n1\n")
    assert kasparro("run", "s.csv").code == 0
    use(monkeypatch, as_role(database_url, role))
    found = rights(kasparro, code=1)
    assert [one["state"] for one in found] == ["problem"] * len(found)
    assert found[-1]["remedy"].endswith("docs/security.md, Rights in PostgreSQL.")
    assert kasparro("run", "s.csv").code == 2
    (block,) = (one.split("```")[0] for one in SECURITY.split("```sql")[1:] if "DO $$" in one)
    ask(database_url, block.replace("TO kasparro", f"TO {role}"))
    (right,) = rights(kasparro)
    assert right["says"] == f"{role} may do all that Kasparro needs"
    (tmp_path / "s.csv").write_text("id\n1\n2\n")
    assert kasparro("run", "s.csv").code == 0
    assert ask(database_url, OF_OTHERS.format(role)) == []
    ask(database_url, f"REASSIGN OWNED BY {role} TO postgres")


def test_a_role_that_owns_its_database_may_do_all(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, empty_url: str, role: str
) -> None:
    ask(empty_url, f'ALTER DATABASE "{place_of(empty_url).split("/")[-1]}" OWNER TO {role}')
    use(monkeypatch, as_role(empty_url, role))
    assert kasparro("migrate").code == 0
    lines = looked(kasparro)
    assert lines["database", "rights"]["says"] == f"{role} may do all that Kasparro needs"
    ask(empty_url, f"REASSIGN OWNED BY {role} TO postgres")


def test_a_database_that_is_read_only(kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    use(monkeypatch, with_option(database_url, "default_transaction_read_only=on"))
    lines = looked(kasparro, code=1)
    assert state(lines, "database", "read-only") == "problem"


def test_another_encoding(kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, server_url: str) -> None:
    name = f"latin_{uuid.uuid4().hex[:8]}"
    ask(server_url, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    use(monkeypatch, url_of(server_url, name))
    try:
        lines = looked(kasparro, code=1)
    finally:
        ask(server_url, f"DROP DATABASE {name} WITH (FORCE)")
    assert "LATIN1" in lines["database", "encoding"]["says"]


def test_a_schema_of_a_version_that_this_one_is_too_old_for(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    use(monkeypatch, database_url)
    ask(database_url, "INSERT INTO schema_migration VALUES (9001, 'later', 'x', now(), 9001)")
    lines = looked(kasparro, code=1)
    assert "migration 9001_later" in lines["database", "schema"]["says"]
    ask(database_url, "DELETE FROM schema_migration WHERE number = 9001 OR number = 11")
    assert "0011_parked" in looked(kasparro)["database", "schema"]["says"]


def test_few_connections_and_lost_commits(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    name = place_of(database_url).split("/")[-1]
    ask(database_url, f'ALTER DATABASE "{name}" CONNECTION LIMIT 10')
    ask(database_url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    use(monkeypatch, database_url)
    lines = looked(kasparro)
    assert state(lines, "database", "connections") == "warning"
    assert "KASPARRO_CONCURRENCY" in lines["database", "connections"]["remedy"]
    durability, off = lines["database", "durability"], ask(database_url, "SHOW fsync") == [("off",)]
    assert durability["state"] == "warning"
    assert ("fsync" if off else "synchronous_commit") in durability["says"]


async def test_what_is_tried_leaves_nothing_behind(database_url: str) -> None:
    before = ask(database_url, "SELECT count(*) FROM pg_class", "SELECT count(*) FROM pg_class")
    found = await examine(database_url)
    assert found.refused == {}
    assert found.pooled is False
    assert abs(found.clock_ahead) < 2
    assert found.missing == ()
    assert ask(database_url, "SELECT count(*) FROM pg_class") == before
    with psycopg.connect(database_url) as connection:
        locks = connection.execute(f"SELECT count(*) {LOCKS}".encode()).fetchone()
    assert locks == (0,)


@pytest.mark.slow
async def test_the_clock_is_right_where_the_size_of_the_database_takes_long(database_url: str) -> None:
    name = place_of(database_url).split("/")[-1]
    ask(
        database_url,
        "CREATE SCHEMA slow",
        "CREATE FUNCTION slow.pg_database_size(name) RETURNS bigint LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(3)'",
        f'ALTER DATABASE "{name}" SET search_path = slow, pg_catalog, public',
    )
    found = await examine(database_url)
    assert found.server["size"] == 1, "it was asked"
    assert abs(found.clock_ahead) < 1
    assert found.latency < 2


async def test_connections_that_one_process_serves_are_noticed(database_url: str) -> None:
    """As behind a pooler of transactions, where the same process answers on both."""
    async with await connect(database_url) as one, await connect(database_url) as other:
        assert await _pooled(one, one)
        assert not await _pooled(one, other)
