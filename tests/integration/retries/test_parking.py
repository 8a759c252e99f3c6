"""A source that is told to wait for long commits what it has, frees its process, and goes on later."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from tests.integration.retries.conftest import RECORDS, Ask, Declare, Mood, Provider, Reply
from tests.integration.stories.conftest import Kasparro, Said


def finished(said: Said) -> Any:
    """The result of the one source, as `--json` has it."""
    (result,) = json.loads(said.out.splitlines()[-1])["results"]
    return result


def limited(page: int, wait: str, status: int = 429) -> Mood:
    return lambda _number, asked: Reply(status=status, headers={"Retry-After": wait}) if asked == page else None


def keys(ask: Ask) -> list[int]:
    return sorted(int(key) for (key,) in ask("SELECT record_key FROM normalized_data"))


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_parks_the_run(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask, status: int
) -> None:
    provider.mood = limited(3, "3600", status)
    declare({"coins": provider})
    said = kasparro("run", "--json")
    assert said.code == 75, said.err
    result = finished(said)
    assert (result["status"], result["error_code"], result["counts"]["extracted"]) == ("parked", "rate_limited", 20)
    assert provider.pages == [1, 2, 3]
    ((run, error, ahead, retries),) = ask(
        "SELECT status, error, extract(epoch FROM resume_at - finished_at)::float, retries FROM etl_run"
    )
    assert (run, retries) == ("parked", 0)
    assert 3500 < ahead <= 3601
    assert "asked to wait for 3" in error
    assert datetime.fromisoformat(result["resume_at"]) == ask("SELECT resume_at FROM etl_run")[0][0]
    assert ask("SELECT failures, last_error FROM etl_source") == [(0, None)]


def test_what_is_parked_is_said_in_words_and_goes_on_in_the_same_pass(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask
) -> None:
    provider.mood = limited(3, "1.5")
    declare({"coins": provider}, rate_limit={"requests": "1000/s", "longest_wait": 1})
    said = kasparro("run")
    assert said.code == 75, said.err
    until = ask("SELECT resume_at FROM etl_run")[0][0].astimezone(UTC)
    assert f"coins: parked until {until:%Y-%m-%d %H:%M:%S} UTC: GET http" in said.err
    assert "kasparro run coins" in said.err
    assert "parked" in said.out
    provider.mood = lambda _number, _page: None
    ask("UPDATE etl_run SET resume_at = clock_timestamp()")
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    while kasparro("run").code == 75:  # the limit holds still
        assert datetime.now(UTC) < deadline
    assert keys(ask) == list(range(RECORDS))
    assert provider.pages == [1, 2, 3, 3, 4, 5, 6]
    runs = ask("SELECT status, pass_id, verdict, extracted FROM etl_run ORDER BY id")
    assert {one for _, one, _, _ in runs} == {1}
    assert {status for status, *_ in runs[:-1]} == {"parked"}
    assert runs[-1][0] == "success"
    assert [verdict for _, _, verdict, _ in runs] == [None] * (len(runs) - 1) + ["ok"]
    assert sum(extracted for *_, extracted in runs) == RECORDS


def test_a_run_before_the_limit_resets_parks_again_and_asks_for_nothing(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask
) -> None:
    provider.mood = limited(2, "3600")
    declare({"coins": provider})
    assert kasparro("run").code == 75
    assert provider.pages == [1, 2]
    again = kasparro("run", "--json")
    assert again.code == 75
    assert provider.pages == [1, 2]
    first, second = ask("SELECT resume_at FROM etl_run ORDER BY id")
    assert abs(first[0] - second[0]) < timedelta(seconds=60)
    assert second[0] >= first[0] - timedelta(seconds=1)


def test_other_sources_go_on(
    kasparro: Kasparro, provider: Provider, other: Provider, declare: Declare, ask: Ask
) -> None:
    provider.mood = limited(1, "600")
    declare({"coins": provider, "stocks": other})
    assert kasparro("run").code == 75
    assert ask("SELECT source, status FROM etl_run ORDER BY source") == [("coins", "parked"), ("stocks", "success")]
    assert keys(ask) == list(range(RECORDS))
    assert provider.pages == [1]


@pytest.fixture
def run(kasparro: Kasparro, provider: Provider, declare: Declare) -> Kasparro:
    """The command line, with one source of few attempts."""
    declare({"coins": provider}, http={"attempts": 4})
    return kasparro


PAST = format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)


@pytest.mark.parametrize(
    ("wait", "status"),
    [
        *((wait, 429) for wait in ("-5", "abc", "", "0", "nan", PAST, "1e400", "999999999999999999999")),
        *((wait, 503) for wait in ("-5", "abc", "0", PAST)),
    ],
)
def test_a_header_that_says_nothing_is_met_with_waits_of_our_own(
    run: Kasparro, provider: Provider, ask: Ask, wait: str, status: int
) -> None:
    provider.mood = limited(2, wait, status)
    assert run("run").code == (75 if status == 429 else 1)
    assert provider.pages == [1, 2, 2, 2, 2]
    ((became, code, retries, waits),) = ask("SELECT status, error_code, retries, waits FROM etl_run")
    assert (became, code) == ("failed", "rate_limited" if status == 429 else "unreachable")
    assert (retries, waits >= 3) == (3, True)


@pytest.mark.parametrize(
    ("wait", "became"),
    [
        ("86400", "parked"),
        ("604800", "parked"),
        ("604801", "failed"),
        ("999999999999", "failed"),
        (format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True), "parked"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "failed"),
    ],
)
def test_a_wait_of_up_to_a_week_parks_and_a_longer_one_fails(
    run: Kasparro, provider: Provider, ask: Ask, wait: str, became: str
) -> None:
    provider.mood = limited(2, wait)
    assert run("run").code == 75
    assert provider.pages == [1, 2]
    ((status, code, error, resumes),) = ask("SELECT status, error_code, error, resume_at IS NOT NULL FROM etl_run")
    assert (status, code, resumes) == (became, "rate_limited", became == "parked")
    assert ("Retry-After" in error) is (became == "failed")


def test_short_waits_are_waited_in_full_and_are_in_the_record(
    kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask
) -> None:
    provider.mood = lambda number, _page: Reply(status=429, headers={"Retry-After": "1"}) if number in {2, 3} else None
    declare({"coins": provider}, http={"attempts": 1})
    assert kasparro("run").code == 0
    assert keys(ask) == list(range(RECORDS))
    times = [at for at, _ in provider.asked]
    assert all(later - earlier >= 1 for earlier, later in pairwise(times[1:4]))
    ((retries, waits, seconds),) = ask("SELECT retries, waits, waited_seconds FROM etl_run")
    assert retries == 2
    assert waits >= 2
    assert 2 <= seconds < 10
    assert ask("SELECT retries, waits, waited_seconds FROM etl_source") == [(retries, waits, seconds)]


def test_a_parked_run_holds_nothing(kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask) -> None:
    """It has no process that could be killed: its record and its checkpoint are all there is of it."""
    provider.mood = limited(4, "3600")
    declare({"coins": provider})
    assert kasparro("run").code == 75
    assert keys(ask) == list(range(30))
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert ask(others) == [(0,)]
    shown = json.loads(kasparro("runs", "show", "1", "--json").out)
    assert (shown["status"], shown["retries"], shown["resume_at"] is not None) == ("parked", 0, True)


def test_nobody_is_notified_of_a_parked_run(kasparro: Kasparro, provider: Provider, declare: Declare, ask: Ask) -> None:
    ask("INSERT INTO notification_channel (name, seen_at) VALUES ('ops', now())")
    provider.mood = limited(2, "3600")
    declare({"coins": provider})
    assert kasparro("run").code == 75
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]
    assert ask(
        "SELECT value FROM metric_change WHERE labels = ARRAY['coins', 'parked'] UNION ALL "
        "SELECT value FROM metric WHERE labels = ARRAY['coins', 'parked']"
    ) == [(1.0,)]
