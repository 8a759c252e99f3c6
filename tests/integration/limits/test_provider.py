"""A provider that enforces 50 requests a second of each key sees no more than that of four sources in three processes.

What it saw is read from its own log. The limit is declared; or nobody declares it, and the headers of its answers tell.
"Average" is from the first request to the last one that came while all sources were still being read; where the limit
has to be learned, from two seconds after the first request.
"""

from typing import Any

import pytest
from tests.integration.limits.conftest import Log, Read, Start, average, enough, most_within
from tests.integration.limits.provider import Plan

LIMIT, PAGES = 50, 110
WORKERS = [["a", "b"], ["c"], ["d"]]


def busy(log: Log) -> Log:
    """Leave out the end, when some sources had been read and one alone had little to ask for."""
    return log[: int(len(log) * 0.85)]


async def seen(provider: Start, readers: Read, plan: Plan, **task: Any) -> tuple[Log, list[dict[str, Any]]]:
    running = provider(plan)
    told = await readers(WORKERS, port=running.port, pages=plan.pages, **task)
    return running.log(), told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "rate", "after"),
    [("none", "50/s", 0.0), ("x", "", 2.0), ("ietf", "", 2.0)],
    ids=["declared", "learned from X-RateLimit", "learned from RateLimit"],
)
async def test_the_limit_of_a_provider_is_kept_and_used(
    provider: Start, readers: Read, headers: str, rate: str, after: float
) -> None:
    plan = Plan(limit=LIMIT, headers=headers, pages=PAGES)
    log, told = await seen(provider, readers, plan, rate=rate, fetch=True)
    assert {end for one in told for end in one["ends"].values()} == {"success"}
    assert most_within(log, 1.0) <= LIMIT
    assert average(busy(log), after=after) >= enough(LIMIT)
    assert {status for _, _, status in log} == {200}
    assert sum(one["waits"] for one in told) > 0


@pytest.mark.slow
async def test_runs_keep_the_limit_and_load_everything(provider: Start, readers: Read) -> None:
    plan = Plan(limit=15, pages=30)
    log, told = await seen(provider, readers, plan, rate="15/s")
    assert {tuple(end) for one in told for end in one["ends"].values()} == {("success", 150, None)}
    assert most_within(log, 1.0) <= 15
    assert average(busy(log)) >= enough(15)
