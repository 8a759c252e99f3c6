import pytest

from kasparro.errors import KasparroError, RateLimited, Stopped, Unreachable
from kasparro.resilience.parking import LONGEST_PARKED, parked, parks


def test_a_source_is_parked_for_a_week_and_no_longer() -> None:
    within, beyond = (parked(Unreachable("busy", retry_after=1, status=503), LONGEST_PARKED + more) for more in (0, 1))
    assert parks(within) == LONGEST_PARKED
    assert parks(beyond) is None
    assert (within.facts["status"], beyond.facts["status"]) == (503, 503)
    assert "busy: that is 7 days, longer than the 7 days" in beyond.message
    assert "Retry-After" in beyond.message


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow"),
        RateLimited("slow", retry_after=5),
        RateLimited("slow", park=True),
        RateLimited("slow", retry_after=-1, park=True),
        RateLimited("slow", retry_after=float("nan"), park=True),
        RateLimited("slow", retry_after=float("inf"), park=True),
        Unreachable("down", retry_after=5, park=True),
        Stopped("told to stop"),
    ],
)
def test_everything_else_does_not_park(error: KasparroError) -> None:
    assert parks(error) is None
