import pytest

from kasparro.resilience.budget_book import LEASE
from kasparro.resilience.budget_hand import Hand
from kasparro.resilience.budget_values import Grant

EPOCH = 1_700_000_000.0
"""What the clock of the book shows when ours shows 0."""


def dealt(*runs: tuple[float, int], at: float = 0.0, took: float = 0.0, span: float = 1.0) -> Hand:
    hand = Hand()
    permits = {"a": tuple((EPOCH + moment, count) for moment, count in runs)}
    hand.receive(Grant(now=EPOCH + at + took / 2, permits=permits, spans={"a": span}), at, at + took)
    return hand


def test_a_permit_holds_by_the_later_bound_of_the_clock() -> None:
    hand = dealt((5.0, 1), took=0.2)
    assert hand.due(1.0) == pytest.approx(5.1)


def test_bounds_get_narrower_with_each_exchange() -> None:
    hand = dealt((3.0, 1), took=0.2)
    hand.receive(Grant(now=EPOCH + 1.0, spans={"a": 1.0}), 0.99, 1.01)
    assert hand.moment(2.0) == pytest.approx(EPOCH + 2.01, abs=1e-5)
    assert hand.local(EPOCH + 2.0) == pytest.approx(2.01, abs=1e-5)


def test_bounds_are_found_anew_when_a_clock_has_jumped() -> None:
    hand = dealt((3.0, 1), took=0.01)
    hand.receive(Grant(now=EPOCH + 3601.0, spans={"a": 1.0}), 1.0, 1.01)
    assert hand.moment(1.01) == pytest.approx(EPOCH + 3601.01, abs=1e-5)


def test_a_permit_of_each_pool_is_needed() -> None:
    hand = dealt((0.0, 2))
    hand.receive(Grant(now=EPOCH, permits={"b": ((EPOCH + 4.0, 1),)}, spans={"a": 1.0, "b": 60.0}), 0.0, 0.0)
    assert hand.due(0.0) == 4.0
    assert sorted(hand.use()) == ["a", "b"]
    assert hand.due(0.0) is None


@pytest.mark.parametrize(
    ("took", "usual", "comes_back"),
    [
        (0.02, 0.02, 1.02),  # quick: from the answer
        (0.5, 0.5, 1.10),  # usually slow: from the beginning, and a margin
        (0.8, 0.5, 1.40),  # slower than usual: later by as much
        (0.2, 0.02, 1.20),  # late: from the answer
    ],
)
def test_a_used_permit_comes_back_a_span_after_its_request_arrived(
    took: float, usual: float, comes_back: float
) -> None:
    hand = dealt((0.0, 1))
    hand.used(hand.use(), 0.0, took, usual, {})
    ((at, count),) = hand.collect()["a"]
    assert at - EPOCH == pytest.approx(comes_back, abs=1e-5)
    assert count == 1


def test_a_used_permit_is_not_back_before_the_reset_that_its_answer_tells_of() -> None:
    """The window that has just begun is longer than the rest of the one before, which was all that was known."""
    hand = dealt((0.0, 2))
    hand.used(hand.use(), 0.0, 0.02, 0.02, {"a": 10.0, "b": 90.0})
    hand.used(hand.use(), 0.0, 0.02, 0.02, {"a": 0.3})
    (first, _), (second, _) = hand.collect()["a"]
    assert first - EPOCH == pytest.approx(10.02, abs=1e-5)
    assert second - EPOCH == pytest.approx(1.02, abs=1e-5)


def test_what_is_not_needed_is_given_back_the_latest_first() -> None:
    hand = dealt((1.0, 2), (2.0, 3))
    hand.spare(3)
    assert hand.collect() == {"a": ((EPOCH + 2.0, 2),)}
    assert hand.size() == 3


def test_an_answer_that_tells_of_fewer_takes_what_held_then() -> None:
    hand = dealt((1.0, 3), (2.0, 2))
    hand.trim("a", 1, 1.5, 9.0)
    assert hand.collect() == {"a": ((EPOCH + 9.0, 2),)}
    assert hand.size() == 3


def test_nothing_is_used_after_the_lease() -> None:
    hand = dealt((0.0, 5))
    assert hand.due(LEASE - 1) == 0.0
    assert (hand.due(LEASE), hand.lapsed(LEASE)) == (None, True)


def test_what_the_book_may_not_know_of_is_used_up_and_not_given_back() -> None:
    hand = dealt((0.0, 5))
    hand.disown()
    hand.receive(Grant(now=EPOCH + 3.0, spans={"a": 1.0}), 3.0, 3.0)
    assert hand.due(LEASE - 1) == 0.0
    assert hand.use() == ()
    hand.spare(0)
    assert hand.collect() == {}
    assert hand.due(LEASE) is None


def test_permits_of_a_limit_that_has_ended_are_forgotten() -> None:
    hand = dealt((0.0, 5))
    hand.receive(Grant(now=EPOCH, spans={}), 0.0, 0.0)
    assert (hand.size(), hand.due(0.0)) == (0, 0.0)
