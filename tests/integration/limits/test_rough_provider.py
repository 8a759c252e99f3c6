"""Of all answers 5 % are 429 with `Retry-After: 1`, 2 % are 503 and 1 % are cut short, whatever is left of the limit.

A refusal within a limit that is kept concerns one request: it waits as long as it was told, and the others go on. So
there must be more requests that can be sent than wait: with one page after the other of each source, and a second for
each of 5 %, it takes twelve sources. "Rate" counts all requests that the provider permitted, as its limit does.
"""

import pytest
from tests.integration.limits.conftest import Read, Start, average, enough, most_within
from tests.integration.limits.provider import Plan

WORKERS = [[f"{process}{number}" for number in range(4)] for process in "abc"]
ROUGH = Plan(limit=50, pages=40, refused=0.05, failed=0.02, cut=0.01, headers="x")


@pytest.mark.slow
async def test_a_rough_provider_is_asked_at_four_fifths_of_its_rate_or_more(provider: Start, readers: Read) -> None:
    running = provider(ROUGH)
    told = await readers(WORKERS, port=running.port, pages=ROUGH.pages, rate="50/s", fetch=True)
    log = running.log()
    assert {end for one in told for end in one["ends"].values()} == {"success"}
    assert most_within(log, 1.0) <= 50
    assert average(log[: int(len(log) * 0.85)]) >= enough(50, 0.8)
    statuses = [status for _, _, status in log]
    assert statuses.count(200) == 12 * 40
    assert min(statuses.count(429), statuses.count(503), statuses.count(-1)) > 0
    assert sum(one["retries"] for one in told) == len(log) - 12 * 40


@pytest.mark.slow
async def test_runs_against_a_rough_provider_load_exactly_what_there_is(provider: Start, readers: Read) -> None:
    plan = Plan(limit=50, pages=15, records=7, refused=0.05, failed=0.02, cut=0.01, headers="x")
    running = provider(plan)
    told = await readers([["a", "b"], ["c", "d"]], port=running.port, records=7, rate="50/s")
    assert {tuple(end) for one in told for end in one["ends"].values()} == {("success", 105, None)}
    assert most_within(running.log(), 1.0) <= 50
    assert sum(one["retries"] for one in told) > 0
