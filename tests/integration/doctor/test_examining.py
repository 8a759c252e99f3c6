"""Databases that are not as Kasparro needs them: rights that are missing, read-only, another encoding, other owners."""

import uuid
from collections.abc import Iterator
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from tests.integration.conftest import url_of
from tests.integration.doctor.test_doctor import ask, looked, state
from tests.integration.stories.conftest import Kasparro

from kasparro.store.database import connect, place_of
from kasparro.store.examining import _pooled, examine


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
    said = kasparro("doctor", "--json").out
    for words in ("make schemas", "make tables", "make temporary tables"):
        assert f"{role} may not {words}: permission denied" in said
    lines = looked(kasparro, code=1)
    assert "REASSIGN OWNED BY postgres" in lines["database", "rights"]["remedy"]
    ask(database_url, f"DROP OWNED BY {role}")


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
    lines = looked(kasparro, code=1)
    assert "LATIN1" in lines["database", "encoding"]["says"]
    ask(server_url, f"DROP DATABASE {name}")


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


async def test_what_is_tried_leaves_nothing_behind(database_url: str) -> None:
    before = ask(database_url, "SELECT count(*) FROM pg_class", "SELECT count(*) FROM pg_class")
    found = await examine(database_url)
    assert found.refused == {}
    assert found.pooled is False
    assert abs(found.clock_ahead) < 2
    assert found.missing == ()
    assert ask(database_url, "SELECT count(*) FROM pg_class") == before
    with psycopg.connect(database_url) as connection:
        locks = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert locks == (0,)


async def test_connections_that_one_process_serves_are_noticed(database_url: str) -> None:
    """As behind a pooler of transactions, where the same process answers on both."""
    async with await connect(database_url) as one, await connect(database_url) as other:
        assert await _pooled(one, one)
        assert not await _pooled(one, other)
