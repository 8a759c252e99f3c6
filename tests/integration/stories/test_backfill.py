"""A range of an API is read again while the usual checkpoint stays; JSON pages and rejects are replayed."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro


class Upstream:
    """Ten items, one a day; answers from the day that `since` names, up to the one that `until` names."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = [
            {"id": n, "title": f"t{n}", "at": f"2026-01-{n:02d}", "size": "big" if n == 4 else n} for n in range(1, 11)
        ]
        self.asked: list[dict[str, list[str]]] = []

    def answer(self, path: str) -> bytes:
        query = parse_qs(urlsplit(path).query)
        self.asked.append(query)
        since, until = query.get("since", [""])[0], query.get("until", ["9"])[0]
        page = int(query.get("page", ["1"])[0])
        found = [one for one in self.items if since <= str(one["at"]) <= until]
        return json.dumps({"meta": {"note": "x"}, "items": found[(page - 1) * 3 : page * 3]}).encode()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def address(upstream: Upstream) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = upstream.answer(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_said: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/items"
    server.shutdown()
    server.server_close()
    thread.join()


def declare(folder: Path, address: str, **more: Any) -> None:
    source = {
        "type": "api",
        "url": address,
        "records": "items",
        "primary_key": "id",
        "cursor_field": "at",
        "pagination": {"type": "page_number"},
        "dataset": "d",
        **more,
    }
    fields = {"id": "integer", "title": "text", "at": "date", "size": "integer"}
    (folder / "kasparro.yaml").write_text(json.dumps({"sources": {"s": source}, "datasets": {"d": {"fields": fields}}}))


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]


def test_a_range_is_read_and_the_usual_checkpoint_stays(
    kasparro: Kasparro, address: str, upstream: Upstream, tmp_path: Path, database_url: str
) -> None:
    declare(tmp_path, address, cursor_param="since", cursor_end_param="until")
    assert kasparro("run").code == 3
    mark = ask(database_url, "SELECT bookmark ->> 'mark' FROM etl_checkpoint")
    for one in upstream.items:
        one["title"] = f"new{one['id']}"
    upstream.asked.clear()
    said = kasparro("backfill", "s", "--from", "2026-01-02", "--to", "2026-01-05")
    assert re.search(r"s +success +4 +0 +3 +0 +0 +1", said.out), said
    assert (upstream.asked[0]["since"], upstream.asked[0]["until"]) == (["2026-01-02"], ["2026-01-05"])
    assert ask(database_url, "SELECT lane, bookmark ->> 'mark' FROM etl_checkpoint") == [("", *mark[0])]
    changed = ask(database_url, "SELECT id FROM data.d WHERE title LIKE 'new%' ORDER BY id")
    assert changed == [(2,), (3,), (5,)]
    assert ask(database_url, "SELECT trigger, lane FROM etl_run ORDER BY id DESC LIMIT 1") == [
        ("backfill", "backfill 2026-01-02..2026-01-05")
    ]


def test_without_parameters_the_range_is_cut_out_here(
    kasparro: Kasparro, address: str, tmp_path: Path, database_url: str
) -> None:
    declare(tmp_path, address)
    said = kasparro("backfill", "s", "--from", "2026-01-02", "--to", "2026-01-03")
    assert re.search(r"s +success +2 +2", said.out), said
    assert ask(database_url, "SELECT count(*) FROM etl_checkpoint") == [(0,)]
    assert re.search(r"s +success +10 +7 +0 +2 +0 +1", kasparro("run").out)


def test_sources_without_a_range_say_so(kasparro: Kasparro, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "kasparro.yaml").write_text("sources:\n  a: {type: csv, path: a.csv}\n")
    said = kasparro("backfill", "a", "--from", "1", "--to", "2")
    assert said.code == 2
    assert "a has no cursor_field, so there is no range to read" in said.err


def test_json_pages_and_rejects_are_replayed(
    kasparro: Kasparro, address: str, upstream: Upstream, tmp_path: Path, database_url: str
) -> None:
    declare(tmp_path, address)
    kasparro("run")
    upstream.items.clear()
    declare(tmp_path, address, mapping={"title": {"sql": "upper({title})"}, "size": {"sql": "TRY_CAST({size} AS INT)"}})
    said = kasparro("rejects", "replay", "s")
    assert re.search(r"s +success +1 +1 +0 +0 +0 +0", said.out), said
    lineage = "SELECT payload ->> 'title' FROM data.d JOIN raw_data_api USING (raw_page_id, raw_index) WHERE id = 4"
    assert ask(database_url, lineage) == [("t4",)]
    said = kasparro("replay", "s")
    assert re.search(r"s +success +10 +0 +9 +1 +0 +0", said.out), said
    assert ask(database_url, "SELECT id, title, size FROM data.d WHERE id IN (4, 5) ORDER BY id") == [
        (4, "T4", None),
        (5, "T5", 5),
    ]
    said = kasparro("run", "--full-refresh")
    assert "max_deletions allows to lose 50 %" in said.err
    assert len(ask(database_url, "SELECT 1 FROM data.d")) == 10


def test_a_backfill_is_held_to_the_contract_and_tells_what_it_kept_out(
    kasparro: Kasparro, address: str, upstream: Upstream, tmp_path: Path, database_url: str
) -> None:
    for one in upstream.items:
        one["size"] = 1
    declare(tmp_path, address, schema_contract="discard_value")
    assert kasparro("run").code == 0
    upstream.items[4] |= {"size": "odd", "extra": True}
    assert kasparro("backfill", "s", "--from", "2026-01-03", "--to", "2026-01-07").code == 0
    declare(tmp_path, address, schema_contract="freeze")
    assert kasparro("backfill", "s", "--from", "2026-01-03", "--to", "2026-01-07").code == 1
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT run_id, kind, subject FROM finding ORDER BY run_id, subject").fetchall()
        row = connection.execute("SELECT size FROM data.d WHERE id = 5").fetchall()
        assert row == [(None,)]
        assert found == [
            (2, "value_discarded", "extra"),
            (2, "value_discarded", "size"),
            (3, "contract_broken", "extra"),
            (3, "contract_broken", "size"),
        ]
    assert "version 2 now" in kasparro("drift", "accept", "s", "--run", "3").out
    assert kasparro("backfill", "s", "--from", "2026-01-03", "--to", "2026-01-07").code == 3  # size is no integer
