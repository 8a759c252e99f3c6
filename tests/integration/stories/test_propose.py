"""A field has another name: what to change in kasparro.yaml is told by the finding, and printed to be pasted."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import environment
from tests.integration.stories.conftest import Kasparro, reply

from kasparro.config import load_config


def answer(rank: str, name: str = "name") -> bytes:
    items = [{"id": n, name: f"coin {n}", rank: n * 7 % 900, "price": n / 7} for n in range(400)]
    return json.dumps({"items": items}).encode()


@pytest.fixture
def coins(kasparro: Kasparro, server: Any, tmp_path: Path) -> Callable[..., Any]:
    """Run a source with an answer, and keys of the declaration."""
    now: list[bytes] = [b""]

    def answered(handler: Any) -> None:
        reply(200, now[-1], Content_Type="application/json")(handler)

    url = server(answered)

    def run(body: bytes, **keys: Any) -> Any:
        now.append(body)
        source = {"type": "api", "url": url, "records": "items", "pagination": {"type": "single_page"}, **keys}
        config = {
            "sources": {"coins": source},
            "datasets": {"d": {"fields": {"name": "text", "rank": "integer", "value": "numeric"}}},
        }
        (tmp_path / "kasparro.yaml").write_text(json.dumps(config))
        return kasparro("run")

    return run


NOTE = (
    "Rows are known by rank so far. With another primary_key everything has to be read anew: "
    "kasparro run coins --full-refresh"
)

KEYS = {
    "dataset": "d",
    "primary_key": "rank",
    "mapping": {"value": {"sql": "{rank} || '.5'"}, "name": ["title", "name"]},
}


def test_the_finding_has_the_lines_and_propose_prints_the_whole_mapping(
    coins: Callable[..., Any], kasparro: Kasparro, tmp_path: Path
) -> None:
    coins(answer("rank"), **KEYS)
    said = kasparro("drift", "propose", "coins")
    assert (said.code, said.err) == (1, "error: Run 1 of coins found no renamed field.\n")
    coins(answer("market_rank"), **KEYS)
    (found,) = map(json.loads, kasparro("findings", "--kind", "field_renamed", "--json").out.splitlines())
    assert found["facts"]["proposal"] == {
        "primary_key": "market_rank",
        "mapping": {
            "value": {"sql": "coalesce({market_rank}, {rank}) || '.5'"},
            "rank": ["market_rank", "rank"],
        },
        "notes": [NOTE],
    }
    for said in (kasparro("findings"), kasparro("drift", "show", "coins")):
        assert "Run 2 of coins: rank is market_rank now; change in kasparro.yaml:" in said.out
        assert "      rank: [market_rank, rank]" in said.out
        assert "--full-refresh" in said.out
    said = kasparro("drift", "propose", "coins")
    assert said.code == 0
    assert "--full-refresh" in said.err
    assert "name: [title, name]" in said.out  # all of the mapping, also what stays
    given = json.loads((tmp_path / "kasparro.yaml").read_text())
    proposed = json.loads(kasparro("drift", "propose", "coins", "--json").out)
    assert proposed["yaml"] == said.out
    given["sources"]["coins"] |= {name: proposed[name] for name in ("mapping", "primary_key")}
    (tmp_path / "kasparro.yaml").write_text(json.dumps(given))
    (declared,) = load_config(tmp_path / "kasparro.yaml", {}).sources
    assert declared.primary_key == ("market_rank",)
    said = kasparro("run", "--full-refresh")
    assert said.code == 0, said
    assert kasparro("drift", "propose", "coins", "--run", "2").code == 0  # the file has it; the finding stays
    assert kasparro("drift", "propose", "coins", "--run", "99").code == 1
    assert kasparro("drift", "propose", "others").code == 2
    assert "found no renamed field" in kasparro("drift", "propose", "coins").err


def test_where_no_rule_names_it_nothing_is_proposed(coins: Callable[..., Any], kasparro: Kasparro) -> None:
    coins(answer("rank"), primary_key="id")
    coins(answer("market_rank"), primary_key="id")
    said = kasparro("drift", "show", "coins")
    assert "rank is market_rank now; nothing is to be changed in kasparro.yaml" in said.out
    assert "Nothing names rank; the values are collected in attributes" in said.out
    said = kasparro("drift", "propose", "coins")
    assert (said.code, said.out) == (1, "")
    assert "Run 2 of coins: Nothing names rank" in said.err


def test_guessed_fields_are_stated(coins: Callable[..., Any], kasparro: Kasparro) -> None:
    coins(answer("rank"), primary_key="id")
    coins(answer("rank", "coin_name"), primary_key="id")
    said = kasparro("drift", "propose", "coins")
    assert said.out == ("sources:\n  coins:\n    mapping:\n      title: [coin_name, name]\n      value: price\n")
    assert "had no mapping" in said.err


def test_what_came_from_the_environment_is_masked(
    coins: Callable[..., Any], kasparro: Kasparro, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANT", "tenant-4711-secret")
    keys = {"primary_key": "id", "mapping": {"title": {"const": "${TENANT}"}, "value": "rank"}}
    coins(answer("rank"), **keys)
    coins(answer("market_rank"), **keys)
    said = kasparro("drift", "propose", "coins")
    assert "value: [market_rank, rank]" in said.out
    assert "tenant-4711" not in said.out + said.err + kasparro("findings", "--json").out
    assert "stands for a text from the environment" in said.err


LOADED = """
import sys
from kasparro.cli.main import main
sys.argv = ["kasparro", "run"]
try:
    main()
except SystemExit:
    pass
found = sorted(name for name in sys.modules if name.startswith("kasparro.") and "contract" in name)
print("loaded:", *found)
"""


@pytest.mark.parametrize("word", ["evolve", "discard_row"])
def test_a_source_that_evolves_runs_no_code_of_contracts(tmp_path: Path, database_url: str, word: str) -> None:
    (tmp_path / "kasparro.yaml").write_text(
        f"sources:\n  s: {{type: csv, path: s.csv, primary_key: id, schema_contract: {word}}}\n"
    )
    loaded: set[str] = set()
    for rows in ("id,a\n1,2\n", "id,a,b\n1,2,3\n"):
        (tmp_path / "s.csv").write_text(rows)
        said = subprocess.run(
            [sys.executable, "-c", LOADED],
            env=environment(database_url),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "success" in said.stdout
        loaded = set(said.stdout.rpartition("loaded: ")[2].split())
    ours = {"kasparro.shaping.contract", "kasparro.shaping.contract_csv", "kasparro.ingestion.contract"}
    assert loaded & ours == (set() if word == "evolve" else ours)
