"""The doctor: what is well, what is not, what to do about it; it changes nothing, shows no secret, and ends."""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.conftest import nobody, url_of
from tests.integration.stories.conftest import Kasparro, Said, reply

Server = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]
Lines = dict[tuple[str, str], dict[str, Any]]


def lines_of(said: Said) -> Lines:
    found = [json.loads(line) for line in said.out.splitlines()]
    assert all(one.keys() == {"area", "subject", "state", "says", "remedy"} for one in found)
    assert all((one["remedy"] is None) == (one["state"] == "ok") for one in found), "each has a remedy"
    return {(one["area"], one["subject"]): one for one in found}


def looked(kasparro: Kasparro, code: int = 0) -> Lines:
    said = kasparro("doctor", "--json")
    assert said.code == code, said.out + said.err
    return lines_of(said)


def state(lines: Lines, area: str, subject: str) -> str:
    return str(lines[area, subject]["state"])


def configure(folder: Path, text: str) -> None:
    (folder / "kasparro.yaml").write_text(text)


def ask(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursors = [connection.execute(one) for one in statements]  # type: ignore[arg-type,unused-ignore]
        return cursors[-1].fetchall() if cursors[-1].description else []


@contextmanager
def deaf() -> Iterator[int]:
    """Give the port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_all_is_well(kasparro: Kasparro, server: Server, tmp_path: Path, database_url: str) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["Authorization"])
        reply(200, b'[{"id": 1}]')(handler)

    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.csv").write_text("id\n2\n")
    configure(
        tmp_path,
        f"""\
sources:
  files: {{type: csv, path: "*.csv"}}
  api: {{type: api, url: "{server(answer)}", auth: {{type: bearer, token: "s3cret-token"}}}}
""",
    )
    before = ask(database_url, "SELECT relname, relnamespace FROM pg_class ORDER BY 1, 2")
    lines = looked(kasparro)
    assert {one["state"] for one in lines.values() if one["area"] != "database"} == {"ok"}
    assert lines["sources", "files"]["says"] == "2 files, 0.0 MiB"
    assert lines["sources", "api"]["says"].startswith("answered 200 in")
    assert asked == ["Bearer s3cret-token"], "once, with its credentials"
    for subject in ("version", "schema", "rights", "connections"):
        assert state(lines, "database", subject) == "ok"
    durability, off = lines["database", "durability"], ask(database_url, "SHOW fsync") == [("off",)]
    assert (durability["state"], "fsync" in durability["says"]) == (("warning", True) if off else ("ok", False))
    assert ask(database_url, "SELECT relname, relnamespace FROM pg_class ORDER BY 1, 2") == before
    assert ask(database_url, "SELECT count(*) FROM etl_run") == [(0,)]


def test_for_people_each_line_has_its_remedy_below(kasparro: Kasparro) -> None:
    said = kasparro("doctor")
    assert said.code == 0
    at = next(n for n, line in enumerate(said.out.splitlines()) if "there is no kasparro.yaml here" in line)
    assert said.out.splitlines()[at].startswith("warning configuration")
    assert said.out.splitlines()[at + 1].strip().startswith("Write one with: kasparro init")
    assert re.fullmatch(r"problems: 0, warnings: \d, ok: \d+", said.out.splitlines()[-1])


@pytest.mark.slow
def test_sources_that_are_not_there_are_problems_and_hide_no_other(
    kasparro: Kasparro, server: Server, tmp_path: Path
) -> None:
    with deaf() as port, nobody() as closed:
        os.mkfifo(tmp_path / "pipe.csv")
        configure(
            tmp_path,
            f"""\
sources:
  missing: {{type: csv, path: nowhere.csv}}
  pipe: {{type: csv, path: pipe.csv}}
  closed: {{type: api, url: "http://127.0.0.1:{closed}/"}}
  deaf: {{type: rss, url: "http://127.0.0.1:{port}/feed", http: {{read_timeout: 1}}}}
  denied: {{type: api, url: "{server(reply(401, b"no"))}", auth: {{type: bearer, token: "${{TOKEN:-s3cret-token}}"}}}}
  busy: {{type: api, url: "{server(reply(429, b"", Retry_After="86400"))}"}}
  gone: {{type: csv, url: "{server(reply(404, b""))}?token=s3cret-token"}}
  there: {{type: api, url: "{server(reply(200, b"[]"))}"}}
""",
        )
        since = time.monotonic()
        said = kasparro("doctor", "--json")
    assert time.monotonic() - since < 30, "all at once, and each with a limit"
    lines = lines_of(said)
    assert said.code == 1
    names = ("missing", "pipe", "closed", "deaf", "denied", "gone")
    assert {name: state(lines, "sources", name) for name in names} == dict.fromkeys(names, "problem")
    assert state(lines, "sources", "busy") == "warning", "it lives, and asks to wait"
    assert state(lines, "sources", "there") == "ok"
    assert "no file nowhere.csv" in lines["sources", "missing"]["says"]
    assert "DNS, proxy, firewall" in lines["sources", "closed"]["remedy"]
    assert "credentials" in lines["sources", "denied"]["remedy"]
    assert "s3cret-token" not in said.out + said.err


@pytest.mark.slow
def test_addresses_that_are_slow_are_not_all_waited_for(kasparro: Kasparro, server: Server, tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        time.sleep(6)
        reply(200, b"id\n1\n")(handler)

    url = server(answer)
    configure(tmp_path, f"sources:\n  s: {{type: csv, path: [{', '.join(f'{url}/{n}' for n in range(9))}]}}\n")
    says = looked(kasparro)["sources", "s"]["says"]
    assert len(asked) in {1, 2}
    assert says.count("answered 200 in") == len(asked)
    assert says.endswith(f"{9 - len(asked)} more addresses were not asked, as time was up")


def test_it_asks_nobody_beyond_what_is_allowed(kasparro: Kasparro, server: Server, tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        reply(200, b"[]")(handler)

    configure(tmp_path, f'sources:\n  s: {{type: api, url: "{server(answer)}", rate_limit: 1/h}}\n')
    assert state(looked(kasparro), "sources", "s") == "ok"
    lines = looked(kasparro)
    assert state(lines, "sources", "s") == "warning"
    assert "rate_limit" in lines["sources", "s"]["remedy"]
    assert len(asked) == 1


def test_a_source_that_asks_to_come_back_in_a_second_is_asked_once(
    kasparro: Kasparro, server: Server, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        reply(429, b"", Retry_After="1")(handler)

    configure(tmp_path, f'sources:\n  s: {{type: api, url: "{server(answer)}"}}\n')
    line = looked(kasparro)["sources", "s"]
    assert (line["state"], len(asked)) == ("warning", 1)
    assert "asked to wait for 1 s" in line["says"]


def test_mistakes_in_the_configuration_are_named_each_with_its_place(kasparro: Kasparro, tmp_path: Path) -> None:
    configure(
        tmp_path,
        """\
sources:
  coins:
    type: api
    url: https://api.example.com/
    auth: {type: bearer, token: "${COINS_TOKEN}"}
    primry_key: id
""",
    )
    lines = looked(kasparro, code=1)
    token = lines["configuration", "sources.coins.auth.token"]
    assert "COINS_TOKEN is not set" in token["says"]
    assert token["remedy"] == "Correct kasparro.yaml, line 5."
    assert "primary_key" in lines["configuration", "sources.coins.primry_key"]["says"]
    assert state(lines, "sources", "all") == "warning"
    assert state(lines, "database", "schema") == "ok", "the rest was looked at"


@pytest.mark.slow
def test_a_configuration_that_never_ends(kasparro: Kasparro, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kasparro.yaml")
    lines = looked(kasparro, code=1)
    assert state(lines, "configuration", "file") == "problem"
    assert state(lines, "database", "schema") == "ok"


def test_mistakes_in_the_environment_are_named(kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KASPARRO_PORT", "many")
    monkeypatch.setenv("KASPARRO_HOM", "/tmp")
    lines = looked(kasparro, code=1)
    assert state(lines, "environment", "KASPARRO_PORT") == "problem"
    assert "KASPARRO_HOME" in lines["environment", "KASPARRO_HOM"]["says"]


@pytest.mark.parametrize(
    ("environment", "expected", "words"),
    [
        ({"ENVIRONMENT": "production"}, "problem", "no API_KEY"),
        ({"KASPARRO_HOST": "0.0.0.0"}, "warning", "reads are open to others"),
        ({"API_KEY": "short-key"}, "warning", "can be guessed"),
        ({"API_KEY": "a" * 40, "ENVIRONMENT": "production", "KASPARRO_HOST": "0.0.0.0"}, "ok", "fit production"),
    ],
)
def test_who_may_use_the_api(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str, words: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = kasparro("doctor", "--json")
    one = lines_of(said)["API", "access"]
    assert (one["state"], words in one["says"]) == (expected, True)
    assert "short-key" not in said.out


def test_an_env_file_that_others_may_read(kasparro: Kasparro, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_KEY=" + "a" * 40)
    (tmp_path / ".env").chmod(0o644)
    assert looked(kasparro)["environment", ".env"]["remedy"] == "Close it: chmod 600 .env"
    (tmp_path / ".env").chmod(0o600)
    assert ("environment", ".env") not in looked(kasparro)


def test_channels_are_connected_to_and_nothing_is_sent(kasparro: Kasparro, server: Server, tmp_path: Path) -> None:
    sent: list[str] = []
    url = server(lambda handler: sent.append(handler.path))
    configure(
        tmp_path,
        f"""\
sources:
  s: {{type: csv, path: s.csv}}
notifications:
  ops: {{type: webhook, url: "{url}/s3cret-path"}}
  mail: {{type: email, host: 127.0.0.1, port: 1, from: a@example.com, to: b@example.com}}
""",
    )
    (tmp_path / "s.csv").write_text("id\n1\n")
    said = kasparro("doctor", "--json")
    lines = lines_of(said)
    assert said.code == 0
    assert state(lines, "notifications", "ops") == "ok"
    assert state(lines, "notifications", "mail") == "warning"
    assert sent == []
    assert "s3cret-path" not in said.out


def test_sources_that_wait(kasparro: Kasparro, database_url: str) -> None:
    insert = """
WITH run AS (INSERT INTO etl_run (source, status, finished_at, resume_at, holder, config_hash, code_version)
             VALUES ('{0}', 'parked', now(), now() + '{1}', 'x', 'x', '0') RETURNING id)
INSERT INTO etl_source (source, kind, dataset, origin, last_run_id) SELECT '{0}', 'api', 'd', 'o', id FROM run"""
    ask(database_url, insert.format("later", "1 hour"), insert.format("due", "-1 hour"))
    ask(
        database_url,
        "INSERT INTO host_breaker (host, state, retry_at, openings, failures, reason) "
        "VALUES ('api.example.com', 'open', now() + interval '1 minute', 1, 8, 'answered 503')",
    )
    lines = looked(kasparro)
    assert state(lines, "workers", "api.example.com") == "warning"
    assert "answered 503" in lines["workers", "api.example.com"]["says"]
    assert state(lines, "workers", "later") == "ok"
    assert state(lines, "workers", "due") == "warning"
    assert lines["workers", "due"]["remedy"].endswith("kasparro run due")


def test_workers_that_differ(kasparro: Kasparro, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id\n1\n")
    configure(tmp_path, "sources:\n  s: {type: csv, path: s.csv, schedule: every 1h}\n")
    assert state(looked(kasparro), "workers", "none") == "warning"
    insert = """
INSERT INTO worker (id, name, host, pid, version, config_hash, sources, concurrency, lease, heartbeat_at)
VALUES ({0}, 'w{0}', 'h', 1, '{1}', '{2}', '{{}}', 1, '1 minute', clock_timestamp() - interval '{3}')"""
    ask(
        database_url, insert.format(1, "0.0.9", "aaaaaaaaaaaa", "1 s"), insert.format(2, "0.0.9", "bbbbbbbbbbbb", "1 s")
    )
    ask(database_url, insert.format(3, "0.0.1", "cccccccccccc", "1 hour"))
    lines = looked(kasparro)
    assert lines["workers", "alive"]["says"] == "2 alive: w1, w2", "the third is lost"
    assert "0.0.9" in lines["workers", "version"]["says"]
    assert lines["workers", "configuration"]["says"].endswith("): w1: aaaaaaaa; w2: bbbbbbbb")
    ours = re.findall(r"than this one \((\w+)\)", lines["workers", "configuration"]["says"])[0]
    assert state(lines, "workers", "s") == "warning", "nobody knows the source"
    (tmp_path / "kasparro.yaml").unlink()
    ask(database_url, f"UPDATE worker SET config_hash = '{ours}'")
    assert ("workers", "configuration") not in looked(kasparro), "they agree, and there is no other here"


def test_a_database_that_is_away_hangs_or_refuses(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:s3cret-word@127.0.0.1:1/nowhere")
    said = kasparro("doctor", "--json")
    assert said.code == 1
    assert state(lines_of(said), "database", "connection") == "problem"
    assert "s3cret-word" not in said.out + said.err
    monkeypatch.setenv("DATABASE_URL", url_of(server_url, "no_such_database"))
    assert "does not exist" in looked(kasparro, code=1)["database", "connection"]["says"]
    monkeypatch.setenv("DATABASE_URL", "not a connection string")
    assert state(looked(kasparro, code=1), "environment", "DATABASE_URL") == "problem"


@pytest.mark.slow
def test_a_database_that_hangs_is_given_up(kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf() as port:
        monkeypatch.setenv("DATABASE_URL", f"postgresql://me@127.0.0.1:{port}/nowhere")
        since = time.monotonic()
        lines = looked(kasparro, code=1)
    assert state(lines, "database", "connection") == "problem"
    assert time.monotonic() - since < 30
