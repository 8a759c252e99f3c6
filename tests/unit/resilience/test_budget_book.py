"""The book of a budget: what processes are given, whatever they do and whatever clocks do."""

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.model.rate import Rate
from kasparro.resilience.budget_book import AHEAD, LEASE, LONGEST_HOLD, settle
from kasparro.resilience.budget_permits import Run, total
from kasparro.resilience.budget_values import Ask, Book, Grant, Report, from_json, lasts_until, to_json
from kasparro.resilience.rate_headers import Window

START = 1_700_000_000.0
TEN = (Rate(count=10, seconds=1.0),)


def report(window: Window, at: float) -> Report:
    return Report(window=window, sent=at, heard=at)


def count_of(grant: Grant, pool: str = "declared 1.0") -> int:
    return sum(count for _, count in grant.permits.get(pool, ()))


def used(grant: Grant, pool: str = "declared 1.0", span: float = 1.0) -> dict[str, tuple[Run, ...]]:
    """Return what is given back where every permit is used at the moment from which it holds, or now."""
    return {pool: tuple((max(at, grant.now) + span, count) for at, count in grant.permits.get(pool, ()))}


def test_no_more_is_given_than_the_limit_says() -> None:
    book = Book()
    first = settle(book, Ask(holder="a", want=50, rates=TEN), START)
    second = settle(book, Ask(holder="a", want=50, rates=TEN), START + 0.1)
    assert (count_of(first), count_of(second)) == (10, 0)


def test_what_was_used_comes_back_a_span_later_and_is_given_shortly_before() -> None:
    book = Book()
    first = settle(book, Ask(holder="a", want=10, rates=TEN), START)
    early = settle(book, Ask(holder="a", want=10, rates=TEN, back=used(first)), START + 0.2)
    later = settle(book, Ask(holder="a", want=10, rates=TEN), START + 1.0 - AHEAD + 0.01)
    assert (count_of(early), early.next_at) == (0, START + 1.0)
    assert later.permits["declared 1.0"] == ((START + 1.0, 10),)


def test_what_was_not_used_is_there_for_others_at_once() -> None:
    book = Book()
    settle(book, Ask(holder="a", want=10, rates=TEN), START)
    settle(book, Ask(holder="a", rates=TEN, back={"declared 1.0": ((START, 7),)}), START + 0.1)
    other = settle(book, Ask(holder="b", want=10, rates=TEN), START + 0.1)
    assert count_of(other) == 7


def test_those_who_want_share() -> None:
    book = Book()
    settle(book, Ask(holder="a", want=1, rates=TEN), START)
    settle(book, Ask(holder="b", want=1, rates=TEN), START)
    third = settle(book, Ask(holder="c", want=50, rates=TEN), START)
    assert (count_of(third), third.crowd) == (3, 3)


def test_the_strictest_of_what_is_declared_holds_for_all() -> None:
    book = Book()
    settle(book, Ask(holder="a", rates=(Rate(count=3, seconds=1.0),)), START)
    assert count_of(settle(book, Ask(holder="b", want=50, rates=TEN), START)) == 3


def test_a_request_needs_a_permit_of_each_limit() -> None:
    book = Book()
    both = (*TEN, Rate(count=4, seconds=3600.0))
    grant = settle(book, Ask(holder="a", want=50, rates=both), START)
    assert (count_of(grant), count_of(grant, "declared 3600.0")) == (4, 4)
    assert grant.spans == {"declared 1.0": 1.0, "declared 3600.0": 3600.0}


def test_a_process_that_has_died_gives_back_after_its_lease_and_a_span() -> None:
    book = Book()
    settle(book, Ask(holder="dead", want=10, rates=TEN), START)
    shortly = settle(book, Ask(holder="b", want=10, rates=TEN), START + LEASE + 0.01)
    after = settle(book, Ask(holder="b", want=10, rates=TEN), START + LEASE + 0.5)
    assert (count_of(shortly), shortly.next_at) == (0, START + LEASE + 1.0)
    assert after.permits["declared 1.0"][0][0] >= START + LEASE + 1.0


def test_what_a_process_gives_back_after_its_lease_was_taken_back_already() -> None:
    book = Book()
    first = settle(book, Ask(holder="frozen", want=10, rates=TEN), START)
    settle(book, Ask(holder="frozen", back=used(first), rates=TEN), START + LEASE + 3)
    assert total(book.pools["declared 1.0"]) == 10


def test_a_hold_is_for_everybody_and_not_for_ever() -> None:
    book = Book()
    settle(book, Ask(holder="a", rates=TEN, hold=(START + 30, "asked to wait")), START)
    held = settle(book, Ask(holder="b", want=5, rates=TEN), START + 1)
    freed = settle(book, Ask(holder="b", want=5, rates=TEN), START + 30)
    absurd = settle(book, Ask(holder="a", rates=TEN, hold=(START + 1e12, "asked to wait")), START + 31)
    assert (count_of(held), held.hold, held.why) == (0, START + 30, "asked to wait")
    assert count_of(freed) == 5
    assert absurd.hold == START + 31 + LONGEST_HOLD


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    book = Book()
    settle(book, Ask(holder="a", hold=(START + 30, "x")), START)
    assert settle(book, Ask(holder="b", hold=(START + 2, "y")), START).hold == START + 30


@pytest.mark.parametrize("jump", [3600.0, 40.0])
def test_a_clock_that_jumps_ahead_frees_nothing_early(jump: float) -> None:
    book = Book()
    first = settle(book, Ask(holder="a", want=10, rates=TEN), START)
    after = settle(
        book, Ask(holder="a", want=10, back=used(first), rates=TEN), START + 0.1 + jump, expected=START + 0.1
    )
    other = settle(book, Ask(holder="b", want=10, rates=TEN), START + 0.2 + jump)
    assert (count_of(after), count_of(other)) == (0, 0)
    assert after.now == START + 0.1


@pytest.mark.parametrize("jump", [3600.0, 40.0])
def test_a_clock_that_is_set_back_blocks_nobody(jump: float) -> None:
    book = Book()
    first = settle(book, Ask(holder="a", want=10, rates=TEN), START)
    settle(book, Ask(holder="a", back=used(first), rates=TEN), START + 0.1)
    settle(book, Ask(holder="a", rates=TEN), START + 0.2 - jump)
    later = settle(book, Ask(holder="a", want=10, rates=TEN), START + 1.3 - jump)
    assert count_of(later) == 10


def test_a_learned_limit_gives_what_is_left_and_the_rest_with_the_reset() -> None:
    book = Book()
    seen = Window(name="core", limit=5000, remaining=20, reset=100.0)
    first = settle(book, Ask(holder="a", want=50, reports=(report(seen, START),)), START)
    early = settle(book, Ask(holder="a", want=50), START + 1)
    reset = settle(book, Ask(holder="a", want=50), START + 101)
    assert (count_of(first, "learned core"), count_of(early, "learned core")) == (18, 0)  # two are left to others
    assert count_of(reset, "learned core") == 50


def test_a_reset_in_whole_seconds_gives_nothing_before_the_window_has_passed() -> None:
    """At 12:00:00.9, the reset of a window of one second is said to be 12:00:01; that is not in a tenth of a second."""
    book = Book()
    seen = Window(name="x", limit=10, remaining=9, reset=0.1, coarse=True)
    first = settle(book, Ask(holder="a", want=50, reports=(report(seen, START),)), START)
    assert first.permits["learned x"] == ((START, 9),)
    later = settle(book, Ask(holder="a", want=50), START + 0.5)
    assert later.permits["learned x"] == ((START + 1.0, 1),)


def test_where_somebody_else_uses_the_limit_the_rest_waits_for_the_reset() -> None:
    book = Book()
    settle(
        book, Ask(holder="a", reports=(report(Window(name="x", limit=100, remaining=99, reset=50.0), START),)), START
    )
    news = Window(name="x", limit=100, remaining=2, reset=40.0)
    grant = settle(book, Ask(holder="a", want=80, reports=(report(news, START + 10),)), START + 10)
    assert count_of(grant, "learned x") == 2


def test_the_length_of_a_window_is_the_longest_time_to_its_reset() -> None:
    book = Book()
    for at, reset in ((0.0, 20.0), (1.0, 19.0), (20.0, 60.0), (30.0, 50.0)):
        seen = Window(name="x", limit=100, remaining=50, reset=reset)
        settle(book, Ask(holder="a", reports=(report(seen, START + at),)), START + at)
    assert book.pools["learned x"].span == 60.0


@pytest.mark.parametrize(("reset", "span"), [(1.9, 1.0), (0.3, 1.0), (3600.03, 3600.0), (59.97, 60.0), (9.2, 10.0)])
def test_a_reset_in_whole_seconds_is_not_taken_for_a_longer_window(reset: float, span: float) -> None:
    book = Book()
    seen = Window(name="x", limit=9, remaining=5, reset=reset, coarse=True)
    settle(book, Ask(holder="a", reports=(report(seen, START),)), START)
    assert book.pools["learned x"].span == span


@pytest.mark.parametrize(
    ("reset", "kind", "span"),
    [
        (9.2, "moment", 10.0),
        (8.4, "moment", 9.0),
        (9.0, "seconds", 10.0),
        (3599.0, "seconds", 3600.0),
        (9.4, "seconds", 9.4),
    ],
)
def test_a_window_whose_length_was_cut_is_not_taken_for_a_shorter_one(reset: float, kind: str, span: float) -> None:
    """Of ten seconds, 9.2 are left to a moment in whole seconds, and 9 where the seconds themselves were cut."""
    book = Book()
    seen = Window(name="x", limit=9, remaining=8, reset=reset, coarse=kind == "moment")
    settle(book, Ask(holder="a", reports=(report(seen, START),)), START)
    assert book.pools["learned x"].span == span
    assert [count for at, count in book.pools["learned x"].free if at >= START + span] == [1]


def test_a_limit_of_which_nobody_hears_is_forgotten() -> None:
    book = Book()
    seen = Window(name="x", limit=1, remaining=0, span=1.0)
    settle(book, Ask(holder="a", reports=(report(seen, START),)), START)
    grant = settle(book, Ask(holder="a", want=1), START + 700)
    assert grant.spans == {}


def test_names_that_change_each_time_fill_no_book() -> None:
    book = Book()
    for number in range(100):
        seen = Window(name=f"x{number}", limit=5, remaining=5, span=1.0)
        settle(book, Ask(holder="a", reports=(report(seen, START),)), START)
    assert len(book.pools) == 16


def test_who_leaves_has_no_part_in_it_any_more() -> None:
    book = Book()
    settle(book, Ask(holder="a", want=10, rates=TEN, concurrency=3, places=3), START)
    settle(book, Ask(holder="a", leaving=True), START + 0.1)
    assert (book.holders, total(book.pools["declared 1.0"])) == ({}, 10)
    assert lasts_until(book) == START + 1.0 + LEASE


def test_places_are_shared_among_those_who_want_them() -> None:
    book = Book()
    alone = settle(book, Ask(holder="a", concurrency=4, places=9), START)
    none = settle(book, Ask(holder="b", concurrency=4, places=9), START)
    given_up = settle(book, Ask(holder="a", concurrency=4, places=9, busy=4), START + 0.2)
    still = settle(book, Ask(holder="b", concurrency=4, places=9), START + 0.3)
    settle(book, Ask(holder="a", concurrency=4, places=9, busy=2), START + 0.4)
    half = settle(book, Ask(holder="b", concurrency=4, places=9), START + 0.5)
    assert [one.places for one in (alone, none, given_up, still, half)] == [4, 0, 2, 0, 2]


def test_one_place_goes_round() -> None:
    book, turns = Book(), {"a": 0, "b": 0, "c": 0}
    for step in range(60):
        for name in turns:
            places = settle(book, Ask(holder=name, concurrency=1, places=2), START + step * 0.1).places
            turns[name] += places or 0
            assert sum(one.places for one in book.holders.values()) <= 1
    assert min(turns.values()) >= 15


def test_a_dead_process_gives_its_places_back() -> None:
    book = Book()
    settle(book, Ask(holder="dead", concurrency=2, places=2, busy=2), START)
    before = settle(book, Ask(holder="b", concurrency=2, places=2), START + 1)
    after = settle(book, Ask(holder="b", concurrency=2, places=2), START + LEASE + 0.1)
    assert (before.places, after.places) == (0, 2)


def test_a_book_is_the_same_after_it_was_written_down() -> None:
    book = Book()
    settle(book, Ask(holder="a", want=3, rates=TEN, concurrency=2, places=1, hold=(START + 3, "x")), START)
    seen = Window(name="x", limit=9, remaining=5, reset=7.5)
    settle(book, Ask(holder="b", reports=(report(seen, START),)), START)
    assert from_json(to_json(book)) == book


def test_a_book_of_a_newer_version_is_read() -> None:
    book = Book()
    settle(book, Ask(holder="a", want=3, rates=TEN), START)
    data = to_json(book)
    data["news"] = 1
    data["pools"]["declared 1.0"]["news"] = {"x": 1}
    data["holders"]["a"]["news"] = []
    assert from_json(data) == book


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 4), st.floats(0, 0.2))
def test_in_no_span_more_are_used_than_the_limit_says(seed: int, limit: int, processes: int, died: float) -> None:
    """Processes take, use at any moment they may, give back late, die and come back; each use is noted."""
    dice, book, uses = random.Random(seed), Book(), deque[float]()
    rates = (Rate(count=limit, seconds=1.0),)
    hands: dict[str, list[float]] = {f"p{n}": [] for n in range(processes)}
    backs: dict[str, list[Run]] = {name: [] for name in hands}
    leases = dict.fromkeys(hands, 0.0)
    now = START
    for step in range(250):
        now += dice.random() * 0.08
        name = dice.choice(list(hands))
        hands[name] = hands[name] if now < leases[name] else []
        for at in [at for at in hands[name] if at <= now and dice.random() < 0.7]:
            hands[name].remove(at)
            uses.append(now)
            backs[name].append((now + 1.0, 1))
        if dice.random() < died * 0.2:
            hands[f"new{step}"], backs[f"new{step}"], leases[f"new{step}"] = [], [], 0.0
            del hands[name], backs[name], leases[name]
            continue
        back = {"declared 1.0": tuple(backs[name])}
        grant = settle(book, Ask(holder=name, want=dice.randint(0, 6), rates=rates, back=back), now)
        book = from_json(to_json(book))
        backs[name], leases[name] = [], now + LEASE
        hands[name] += [at for at, count in grant.permits.get("declared 1.0", ()) for _ in range(count)]
    moments = sorted(uses)
    for first, last in zip(moments, moments[limit:], strict=False):
        assert last - first >= 1.0 - 1e-6
