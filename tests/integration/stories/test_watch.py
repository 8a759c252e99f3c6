"""A source that changes under its runs: what is odd is said once, with its numbers, and can be looked up."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro, reply

Ask = Callable[[str], list[tuple[Any, ...]]]
Record = dict[str, Any]


@pytest.fixture
def ask(database_url: str) -> Ask:
    def query(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]

    return query


def records(count: int, version: int) -> list[Record]:
    """The answer of an API over ten versions, each with one change more, or none."""
    dice = random.Random(version)
    return [record(number, version, dice) for number in range(count)]


def record(number: int, version: int, dice: random.Random) -> Record:
    one: Record = {
        "id": number,
        "name": f"coin {number}",
        "rank": dice.randint(1, 900),
        "price": round(dice.lognormvariate(3, 1), 2),
        "state": dice.choice(["active", "paused"]),
    }
    if version >= 2:
        one["symbol"] = f"c{number}"
    if version >= 3:
        one["market_rank"] = one.pop("rank")
    if version >= 5:
        one["price"] = str(one["price"])
    if version >= 6:
        del one["symbol"]
    if version >= 7:
        one["name"] = {"en": one["name"]}
    if version >= 8 and dice.random() < 0.5:
        one["price"] = None
    if version >= 9 and dice.random() < 0.3:
        one["state"] = "closed"
    if version == 4 and number == 7:
        one.update(surprise=1, market_rank="odd")  # one odd record is no change
    return one


EXPECTED = {
    1: [],
    2: [("field_added", "symbol")],
    3: [("field_renamed", "rank")],
    4: [],
    5: [("type_changed", "price")],
    6: [("field_removed", "symbol")],
    7: [("shape_changed", "name")],
    8: [("null_share_changed", "price")],
    9: [("value_added", "state")],
    10: [],
}


@pytest.fixture
def coins(kasparro: Kasparro, server: Any, tmp_path: Path) -> Callable[[int], Any]:
    """Run a source whose answer is that of a version."""
    now: list[bytes] = []

    def answer(handler: Any) -> None:
        reply(200, now[-1], Content_Type="application/json")(handler)

    source = {"type": "api", "url": server(answer), "records": "items", "primary_key": "id"}
    source["pagination"] = {"type": "single_page"}
    (tmp_path / "kasparro.yaml").write_text(json.dumps({"sources": {"coins": source}}))

    def run(version: int, count: int = 800) -> Any:
        now.append(json.dumps({"items": records(count, version)}).encode())
        return kasparro("run")

    return run


def test_ten_versions_of_an_answer_give_exactly_the_expected_findings(coins: Callable[[int], Any], ask: Ask) -> None:
    for version, expected in EXPECTED.items():
        said = coins(version)
        found = "SELECT kind, subject FROM finding WHERE run_id = (SELECT max(id) FROM etl_run) ORDER BY id"
        assert ask(found) == expected, (version, said)
    assert ask("SELECT count(*), max(version) FROM source_schema") == [(8, 8)]
    assert ask("SELECT verdict FROM etl_run ORDER BY id") == [
        (verdict,) for verdict in ("ok", "ok", "suspicious", "ok", *["suspicious"] * 4, "ok", "ok")
    ]
    assert ask("SELECT count(*), count(DISTINCT run_id) FROM run_profile") == [(10, 10)]


def test_findings_schemas_and_runs_can_be_looked_up(coins: Callable[[int], Any], kasparro: Kasparro, ask: Ask) -> None:
    coins(1)
    assert "coins: warning: rank is gone and market_rank is new" in coins(3).err
    (found,) = map(json.loads, kasparro("findings", "coins", "--kind", "field_renamed", "--json").out.splitlines())
    assert (found["severity"], found["subject"], found["observed"]) == ("warning", "rank", "market_rank")
    assert found["facts"]["confidence"] > 0.6
    assert len(kasparro("findings", "--run", "2", "--json").out.splitlines()) == 2
    assert kasparro("findings", "--severity", "loud").code == 2
    said = kasparro("drift", "show", "coins")
    assert "market_rank" in said.out
    assert "Version 2 of 2, from run 2, by evolve." in said.out
    assert (
        "rank" in json.loads(kasparro("drift", "show", "coins", "--version", "1", "--json").out)["fields"][3]["field"]
    )
    assert kasparro("drift", "show", "nothing").code == 1
    assert "version 3 now" in kasparro("drift", "accept", "coins", "--run", "1").out
    assert set(ask("SELECT kind FROM finding WHERE run_id = 2")) == {("field_renamed",), ("field_added",)}
    coins(1)
    assert ask("SELECT count(*) FROM finding WHERE run_id = 3") == [(0,)]


def test_two_runs_are_compared(coins: Callable[..., Any], kasparro: Kasparro) -> None:
    coins(1)
    coins(5, 400)
    found = json.loads(kasparro("runs", "compare", "1", "2", "--json").out)
    assert found["numbers"]["extracted"] == {"base": 800, "head": 400, "change": -400, "ratio": 0.5}
    assert "types" in found["fields"]["price"]["differs"]
    assert found["fields"]["rank"]["head"] is None
    assert {one["kind"] for one in found["drift"]} == {"field_renamed", "field_added", "type_changed"}
    said = kasparro("runs", "compare", "1", "2")
    assert "price" in said.out
    assert kasparro("runs", "compare", "1", "99").code == 1


def test_a_source_that_comes_back_empty_is_bad_although_nothing_failed(
    coins: Callable[..., Any], kasparro: Kasparro, ask: Ask
) -> None:
    for _ in range(12):
        coins(1)
    assert ask("SELECT DISTINCT verdict FROM etl_run") == [("ok",)]
    said = coins(1, 0)
    assert said.code == 0
    assert ask("SELECT status, verdict FROM etl_run ORDER BY id DESC LIMIT 1") == [("success", "bad")]
    (found,) = map(json.loads, kasparro("findings", "--severity", "critical", "--json").out.splitlines())
    assert (found["kind"], found["observed"]) == ("row_count_zero", 0)
