"""Processes that share budgets, in virtual time: what a provider sees of them."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest
from tests.unit.resilience.virtual_time import run, timing, wall

from kasparro.errors import KasparroError, RateLimited, StoreBusy
from kasparro.model.rate import RateLimit, read_rates
from kasparro.resilience.budget_book import LEASE, settle
from kasparro.resilience.budget_values import Ask, Book, Grant, from_json, to_json
from kasparro.resilience.callers import Caller, key_of, mark_of
from kasparro.resilience.limits import Limits

HOST = "api.example.com"


class Desk:
    """Keeps books in memory, as the database does. Counts what it is asked, and may be away."""

    def __init__(self, takes: float = 0.002) -> None:
        self.books: dict[str, Book] = {}
        self.looks = self.settled = 0
        self.away = False
        self.jump = 0.0
        self._takes = takes

    async def look(self, key: str) -> bool:
        self.looks += 1
        await self._trip()
        return key in self.books

    async def settle(self, key: str, host: str, ask: Ask, expected: Callable[[], float | None]) -> Grant:
        assert host in key
        self.settled += 1
        await self._trip()
        book = self.books.setdefault(key, Book())
        grant = settle(book, ask, wall() + self.jump, expected())
        self.books[key] = from_json(to_json(book))
        await asyncio.sleep(self._takes)
        return grant

    async def _trip(self) -> None:
        await asyncio.sleep(self._takes)
        if self.away:
            raise StoreBusy("The database is away.")


class Provider:
    """Answers after a while, and notes when it was asked."""

    def __init__(
        self, takes: float = 0.02, answer: Callable[[int], tuple[int, Mapping[str, str]]] | None = None
    ) -> None:
        self.asked: list[float] = []
        self.under_way = self.most = 0
        self._takes = takes
        self._answer = answer or (lambda _number: (200, {}))

    async def get(self, limits: Limits, caller: Caller, waits: list[tuple[float, str]] | None = None) -> int:
        turn = await limits.of(caller, lambda _host, s, why: None if waits is None else waits.append((s, why))).before(
            HOST
        )
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.delay()
            self.asked.append(asyncio.get_running_loop().time())
            status, headers = self._answer(len(self.asked))
            await asyncio.sleep(self._takes)
            turn.answered(status, headers)
            return status
        finally:
            self.under_way -= 1
            turn.over(None)

    async def delay(self) -> None:
        """Be on the way to the provider."""

    def most_within(self, seconds: float) -> int:
        return max(sum(first <= at < first + seconds for at in self.asked) for first in self.asked)


class Far(Provider):
    """Requests take their time on the way, some much more than others, as on a machine that has too much to do."""

    dice = random.Random(5)

    async def delay(self) -> None:
        await asyncio.sleep(self.dice.choice([0.002, 0.01, 0.05, 0.2, 0.3, 0.4]))


def declared(text: str, *, name: str = "a", mark: str = "", **more: float) -> Caller:
    longest, concurrency = more.get("longest", 60.0), more.get("concurrency")
    limit = RateLimit(
        rates=read_rates(text) if text else (),
        concurrency=None if concurrency is None else int(concurrency),
        longest_wait=longest,
    )
    return Caller(name=name, limit=limit, home=HOST, mark=mark)


async def walk(provider: Provider, limits: Limits, caller: Caller, until: float) -> None:
    while asyncio.get_running_loop().time() < until:
        await provider.get(limits, caller)


async def walked(provider: Provider, caller: Caller, *, processes: int = 3, each: int = 2, until: float = 20.0) -> Desk:
    desk = Desk()
    several = [Limits(desk, {}, timing()) for _ in range(processes)]
    await asyncio.gather(*(walk(provider, one, caller, until) for one in several for _ in range(each)))
    for one in several:
        await one.close()
    return desk


def test_processes_keep_one_limit_together_and_use_it() -> None:
    provider = Provider()
    desk = run(walked(provider, declared("50/s")))
    assert provider.most_within(1.0) <= 50
    assert len(provider.asked) / 20 >= 45
    assert desk.settled < len(provider.asked) / 2


@pytest.mark.parametrize("phase", [1.3, 4.0, 5.5, 8.4, 9.7])
@pytest.mark.parametrize("told", ["moment", "seconds"])
def test_windows_at_fixed_times_are_kept_from_wherever_one_is_met(phase: float, told: str) -> None:
    """Windows of ten seconds, of which an answer tells only when the one under way ends, and what is left of it."""
    used: Counter[float] = Counter()
    statuses: list[int] = []

    def answer(_number: int) -> tuple[int, Mapping[str, str]]:
        ends = (wall() // 10 + 1) * 10
        statuses.append(200 if used[ends] < 20 else 429)
        used[ends] += statuses[-1] == 200
        reset = ends if told == "moment" else math.ceil(ends - wall())
        left = {"X-RateLimit-Remaining": str(20 - used[ends]), "X-RateLimit-Reset": f"{reset:.0f}"}
        return statuses[-1], {
            "X-RateLimit-Limit": "20",
            **left,
            **({"Retry-After": "1"} if statuses[-1] == 429 else {}),
        }

    provider = Provider(answer=answer)

    async def main() -> None:
        await asyncio.sleep(phase)
        await walked(provider, declared(""), processes=2, until=60.0)

    run(main())
    assert set(statuses) == {200}
    assert len(statuses) >= 80


def test_a_limit_of_an_hour_lets_a_burst_through_and_then_nothing() -> None:
    provider = Provider()

    async def main() -> None:
        limits = Limits(Desk(), {}, timing())
        with pytest.raises(RateLimited) as raised:
            await walk(provider, limits, declared("100/h"), 1000.0)
        assert raised.value.facts["park"] is True
        assert 3500 < (raised.value.retry_after or 0) <= 3640
        assert asyncio.get_running_loop().time() < 30

    run(main())
    assert len(provider.asked) == 100


def test_a_limit_of_a_minute_is_waited_for() -> None:
    provider = Provider()
    run(walked(provider, declared("5/m"), processes=1, each=2, until=200.0))
    assert provider.most_within(60.0) <= 5
    assert len(provider.asked) >= 17


def test_the_limit_is_kept_where_some_requests_take_long_to_arrive() -> None:
    provider = Far(takes=0.001)
    run(walked(provider, declared("50/s"), each=8))
    assert provider.most_within(1.0) <= 50
    assert len(provider.asked) / 20 >= 30


def test_a_slow_provider_is_asked_as_often_as_it_permits() -> None:
    provider = Provider(takes=0.5)
    run(walked(provider, declared("10/s"), processes=2, each=10))
    assert provider.most_within(1.0) <= 10
    assert len(provider.asked) / 20 >= 9


def test_requests_under_way_are_limited_over_all_processes() -> None:
    provider = Provider(takes=0.1)
    run(walked(provider, declared("", concurrency=4), processes=3, each=5, until=10.0))
    assert provider.most <= 4
    assert len(provider.asked) >= 200


def test_one_request_at_a_time_over_all_processes() -> None:
    provider = Provider(takes=0.05)
    run(walked(provider, declared("", concurrency=1), processes=3, each=2, until=20.0))
    assert provider.most == 1
    assert len(provider.asked) >= 60


def test_without_any_limit_nothing_is_written_and_hardly_anything_read() -> None:
    provider = Provider(takes=0.01)
    desk = run(walked(provider, Caller(name="a"), processes=1, each=4, until=10.0))
    assert desk.settled == 0
    assert desk.looks <= 12
    assert len(provider.asked) > 3000


def test_a_limit_that_headers_tell_is_kept_by_all() -> None:
    def answer(_number: int) -> tuple[int, Mapping[str, str]]:
        left = 50 - sum(provider.asked[-1] - at < 1.0 for at in provider.asked)
        return 200, {"RateLimit-Policy": '"k";q=50;w=1', "RateLimit": f'"k";r={max(left, 0)};t=1'}

    provider = Provider(answer=answer)
    run(walked(provider, Caller(name="a", home=HOST)))
    assert provider.most_within(1.0) <= 50
    assert len(provider.asked) / 20 >= 45


def test_retry_after_holds_all_processes_and_is_not_cut_short() -> None:
    provider = Provider(answer=lambda number: (429, {"Retry-After": "7"}) if number == 40 else (200, {}))
    run(walked(provider, Caller(name="a"), until=15.0))
    refused = provider.asked[39]
    late = [at for at in provider.asked if refused + 1.1 < at < refused + 7.0]
    assert late == []
    assert provider.asked[-1] > refused + 7.0


@pytest.mark.parametrize("text", ["-5", "abc", "", "nan", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_absurd_waits_do_not_let_a_refusing_provider_be_hammered(text: str) -> None:
    provider = Provider(answer=lambda _number: (429, {"Retry-After": text}))
    run(walked(provider, Caller(name="a"), processes=1, each=3, until=120.0))
    assert len(provider.asked) < 60


def test_a_single_refusal_within_a_declared_limit_holds_nobody_else() -> None:
    provider = Provider(answer=lambda number: (429, {"Retry-After": "1"}) if number % 20 == 0 else (200, {}))
    run(walked(provider, declared("50/s")))
    assert provider.most_within(1.0) <= 50
    assert len(provider.asked) / 20 >= 45


def test_three_refusals_in_a_row_hold_everybody() -> None:
    provider = Provider(answer=lambda number: (429, {"Retry-After": "2"}) if 40 <= number < 50 else (200, {}))
    run(walked(provider, declared("20/s"), processes=1, each=1))
    gaps = [later - earlier for earlier, later in pairwise(provider.asked)]
    assert max(gaps) >= 2.0


def test_a_wait_that_is_too_long_is_known_to_the_next_process_without_a_request() -> None:
    provider = Provider(answer=lambda _number: (429, {"Retry-After": "3600"}))

    async def main() -> None:
        desk = Desk()
        first = Limits(desk, {}, timing())
        await provider.get(first, Caller(name="a"))
        await asyncio.sleep(1.0)
        await first.close()
        with pytest.raises(RateLimited) as raised:
            await provider.get(Limits(desk, {}, timing()), Caller(name="a"))
        assert 3590 < (raised.value.retry_after or 0) <= 3600
        assert HOST in raised.value.message

    run(main())
    assert len(provider.asked) == 1


def test_a_process_that_died_does_not_take_its_permits_with_it() -> None:
    provider = Provider()

    async def main() -> None:
        dying, desk = Desk(), Desk()
        dead, living = Limits(dying, {}, timing()), Limits(desk, {}, timing())
        await asyncio.gather(*(provider.get(dead, declared("10/s")) for _ in range(10)))
        desk.books, dying.away = dying.books, True  # nobody hears of it any more
        await provider.get(living, declared("10/s"))
        assert asyncio.get_running_loop().time() <= LEASE + 3
        await living.close()
        await dead.close()

    run(main())
    assert provider.most_within(1.0) <= 10


def test_with_the_database_away_what_is_held_goes_on_and_then_it_is_said() -> None:
    provider = Provider(takes=0.001)

    async def main() -> None:
        desk = Desk()
        limits = Limits(desk, {}, timing())
        for _ in range(3):
            await provider.get(limits, declared("20/s"))
        desk.away = True
        since, before = asyncio.get_running_loop().time(), len(provider.asked)
        with pytest.raises(StoreBusy, match=HOST):
            await walk(provider, limits, declared("20/s"), 1000.0)
        assert 25 < asyncio.get_running_loop().time() - since < 40
        assert 1 <= len(provider.asked) - before <= 20
        desk.away = False
        await asyncio.sleep(3)
        assert await provider.get(limits, declared("20/s")) == 200
        await limits.close()

    run(main())
    assert provider.most_within(1.0) <= 20


def test_with_the_database_away_a_host_without_a_limit_is_asked_all_the_same() -> None:
    provider = Provider()

    async def main() -> None:
        desk = Desk()
        desk.away = True
        limits = Limits(desk, {}, timing())
        assert await provider.get(limits, Caller(name="a")) == 200
        assert asyncio.get_running_loop().time() < 1.0
        await limits.close()

    run(main())


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 5.0, -5.0])
def test_a_clock_of_the_database_that_jumps_changes_nothing(jump: float) -> None:
    provider = Provider()

    async def main() -> None:
        desk = Desk()
        several = [Limits(desk, {}, timing()) for _ in range(2)]
        work = asyncio.gather(*(walk(provider, one, declared("20/s"), 20.0) for one in several for _ in range(2)))
        await asyncio.sleep(8.0)
        desk.jump = jump
        await work
        for one in several:
            await one.close()

    run(main())
    assert provider.most_within(1.0) <= 20
    assert len(provider.asked) / 20 >= 17


def test_a_limit_of_a_host_counts_for_all_credentials() -> None:
    provider = Provider()

    async def main() -> None:
        limits = Limits(Desk(), {HOST: RateLimit(rates=read_rates("10/s"))}, timing())
        callers = [Caller(name=name, home=HOST, mark=name) for name in ("a", "b")]
        await asyncio.gather(*(walk(provider, limits, caller, 10.0) for caller in callers))
        await limits.close()

    run(main())
    assert provider.most_within(1.0) <= 10


def test_other_credentials_have_another_budget() -> None:
    provider = Provider()

    async def main() -> None:
        limits = Limits(Desk(), {}, timing())
        callers = [declared("10/s", name=name, mark=name) for name in ("a", "b")]
        await asyncio.gather(*(walk(provider, limits, caller, 10.0) for caller in callers))
        await limits.close()

    run(main())
    assert 180 <= len(provider.asked) <= 220


def test_waits_are_told_with_their_reason() -> None:
    provider = Provider()
    waits: list[tuple[float, str]] = []

    async def main() -> None:
        limits = Limits(Desk(), {}, timing())
        for _ in range(6):
            await provider.get(limits, declared("5/2s"), waits)
        await limits.close()

    run(main())
    ((seconds, why),) = waits
    assert (1.0 <= seconds <= 2.1, why) == (True, "the rate limit is spent")


def test_a_request_that_is_given_up_leaves_its_place_to_the_next() -> None:
    provider = Provider()

    async def main() -> None:
        limits = Limits(Desk(), {}, timing())
        for _ in range(2):
            await provider.get(limits, declared("2/10s"))
        waiting = asyncio.ensure_future(provider.get(limits, declared("2/10s")))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await provider.get(limits, declared("2/10s")) == 200
        await limits.close()

    run(main())
    assert len(provider.asked) == 3


def test_a_mark_tells_credentials_apart_and_does_not_hold_them() -> None:
    marks = {mark_of(HOST, {"Authorization": f"Bearer {token}"}) for token in ("one", "two", "three")}
    assert len(marks) == 3
    assert mark_of(HOST, {"AUTHORIZATION": "x"}) == mark_of(HOST, {"authorization": "x"})
    assert mark_of("other", {"a": "x"}) != mark_of(HOST, {"a": "x"})
    assert mark_of(HOST, {}) == ""
    assert all(len(mark) == 6 for mark in marks)


def test_credentials_count_where_they_are_sent() -> None:
    caller = Caller(name="a", home=HOST, mark="123456")
    assert key_of(caller, HOST, ()) == f"{HOST} 123456"
    assert key_of(caller, "cdn.example.com", ()) == "cdn.example.com"
    assert key_of(caller, HOST, (HOST,)) == HOST


def test_what_nobody_foresaw_is_raised_where_a_request_waits() -> None:
    class Odd(Desk):
        async def settle(self, *_asked: object) -> Grant:  # whatever is asked
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await Provider().get(Limits(Odd(), {}, timing()), declared("1/s"))

    run(main())


def test_errors_of_the_database_are_ours() -> None:
    assert issubclass(StoreBusy, KasparroError)
