"""The page at `/`: complete, escaped, and without anything from elsewhere."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import psycopg
from starlette.testclient import TestClient

Serve = Callable[..., TestClient]


class Links(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        self.found += [value for name, value in attrs if name in {"href", "src"} and value is not None]
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]


def links(text: str) -> list[str]:
    parser = Links()
    parser.feed(text)
    return parser.found


def test_everything_it_links_to_is_there(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    found = links(answer.text)
    assert {"/docs", "/redoc", "/data", "/stats", "/health", "/data?source=coins"} <= set(found)
    assert all(link.startswith("/") and not link.startswith("//") for link in found)
    assert {client.get(link).status_code for link in found} == {200}


def test_it_shows_sources_and_runs(client: TestClient) -> None:
    text = re.sub(r"[ \n]+", " ", client.get("/").text)
    assert "<dt>Rows</dt><dd>1\u202f457</dd>" in text
    assert '<td class="number">1\u202f200</td>' in text
    assert "just now" in text or "minute" in text
    assert "1 min 30 s" in text


def test_it_shows_what_is_thought_of_a_run(serve: Serve, seeded_url: str) -> None:
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        last = "SELECT max(id) FROM etl_run WHERE status = 'success'"
        row = connection.execute(
            f"UPDATE etl_run SET verdict = 'bad', held = 'held' WHERE id = ({last}) RETURNING id"
        ).fetchone()
    assert row is not None
    client = serve(seeded_url)
    assert f'<a class="status bad" href="/runs/{row[0]}">bad</a> (held)' in client.get("/").text
    (run,) = (one for one in client.get("/stats").json()["recent_runs"] if one["run_id"] == row[0])
    assert (run["verdict"], run["held"]) == ("bad", "held")


def test_names_and_errors_are_escaped(serve: Serve, seeded_url: str) -> None:
    evil = "<script>alert(1)</script>\"'&?#%"
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        run = connection.execute(
            "INSERT INTO etl_run (source, status, finished_at, holder, config_hash, code_version) "
            "VALUES (%s, 'failed', now(), 'h', 'x', '0') RETURNING id",
            [evil],
        ).fetchone()
        assert run is not None
        connection.execute(
            "INSERT INTO etl_source (source, kind, dataset, last_run_id, last_error) "
            "VALUES (%s, 'csv', 'normalized_data', %s, %s)",
            [evil, run[0], evil],
        )
    client = serve(seeded_url)
    answer = client.get("/")
    link = next(link for link in links(answer.text) if "script" in link)
    assert "<script>alert" not in answer.text
    assert client.get(link).json()["pagination"]["total"] == 0


def test_nothing_ingested_yet(serve: Serve, database_url: str) -> None:
    answer = serve(database_url).get("/")
    assert answer.status_code == 200
    assert "Nothing has been ingested yet" in answer.text
    assert "kasparro run" in answer.text


def test_unmeasured_source(serve: Serve, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO etl_source (source, kind, dataset) VALUES ('new', 'api', 'sales')")
        connection.execute(
            "INSERT INTO etl_run (source, holder, config_hash, code_version) VALUES ('new', 'h', 'x', '0')"
        )
    text = serve(database_url).get("/").text
    assert "not finished yet" in text
    assert "/data/sales?source=new" in text
