"""A gate that holds nothing changes nothing: table, checkpoints, counts and rejects are those of a source without."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro, reply

Ask = Callable[[str], list[tuple[Any, ...]]]

NAMES = ("plain", "gated")

ROWS = """
SELECT CASE WHEN record_key LIKE '%%.%%' THEN split_part(record_key, '.', 3) ELSE record_key END, name, amount::text,
       record_hash, raw_index, run.pass_id = run.id, page.slice, page.sha256,
       (SELECT count(*) FROM etl_run AS one WHERE one.source = run.source AND one.id <= run.id)
FROM data.d AS row JOIN etl_run AS run ON run.id = row.run_id JOIN raw_page AS page ON page.id = row.raw_page_id
WHERE row.source = '{0}' ORDER BY 1, 2, 3, 9, page.id, raw_index
"""

RUNS = """
SELECT status, trigger, extracted, inserted, updated, unchanged, duplicates, rejected, deleted, pages, bytes, verdict,
       schema_version, held
FROM etl_run WHERE source = '{0}' ORDER BY id
"""

SAME = {
    "rows": ROWS,
    "runs": RUNS,
    "checkpoints": """
        SELECT lane, slice, bookmark::text, finished, extracted, pages,
               (SELECT count(*) FROM etl_run AS run WHERE run.source = one.source AND run.id <= one.lease_epoch)
        FROM etl_checkpoint AS one WHERE source = '{0}' ORDER BY lane, slice""",
    "history": """
        SELECT slice, bookmark::text, extracted, pages,
               (SELECT count(*) FROM etl_run AS run WHERE run.source = one.source AND run.id <= one.run_id)
        FROM checkpoint_history AS one WHERE source = '{0}' ORDER BY slice, run_id""",
    "rejects": "SELECT place, code, times, status FROM rejected_record WHERE source = '{0}' ORDER BY place, code",
    "totals": """
        SELECT sum(rows)::bigint, sum(changes)::bigint, sum(rewrites)::bigint
        FROM dataset_total WHERE source = '{0}'""",
    "pages": """
        SELECT slice, sha256, records, row_number() OVER (ORDER BY last_pass_id, slice, last_number), last_pass_id > 0
        FROM raw_page WHERE source = '{0}' ORDER BY 4""",
    "source": """
        SELECT runs, failures, extracted, inserted, updated, unchanged, duplicates, rejected, shape, primary_key::text
        FROM etl_source WHERE source = '{0}'""",
    "findings": "SELECT kind, subject, severity FROM finding WHERE source = '{0}' ORDER BY id",
}


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]

    return query


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few records, so that a key comes again in another page."""
    monkeypatch.setenv("ETL_BATCH_SIZE", "4")
    monkeypatch.setenv("ETL_CHECKPOINT_INTERVAL", "4")


FIELDS = {"fields": {"id": "integer", "name": "text", "amount": "numeric"}}


def declare(folder: Path, **source: Any) -> None:
    """The same source twice, once with a gate."""
    sources = {name: {"dataset": "d", **source} for name in NAMES}
    sources["gated"]["hold_on"] = "bad"
    (folder / "kasparro.yaml").write_text(json.dumps({"sources": sources, "datasets": {"d": FIELDS}}))


def lines(*records: tuple[int, str, Any]) -> str:
    return "id,name,amount\n" + "".join(f"{key},{name},{amount}\n" for key, name, amount in records)


def same(ask: Ask) -> None:
    for what, statement in SAME.items():
        plain, gated = (ask(statement.format(name)) for name in NAMES)
        assert plain == gated, what
    assert ask(ROWS.format("gated")) != []
    assert ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'refresh'") == [(0,)]
    assert ask("SELECT (SELECT count(*) FROM staged_page), (SELECT count(*) FROM etl_refresh)") == [(0, 0)]


def some(*keys: int, word: str = "n") -> list[tuple[int, str, Any]]:
    return [(key, f"{word}{key}", key) for key in keys]


STEPS: dict[str, Sequence[str]] = {
    "a file that grows": [lines(*some(*range(10))), lines(*some(*range(25)))],
    "a file that is rewritten": [lines(*some(*range(10))), lines(*some(*range(5)), *some(*range(5, 13), word="m"))],
    "keys that come again, equal": [lines(*some(*range(9), *range(9))), lines(*some(3, 3, *range(9), 3))],
    "keys that come again, changed": [
        lines(*some(1, 2, 3), *some(1, 2, word="b"), *some(5, 6), *some(1, word="c"), *some(2, word="b")),
        lines(*some(1, 3), *some(2, word="b"), *some(1, word="z"), *some(7, 8, 9), *some(2, 2), *some(3, word="c")),
        lines(*some(1, word="z"), *some(7, 8, 9), *some(1, 1), *some(1, word="z")),
    ],
    "rejects": [
        lines(*some(1, 2), (3, "x", "many"), *some(4, 5, 6)),
        lines(*some(1), (2, "x", "many"), (3, "x", "few")),
    ],
    "nothing new": [lines(*some(1, 2, 3))] * 3,
    "back and forth": [lines(*some(1, 2, 3)), lines(*some(1, 2, 3, word="m")), lines(*some(1, 2, 3))],
}


@pytest.mark.parametrize("disposition", ["merge", "append"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.usefixtures("small")
def test_files(kasparro: Kasparro, ask: Ask, tmp_path: Path, steps: Sequence[str], disposition: str) -> None:
    declare(tmp_path, type="csv", path="s.csv", primary_key="id", write_disposition=disposition)
    for text in steps:
        (tmp_path / "s.csv").write_text(text)
        said = kasparro("run")
        assert said.code in {0, 3}, said
        same(ask)


@pytest.mark.usefixtures("small")
def test_the_later_of_two_files_counts(kasparro: Kasparro, ask: Ask, tmp_path: Path) -> None:
    declare(tmp_path, type="csv", path="s*.csv", primary_key="id")
    for first, second, met in (("a", "b", "b"), ("c", "b", "c"), ("e", "d", "d")):  # an unchanged file is not read
        (tmp_path / "s1.csv").write_text(lines(*some(*range(7), word=first)))
        (tmp_path / "s2.csv").write_text(lines(*some(*range(3, 9), word=second)))
        assert kasparro("run").code == 0
        expected = [*(f"{first}{n}" for n in range(3)), *(f"{met}{n}" for n in range(3, 7)), f"{second}7", f"{second}8"]
        assert ask("SELECT source, array_agg(name ORDER BY id) FROM data.d GROUP BY source ORDER BY source") == [
            ("gated", expected),
            ("plain", expected),
        ]
    (tmp_path / "s2.csv").unlink()
    kasparro("run")
    assert ask(SAME["checkpoints"].format("gated")) == ask(SAME["checkpoints"].format("plain"))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("disposition", ["merge", "append"])
def test_an_api_with_a_cursor_whose_pages_overlap(
    kasparro: Kasparro, ask: Ask, tmp_path: Path, server: Any, disposition: str
) -> None:
    records: list[dict[str, Any]] = []

    def answer(handler: Any) -> None:
        asked = parse_qs(urlsplit(handler.path).query)
        since, page = asked.get("since", ["0"])[0], int(asked.get("page", ["1"])[0])
        wanted = sorted((one for one in records if one["at"] >= int(since)), key=lambda one: one["at"])
        part = wanted[max((page - 1) * 4 - 1, 0) : page * 4]  # each page begins with the last record of the one before
        last = page * 4 >= len(wanted)
        body = json.dumps({"items": part, "more": not last}).encode()
        reply(200, body, Content_Type="application/json")(handler)

    declare(
        tmp_path,
        type="api",
        url=server(answer),
        records="items",
        primary_key="id",
        cursor_field="at",
        cursor_param="since",
        pagination={"type": "page_number", "has_more": "more", "size": 4},
        write_disposition=disposition,
    )
    for step in range(4):
        records += [{"id": n, "name": f"n{n}", "amount": n, "at": 10 * step + n} for n in range(step, step + 9)]
        said = kasparro("run")
        assert said.code == 0, said
        same(ask)


def test_a_full_refresh_and_replace(kasparro: Kasparro, ask: Ask, tmp_path: Path) -> None:
    for more in ({"sync_mode": "full_refresh"}, {"write_disposition": "replace"}):
        declare(tmp_path, type="csv", path="s.csv", primary_key="id", **more)
        for keys, word in ((range(10), "n"), (range(2, 12), "n"), (range(2, 12), "m"), (range(2, 12), "m")):
            (tmp_path / "s.csv").write_text(lines(*some(*keys, word=word)))
            assert kasparro("run").code == 0
            same(ask)
        assert kasparro("run", "--full-refresh").code == 0
        same(ask)
