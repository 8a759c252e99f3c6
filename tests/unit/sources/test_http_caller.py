from typing import Any

import pytest
from pydantic import SecretStr

from kasparro.model.rate import NO_LIMIT, RateLimit, read_rates
from kasparro.model.source import Declared
from kasparro.sources.api import Api
from kasparro.sources.auth import ApiKey, Basic, Bearer
from kasparro.sources.csv import Csv
from kasparro.sources.http_caller import budget_of, caller_of

URL = "https://api.example.com/v1"


def source(url: str = URL, **more: Any) -> Declared:
    return Declared(name="a", kind=Api(url=url, **more))


def test_a_source_without_credentials_counts_on_its_host() -> None:
    caller = caller_of(source())
    assert (caller.home, caller.mark, caller.limit) == ("api.example.com", "", NO_LIMIT)
    assert budget_of(source(), ()) == "api.example.com"


def test_the_limit_is_the_declared_one() -> None:
    limit = RateLimit(rates=read_rates("3/s"))
    assert caller_of(Declared(name="a", kind=Api(url=URL), rate_limit=limit)).limit == limit


@pytest.mark.parametrize(
    "one",
    [
        source(auth=Bearer(token=SecretStr("first"))),
        source(auth=ApiKey(name="X-Key", value=SecretStr("first"))),
        source(auth=Basic(username="u", password=SecretStr("first"))),
        source(headers={"X-Api-Key": "first"}),
        source("https://user:first@api.example.com/v1"),
        source("https://api.example.com/v1?api_key=first"),
    ],
)
def test_credentials_of_every_kind_have_a_budget_of_their_own(one: Declared) -> None:
    budget = budget_of(one, ())
    assert budget is not None
    assert budget.startswith("api.example.com ")
    assert "first" not in budget
    assert budget != budget_of(source(auth=Bearer(token=SecretStr("second"))), ())
    assert budget_of(one, {"api.example.com"}) == "api.example.com"


def test_headers_that_hold_no_secret_change_nothing() -> None:
    assert budget_of(source(headers={"Accept-Language": "de"}), ()) == "api.example.com"


def test_a_port_that_is_not_the_usual_one_is_part_of_the_host() -> None:
    assert budget_of(source("http://127.0.0.1:8081/x"), ()) == "127.0.0.1:8081"
    assert budget_of(source("https://api.example.com:443/x"), ()) == "api.example.com"


def test_a_file_has_no_budget() -> None:
    assert budget_of(Declared(name="a", kind=Csv(path="x.csv")), ()) is None
