"""Claims of docs/security.md that no other test holds: addresses, statements, roles, and where secrets end up."""

import sys
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.integration.stories.conftest import Kasparro, reply

Serve = Callable[..., TestClient]
Server = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]

SECURITY = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")

TABLES = """
SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema IN ('public', 'data', 'refresh')"""


def ask(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursors = [connection.execute(one) for one in statements]  # type: ignore[arg-type,unused-ignore]
        return cursors[-1].fetchall() if cursors[-1].description else []


@pytest.mark.parametrize(
    "path",
    [
        "/docs-assets/../../../../etc/passwd",
        "/docs-assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/docs-assets//etc/passwd",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/static/%00",
        "/data/..%2f..%2fetl_run",
        "/data/etl_run",
        "/data/pg_catalog.pg_authid",
    ],
)
def test_no_address_leads_to_a_file_or_table_that_is_not_served(serve: Serve, database_url: str, path: str) -> None:
    answer = serve(database_url).get(path)
    assert answer.status_code in {404, 422}
    assert "root:" not in answer.text


@pytest.mark.parametrize("text", ["x' OR '1'='1", 'x"; DROP TABLE etl_run; --', "%", "x\\", "$1", "{0}", "%(limit)s"])
def test_no_text_becomes_a_statement(serve: Serve, seeded_url: str, text: str) -> None:
    client = serve(seeded_url)
    for path in ("/data?source=", "/runs?source=", "/findings?source=", "/data/"):
        answer = client.get(path + quote(text, safe=""))
        assert answer.status_code in {200, 404, 422}, answer.text
        if answer.status_code == 200:
            assert answer.json()["data"] == []
    assert ask(seeded_url, "SELECT count(*) > 0 FROM etl_run") == [(True,)]


def test_names_of_sources_datasets_and_columns_are_no_statements(
    kasparro: Kasparro, database_url: str, tmp_path: Path
) -> None:
    odd = "a'; DROP TABLE etl_run; --"
    (tmp_path / "s.csv").write_text(f'id,"{odd}","x""y"\n1,{odd},2\n')
    assert kasparro("run", "s.csv").code == 0
    assert ask(database_url, "SELECT attributes ->> 'x\"y' FROM normalized_data") == [("2",)]
    (tmp_path / "kasparro.yaml").write_text(
        f'sources:\n  "{odd}": {{type: csv, path: s.csv, dataset: "{odd}"}}\n'
        f'datasets:\n  "{odd}": {{fields: {{id: text}}}}\n'
    )
    assert kasparro("check").code == 2
    assert ask(database_url, "SELECT count(*) FROM etl_run") == [(1,)]


@pytest.fixture
def reader(server_url: str) -> Iterator[str]:
    name = f"reader_{uuid.uuid4().hex[:8]}"
    ask(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    yield name
    ask(server_url, f"DROP ROLE {name}")


def test_a_role_that_reads_rows_with_sql_as_documented(
    kasparro: Kasparro, database_url: str, reader: str, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text("id,name\n1,a\n")
    (tmp_path / "kasparro.yaml").write_text(
        "sources:\n  s: {type: csv, path: s.csv, dataset: sales}\n"
        "datasets:\n  sales: {fields: {id: integer, name: text}}\n"
    )
    block = SECURITY.split("```sql")[-1].split("```")[0]
    statements = [" ".join(one.split()) for one in block.replace("CREATE ROLE reader", "-- ").split(";")]
    assert kasparro("run").code == 0
    owner = ask(database_url, "SELECT current_user")[0][0]
    name = urlsplit(database_url).path.strip("/")
    for statement in statements:
        if statement and not statement.startswith("--"):
            filled = statement.replace(" reader", f" {reader}").replace("ROLE kasparro", f"ROLE {owner}")
            ask(database_url, filled.replace("DATABASE kasparro", f'DATABASE "{name}"'))
    parts = urlsplit(database_url)
    theirs = urlunsplit(parts._replace(netloc=f"{reader}:x@{parts.netloc.rpartition('@')[2]}"))
    assert ask(theirs, "SELECT id, name FROM data.sales") == [(1, "a")]
    assert ask(theirs, "SELECT count(*) FROM normalized_data") == [(0,)]
    for statement in ("DELETE FROM data.sales", "SELECT * FROM raw_page", "SELECT * FROM etl_run", "CREATE TABLE x ()"):
        with pytest.raises(errors.InsufficientPrivilege):
            ask(theirs, statement)
    (tmp_path / "kasparro.yaml").write_text(
        "sources:\n  t: {type: csv, path: s.csv, dataset: later}\ndatasets:\n  later: {fields: {id: integer}}\n"
    )
    assert kasparro("run").code == 0
    assert ask(theirs, "SELECT id FROM data.later") == [(1,)], "datasets that are declared later, too"
    ask(database_url, f"DROP OWNED BY {reader}")


def test_secrets_are_in_no_table_and_no_output(
    kasparro: Kasparro, server: Server, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cret-" + uuid.uuid4().hex
    monkeypatch.setenv("TOKEN", secret)
    good, bad = server(reply(200, b'[{"id": 1}]')), server(reply(401, f"no such token {secret}".encode()))
    (tmp_path / "kasparro.yaml").write_text(
        f"""\
sources:
  good: {{type: api, url: "{good}?api_key=${{TOKEN}}", auth: {{type: bearer, token: "${{TOKEN}}"}}}}
  bad: {{type: api, url: "{bad}", headers: {{X-Token: "${{TOKEN}}"}}}}
"""
    )
    said = [kasparro("run"), kasparro("run", "--json"), kasparro("check"), kasparro("doctor"), kasparro("sources")]
    said += [kasparro("runs", "list"), kasparro("runs", "show", "1"), kasparro("checkpoint", "show", "good")]
    assert [secret in one.out + one.err for one in said] == [False] * len(said)
    for (table,) in ask(database_url, TABLES):
        found = ask(database_url, f"SELECT count(*) FROM {table} AS one WHERE one::text LIKE '%{secret}%'")
        assert found == [(0,)], table


def test_the_key_is_asked_for_before_anything_is_looked_at(serve: Serve, database_url: str) -> None:
    client = serve(database_url, api_key=SecretStr("k" * 40), public_read=False)
    for path in ("/data", "/data/nothing", "/runs", "/runs/1", "/findings", "/stats", "/metrics", "/data?limit=x"):
        assert client.get(path).status_code == 401, path
    for path in ("/runs/1/release", "/runs/1/drop", "/runs"):
        assert client.post(path).status_code == 401, path


@pytest.mark.skipif(sys.platform != "linux", reason="the command line of a process is read from /proc")
def test_no_process_has_the_address_of_the_database_in_its_command_line(kasparro: Kasparro, database_url: str) -> None:
    own = kasparro("psql", "--", "-Atc", r"\! cat /proc/$PPID/cmdline | tr '\0' ' '")
    assert own.code == 0
    assert "psql" in own.out
    assert urlsplit(database_url).path.strip("/") not in own.out
