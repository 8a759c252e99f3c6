"""Whatever is wrong ends in one clear sentence, the right exit code, and the reason in `etl_run`."""

import gzip
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.conftest import nobody
from tests.integration.stories.conftest import Answer, Kasparro, Said, reply

TABLE = "id,title\n1,a\n2,b\n"


def runs(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT status, error_code, error FROM etl_run ORDER BY id").fetchall()


def failed(said: Said, url: str, *words: str, code: int = 1) -> None:
    """The last run failed, for a reason that holds the words and is what the user was told."""
    assert said.code == code, said
    status, _, error = runs(url)[-1]
    assert status == "failed"
    assert error in said.err
    assert all(word in error for word in words), error
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", ["empty.csv", "empty"]),
        ("zip.csv", b"PK\x03\x04" + bytes(range(256)) * 8, ["zip.csv"]),
        ("binary.csv", bytes(range(256)) * 40, ["binary.csv"]),
        ("page.csv", b"<!DOCTYPE html><html><body>Log in</body></html>", ["page.csv", "HTML"]),
        ("ragged.csv", b"a,b,c\n1,2\n3,4\n5,6\n", ["ragged.csv", "line 1"]),
        ("cut.csv.gz", gzip.compress(TABLE.encode() * 1000, mtime=0)[:-20], ["cut.csv.gz"]),
    ],
)
def test_files_that_are_no_table(  # noqa: PLR0917
    kasparro: Kasparro, database_url: str, tmp_path: Path, name: str, content: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    said = kasparro("run", name)
    failed(said, database_url, *words, code=2 if runs(database_url)[-1][1] == "misconfigured" else 1)


def test_a_missing_file(kasparro: Kasparro, database_url: str) -> None:
    said = kasparro("run", "nothing.csv")
    failed(said, database_url, "nothing.csv", code=said.code)
    assert said.code in {1, 2}


def test_a_directory(kasparro: Kasparro, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    said = kasparro("run", "folder.csv")
    failed(said, database_url, "folder.csv is a folder", code=said.code)


def test_a_header_alone_is_no_error(kasparro: Kasparro, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "header.csv").write_text("id,title\n")
    assert kasparro("run", "header.csv").code == 0
    assert runs(database_url) == [("success", None, None)]


def test_a_wrong_encoding_that_was_stated(kasparro: Kasparro, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes("id,title\n1,caf\xe9\n2,ok\n".encode("latin-1"))
    (tmp_path / "kasparro.yaml").write_text(
        "sources:\n  l: {type: csv, path: l.csv, encoding: utf-8, primary_key: id}\n"
    )
    said = kasparro("run")
    assert said.code == 3
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT place, code FROM rejected_record").fetchall() == [("l.csv:2", "encoding")]
        assert connection.execute("SELECT record_key FROM normalized_data").fetchall() == [("2",)]


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "closed.csv"
    file.write_text(TABLE)
    file.chmod(0o000)
    # Root stays root and loses the right to read everything; with it goes the database's socket, so: preview.
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-m", "kasparro", "preview", "closed.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in {1, 2}
    assert done.stderr.startswith("error: ")
    assert "closed.csv" in done.stderr
    assert "read" in done.stderr
    assert "Traceback" not in done.stderr


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"[1")
    for _ in range(10_000):
        handler.wfile.write(b",1" * 5_000)


def declared(tmp_path: Path, url: str) -> None:
    options = "http: {attempts: 2, first_wait: 0, max_bytes: 1000000}"
    (tmp_path / "kasparro.yaml").write_text(f"sources:\n  items: {{type: api, url: '{url}', {options}}}\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(200, b"<html><body>maintenance</body></html>"), ["HTML"]),
        (reply(401, b'{"error":"who are you"}'), ["401"]),
        (reply(200, b'[{"id": 1}', Content_Length="5000"), ["tried 2 times"]),
        (endless, ["1,000,000 bytes"]),
        (reply(500, b"oops"), ["500", "tried 2 times"]),
        (reply(200, b'{"a": [{"id": 1}], "b": [{"id": 2}]}'), ["records"]),
    ],
    ids=["html", "401", "truncated", "endless", "500", "two lists"],
)
def test_answers_that_are_no_records(  # noqa: PLR0917
    kasparro: Kasparro,
    database_url: str,
    tmp_path: Path,
    server: Callable[[Answer], str],
    answer: Answer,
    words: list[str],
) -> None:
    declared(tmp_path, server(answer))
    said = kasparro("run")
    failed(said, database_url, "/items", *words, code=2 if runs(database_url)[-1][1] == "misconfigured" else 1)


def test_a_server_that_refuses(kasparro: Kasparro, database_url: str, tmp_path: Path) -> None:
    with nobody() as port:
        declared(tmp_path, f"http://127.0.0.1:{port}/items?api_key=hunter22")
        said = kasparro("run")
    failed(said, database_url, f"127.0.0.1:{port}", "tried 2 times")
    assert "hunter22" not in said.out + said.err + str(runs(database_url))


def test_a_port_in_use(kasparro: Kasparro) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        said = kasparro("serve", "--port", str(port))
    assert said.code == 2
    assert said.err.startswith(f"error: Cannot listen on 127.0.0.1:{port}: Address already in use.")


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("postgresql://me:hunter22@127.0.0.1:1/x", 1, "cannot be reached"),
        ("postgresql://me:hunter22@127.0.0.1:99999/x", 1, "invalid port number"),
        ("mysql://me:hunter22@h/x", 2, "DATABASE_URL"),
    ],
)
def test_a_database_that_is_not_there(
    kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch, url: str, code: int, words: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    said = kasparro("run", "x.csv")
    assert said.code == code, said
    assert words in said.err
    assert said.err.count("\n") <= 2
    assert "hunter22" not in said.err + said.out


def test_a_read_only_database(kasparro: Kasparro, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
    said = kasparro("run", "x.csv")
    assert said.code == 2
    assert "is read-only" in said.err


def test_five_mistakes_at_once(kasparro: Kasparro, tmp_path: Path) -> None:
    (tmp_path / "kasparro.yaml").write_text(
        "sources:\n"
        "  a: {type: csf, path: x.csv}\n"
        "  b: {type: csv, pth: x.csv}\n"
        "  c: {type: api, url: 'ftp://h/x'}\n"
        "  d: {type: rss, url: '${NO_SUCH_NAME}'}\n"
        "  e: {type: csv, path: x.csv, dataset: nowhere}\n"
    )
    said = kasparro("check")
    assert said.code == 2
    for line in range(2, 7):
        assert f"kasparro.yaml:{line}" in said.err
    assert kasparro("run").code == 2


def test_an_unknown_source_and_no_configuration(kasparro: Kasparro) -> None:
    said = kasparro("run")
    assert (said.code, "kasparro init" in said.err) == (2, True)
    said = kasparro("run", "salse")
    assert (said.code, "'salse'" in said.err) == (2, True)
    assert kasparro("run", "x.parquet").code == 2
    assert kasparro("nonsense").code == 2
