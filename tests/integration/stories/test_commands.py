"""What a new user does, command by command."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
import structlog
from pydantic import BaseModel, Field
from tests.integration.stories.conftest import Kasparro

import kasparro as package
from kasparro.ingestion.runner import run_etl_with_backoff
from kasparro.model.run import Counts

SALES = """order_id,line,amount,sold_at,note
A1,1,1.10,2024-05-01T10:00:00Z,"x, y"
A1,2,-5,2024-05-01,
A2,1,12.50,,z
bad
"""


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sales-1.csv").write_text(SALES)
    (tmp_path / "kasparro.yaml").write_text(
        """
sources:
  sales:
    type: csv
    path: data/sales-*.csv
    dataset: sales
    primary_key: [order_id, line]
datasets:
  sales:
    fields:
      order_id: {type: text, required: true, max_length: 20}
      line: integer
      amount: {type: numeric, min: 0}
      sold_at: timestamp
"""
    )
    return tmp_path


def test_from_init_to_rows(kasparro: Kasparro, tmp_path: Path) -> None:
    assert kasparro("init").code == 0
    assert "is there already" in kasparro("init").err
    assert json.loads((tmp_path / "kasparro.schema.json").read_text())["$schema"]
    said = kasparro("check")
    assert (said.code, "sales: csv from data/*.csv into normalized_data" in said.out) == (0, True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.csv").write_text("name,price\nA,1.10\n")
    assert kasparro("run").code == 0


def test_a_declared_dataset(kasparro: Kasparro, sales: Path, database_url: str) -> None:
    said = kasparro("run")
    assert said.code == 3, said
    assert re.search(r"sales +success +4 +2 +0 +0 +0 +2", said.out)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT record_key, amount, sold_at FROM data.sales ORDER BY 1").fetchall()
    assert [(key, str(amount)) for key, amount, _ in rows] == [('["A1","1"]', "1.10"), ('["A2","1"]', "12.50")]
    listed = kasparro("rejects", "list", "--json").out.splitlines()
    found = {(reject["place"], reject["code"], reject["value"]) for reject in map(json.loads, listed)}
    assert found == {("data/sales-1.csv:3", "too_small", "-5"), ("data/sales-1.csv:5", "width", None)}
    assert "data/sales-1.csv:3" in kasparro("rejects", "list", "sales").out
    shown = json.loads(kasparro("runs", "show", "1", "--json").out)
    assert (shown["status"], shown["extracted"], shown["rejected"]) == ("success", 4, 2)
    assert kasparro("runs", "show", "99").err == "error: There is no run 99. List them with: kasparro runs list\n"
    assert len(kasparro("runs", "list", "--json").out.splitlines()) == 1
    assert json.loads(kasparro("sources", "--json").out)["inserted"] == 2
    assert json.loads(kasparro("checkpoint", "show", "--json").out)["finished"] is True
    assert (sales / "data").exists()


def test_reset_reads_again_and_doubles_nothing(kasparro: Kasparro, sales: Path) -> None:
    assert sales.exists()
    kasparro("run")
    assert re.search(r"sales +success +0 +0 +0 +0 +0 +0", kasparro("run").out)
    said = kasparro("checkpoint", "reset", "sales", "--dry-run").out
    assert "About 4 records would be read again" in said
    assert said.endswith("Nothing was changed.\n")
    assert re.search(r"sales +success +0 +0 +0 +0 +0 +0", kasparro("run").out)
    assert kasparro("checkpoint", "reset", "sales").out.endswith("Reset sales. The next run reads it from the start.\n")
    assert re.search(r"sales +success +4 +0 +0 +2 +0 +2", kasparro("run", "sales").out)
    assert "There is no checkpoint of other" in kasparro("checkpoint", "reset", "other").err
    assert json.loads(kasparro("rejects", "list", "--json").out.splitlines()[0])["times"] == 2


def test_a_file_that_grew_is_read_from_where_it_ended(kasparro: Kasparro, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("id,title\n1,a\n2,b\n")
    assert re.search(r"log +success +2 +2", kasparro("run", "log.csv").out)
    with file.open("a") as more:
        more.write("3,c\n")
    assert re.search(r"log +success +1 +1", kasparro("run", "log.csv").out)
    file.write_text("id,title\n1,changed\n")
    assert re.search(r"log +success +1 +1", kasparro("run", "log.csv").out)


def test_several_targets_at_once_and_json_lines(kasparro: Kasparro, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").write_text("id\n1\n")
    said = kasparro("run", "a/t.csv", "b/t.csv", "--json")
    assert said.code == 0
    events = [json.loads(line) for line in said.out.splitlines()]
    assert {event["event"] for event in events} == {
        "RunStarted",
        "PageCommitted",
        "SliceClosed",
        "RunJudged",
        "RunFinished",
        "Finished",
    }
    assert {result["source"] for result in events[-1]["results"]} == {"t", "t_2"}


def test_preview_writes_nothing(kasparro: Kasparro, sales: Path, database_url: str) -> None:
    assert sales.exists()
    said = kasparro("preview", "sales", "--json")
    assert [json.loads(line)["order_id"] for line in said.out.splitlines()] == ["A1", "A2"]
    assert "data/sales-1.csv:5" in said.err
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM etl_run").fetchall() == [(0,)]


def test_migrate_psql_and_version(kasparro: Kasparro) -> None:
    assert "has the schema of this version" in kasparro("migrate").out
    said = kasparro("psql", "--", "--tuples-only", "--no-align", "--command", "SELECT count(*) FROM etl_run")
    assert (said.code, said.out) == (0, "0\n")
    assert kasparro("version").out == kasparro("--version").out == f"{package.__version__}\n"
    assert kasparro("--help").code == 0


class Order(BaseModel):
    order_id: Annotated[str, Field(max_length=2)]
    line: int
    amount: Annotated[Decimal, Field(ge=0)]
    sold_at: datetime | None = None


async def test_from_python_with_a_model(sales: Path, database_url: str) -> None:
    events: list[Any] = []
    results = await run_etl_with_backoff(
        {
            "orders": {
                "type": "csv",
                "path": str(sales / "data" / "sales-1.csv"),
                "dataset": "orders",
                "primary_key": ["order_id", "line"],
            },
            "gone": {"type": "csv", "path": str(sales / "gone.csv")},
        },
        datasets={"orders": Order},
        database_url=database_url,
        emit=events.append,
    )
    assert list(results) == ["orders", "gone"]
    orders = results["orders"]
    assert orders.status == "success"
    assert orders.counts == Counts(extracted=4, inserted=2, rejected=2)
    assert orders.run_id is not None
    assert orders.duration > 0
    assert results["gone"].status == "failed"
    assert "gone.csv" in (results["gone"].error or "")
    assert events


def test_the_promised_names() -> None:
    names: dict[str, Callable[..., Any]] = {"run_etl_with_backoff": run_etl_with_backoff}
    assert package.run_etl_with_backoff is names["run_etl_with_backoff"]


def test_a_dataset_that_gained_a_field_is_widened_and_a_changed_type_refused(
    kasparro: Kasparro, sales: Path, database_url: str
) -> None:
    kasparro("run")
    config = sales / "kasparro.yaml"
    config.write_text(config.read_text() + "      note: text\n")
    kasparro("checkpoint", "reset", "sales")
    assert re.search(r"sales +success +4 +0 +2 +0 +0 +2", kasparro("run").out)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT note FROM data.sales ORDER BY record_key").fetchall() == [("x, y",), ("z",)]
    config.write_text(config.read_text().replace("line: integer", "line: text"))
    said = kasparro("run")
    assert said.code == 1
    assert 'Column line of data."sales"' in said.err
    assert "bigint, but text is declared" in said.err


def test_debug_logs_statements_without_their_values(
    kasparro: Kasparro, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sales.exists()
    monkeypatch.setenv("DEBUG", "true")
    said = kasparro("run")
    structlog.reset_defaults()
    assert said.code == 3
    assert "INSERT INTO etl_run" in said.err
    assert "COPY" in said.err or "CREATE TEMP TABLE" in said.err
    assert "12.50" not in said.err


@pytest.mark.parametrize(
    ("change", "rows"), [(("[order_id, line]", "order_id"), 2), (("dataset: sales", "dataset: others"), 3)]
)
def test_another_key_or_dataset_is_refused_until_the_rows_are_gone(
    kasparro: Kasparro, sales: Path, database_url: str, change: tuple[str, str], rows: int
) -> None:
    old, new = change
    kasparro("run")
    config = sales / "kasparro.yaml"
    assert old in config.read_text()
    config.write_text(
        config.read_text().replace(old, new).replace("datasets:", "datasets:\n  others: {fields: {amount: numeric}}")
    )
    said = kasparro("run")
    assert said.code == 2
    assert "sales has 2 rows with the" in said.err
    assert "kasparro checkpoint reset sales --rows" in said.err
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM data.sales").fetchall() == [(2,)]
    assert kasparro("checkpoint", "reset", "sales", "--rows").code == 0
    assert kasparro("run").code == 3
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT sum(rows) FROM dataset_total WHERE rows > 0").fetchall() == [(rows,)]


def test_a_checkpoint_of_a_newer_version_is_refused(kasparro: Kasparro, sales: Path, database_url: str) -> None:
    assert sales.exists()
    kasparro("run")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE etl_checkpoint SET bookmark = '{\"format\": 99}'")
    said = kasparro("run")
    assert said.code == 1
    assert "written by a newer version of Kasparro" in said.err
