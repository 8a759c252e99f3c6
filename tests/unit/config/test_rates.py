from pathlib import Path

import pytest

from kasparro.config import Config, load_config
from kasparro.errors import Misconfigured

SOURCE = '  {}: {{type: api, url: "{}", rate_limit: {}{}}}\n'


def loaded(folder: Path, text: str) -> Config:
    path = folder / "kasparro.yaml"
    path.write_text(text)
    return load_config(path, {"TOKEN": "the-secret-token", "RATE": "ten a second, the-secret"})


def with_limit(folder: Path, limit: str, more: str = "") -> Config:
    return loaded(folder, "sources:\n" + SOURCE.format("a", "https://api.example.com/x", limit, "") + more)


def problem(folder: Path, limit: str, more: str = "") -> str:
    with pytest.raises(Misconfigured) as raised:
        with_limit(folder, limit, more)
    return raised.value.message


def test_a_text_and_a_mapping_say_the_same(tmp_path: Path) -> None:
    short = with_limit(tmp_path, "10/s").sources[0].rate_limit
    long = with_limit(tmp_path, '{requests: "10/s"}').sources[0].rate_limit
    assert short == long
    assert short is not None
    assert (str(short.rates[0]), short.concurrency, short.longest_wait) == ("10/s", None, 60.0)


def test_all_that_a_limit_can_say(tmp_path: Path) -> None:
    limit = with_limit(tmp_path, '{requests: "10/s, 5000/h", concurrency: 4, longest_wait: 2m}').sources[0].rate_limit
    assert limit is not None
    assert ([str(rate) for rate in limit.rates], limit.concurrency, limit.longest_wait) == (
        ["10/s", "5000/h"],
        4,
        120.0,
    )


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("10/secnd", "sources.a.rate_limit: is a number of requests in a time"),
        ("10/secnd", 'did you mean "second"?'),
        ("0/s", "sources.a.rate_limit: allows 0 requests"),
        ("10", "sources.a.rate_limit"),
        ("{}", "sources.a.rate_limit: says nothing"),
        ("{request: 10/s}", 'did you mean "requests"?'),
        ("{requests: x}", "sources.a.rate_limit.requests: is a number of requests"),
        ("{concurrency: 0}", "sources.a.rate_limit.concurrency"),
        ("{requests: 1/s, longest_wait: soon}", "sources.a.rate_limit.longest_wait: is a length of time"),
        ("{requests: 1/s, longest_wait: -1}", "sources.a.rate_limit.longest_wait: must be at least 0, not -1"),
        ("{requests: 1/s, longest_wait: 86401}", "sources.a.rate_limit.longest_wait: must be at most 86400, not"),
        ("{requests: 1/s, longest_wait: 2d}", "sources.a.rate_limit.longest_wait: is at most a day"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, limit: str, said: str) -> None:
    assert said in problem(tmp_path, limit)


@pytest.mark.parametrize(
    ("limit", "more"),
    [
        ("{request: 10/s}", ""),
        ("{concurrency: 0}", ""),
        ("10/s", "hosts: {x.y: {rate_limits: 10/s, longest_wait: 5}}\n"),
    ],
)
def test_a_mistake_is_told_once(tmp_path: Path, limit: str, more: str) -> None:
    """What is wrong is left out; nobody is told that nothing stands there then."""
    found = problem(tmp_path, limit, more)
    assert "mistakes" not in found
    assert "nothing" not in found


def test_a_limit_that_came_from_the_environment_is_not_shown(tmp_path: Path) -> None:
    found = problem(tmp_path, '"${RATE}"')
    assert "sources.a.rate_limit: is not a rate limit such as 10/s" in found
    assert "secret" not in found


def test_hosts_are_limited_for_all_sources(tmp_path: Path) -> None:
    hosts = "hosts:\n  api.example.com: {rate_limit: 5/s, concurrency: 2}\n  other.example.com:8443: {concurrency: 1}\n"
    config = with_limit(tmp_path, "10/s", hosts)
    assert {name: (len(one.rates), one.concurrency) for name, one in config.hosts.items()} == {
        "api.example.com": (1, 2),
        "other.example.com:8443": (0, 1),
    }


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("https://api.example.com/x: {rate_limit: 5/s}", 'did you mean "api.example.com"?'),
        ('"http://[::1": {rate_limit: 5/s}', "is not a host such as"),
        ("API.example.com: {rate_limit: 5/s}", 'did you mean "api.example.com"?'),
        ("x.y: {}", "hosts.x.y: limits nothing"),
        ("x.y:99999: {rate_limit: 5/s}", "has a port that is not from 1 to 65535"),
        ('"[::1]:0": {rate_limit: 5/s}', "has a port that is not from 1 to 65535"),
        ("x.y: {rate_limit: 5/s}\n  x.y:443: {rate_limit: 7/s}", 'hosts."x.y:443": is the host x.y again'),
        ("x.y: 10/s", "must be a mapping"),
        ("x.y: {rate_limit: often}", "rate_limit: is a number of requests"),
        ("x.y: {rate_limits: 10/s}", 'did you mean "rate_limit"?'),
    ],
)
def test_mistakes_of_hosts_are_told_with_their_place(tmp_path: Path, hosts: str, said: str) -> None:
    assert said.replace("hosts.x.y", 'hosts."x.y"') in problem(tmp_path, "10/s", f"hosts:\n  {hosts}\n")


def test_a_looser_limit_on_the_same_budget_is_noted(tmp_path: Path) -> None:
    second = SOURCE.format("b", "https://api.example.com/y", "4/s", "")
    notes = with_limit(tmp_path, "10/s", second).notes
    assert len(notes) == 1
    assert "sources.a.rate_limit: 10/s shares its budget with sources.b, whose 4/s holds for both" in notes[0]


def test_other_credentials_have_another_budget_and_nothing_is_noted(tmp_path: Path) -> None:
    auth = ', auth: {type: bearer, token: "${TOKEN}"}'
    second = SOURCE.format("b", "https://api.example.com/y", "4/s", auth)
    assert with_limit(tmp_path, "10/s", second).notes == ()


def test_a_limit_of_the_host_is_noted_where_it_is_stricter(tmp_path: Path) -> None:
    notes = with_limit(tmp_path, "10/s", "hosts: {api.example.com: {rate_limit: 5/s}}\n").notes
    assert len(notes) == 1
    assert "whose 5/s holds for both" in notes[0]
    assert with_limit(tmp_path, "10/s", "hosts: {api.example.com: {rate_limit: 50/s}}\n").notes == ()
