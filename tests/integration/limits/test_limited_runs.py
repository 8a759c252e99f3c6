"""Runs of the command line that keep a limit: what they say, how they end, and what can be done about it."""

import json
from pathlib import Path

from tests.integration.limits.conftest import Start
from tests.integration.limits.provider import Plan
from tests.integration.stories.conftest import Kasparro

SOURCE = """
sources:
  coins:
    type: api
    url: http://127.0.0.1:{port}/coins
    records: items
    primary_key: id
    pagination: {{type: page_number, size: 5}}
    rate_limit: {limit}
{hosts}
"""


def declare(port: int, limit: str, hosts: str = "") -> None:
    Path("kasparro.yaml").write_text(SOURCE.format(port=port, limit=limit, hosts=hosts))


def test_a_run_that_has_spent_its_limit_is_parked_and_sends_nothing_before_it_is_forgotten(
    kasparro: Kasparro, provider: Start
) -> None:
    running = provider(Plan(limit=100_000, pages=6))
    declare(running.port, "3/h")
    first = kasparro("run", "--json")
    assert (first.code, json.loads(first.out.splitlines()[-1])["results"][0]["status"]) == (75, "parked")
    assert len(running.log()) == 3
    again = kasparro("run", "--json")
    assert (again.code, len(running.log())) == (75, 3)
    (known,) = [json.loads(line) for line in kasparro("limits", "--json").out.splitlines()]
    assert (known["limit"], known["by"], known["left"], known["held"]) == ("3/h", "declared", 0, 0)
    assert kasparro("limits", "--forget", f"127.0.0.1:{running.port}").code == 0
    assert "No limit is kept" in kasparro("limits").out
    declare(running.port, "30/h")
    rest = kasparro("run", "--json")
    assert (rest.code, json.loads(rest.out.splitlines()[-1])["results"][0]["status"]) == (0, "success")
    assert json.loads(kasparro("sources", "--json").out)["inserted"] == 30


def test_a_host_that_nothing_is_known_of_cannot_be_forgotten(kasparro: Kasparro) -> None:
    said = kasparro("limits", "--forget", "nowhere.example")
    assert said.code == 1
    assert "Nothing is known of nowhere.example" in said.err


def test_who_names_an_address_that_asks_to_wait_is_told_at_once(kasparro: Kasparro, provider: Start) -> None:
    running = provider(Plan(refused=1.0, retry_after="31"))
    said = kasparro("run", f"http://127.0.0.1:{running.port}/coins")
    assert (said.code, len(running.log())) == (75, 1)
    assert "asked to wait for 31 s" in said.err


def test_a_limit_of_the_host_holds_for_the_source_too(kasparro: Kasparro, provider: Start) -> None:
    running = provider(Plan(limit=100_000, pages=4))
    declare(running.port, "100/s", f'hosts: {{"127.0.0.1:{running.port}": {{rate_limit: 2/h}}}}')
    said = kasparro("run")
    assert (said.code, len(running.log())) == (75, 2)


def test_waits_are_in_the_record_of_the_run(kasparro: Kasparro, provider: Start) -> None:
    running = provider(Plan(limit=100_000, pages=5))
    declare(running.port, "4/2s")
    assert kasparro("run").code == 0
    shown = json.loads(kasparro("runs", "show", "1", "--json").out)
    assert shown["waits"] >= 1
    assert shown["waited_seconds"] > 0.5
