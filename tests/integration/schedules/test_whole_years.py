"""Schedules that are due thousands of times a year, in every zone whose clocks are set in a way of its own."""

import pytest
from tests.unit.scheduling.test_moments import ZONES, both_ways


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("line", "least"), [("0 */3 * * *", 8 * 365 - 1), ("45 * * * *", 24 * 365 - 2)])
def test_a_whole_year_forwards_is_the_same_backwards(line: str, least: int, zone: str) -> None:
    forwards, backwards = both_ways(line, zone)
    assert forwards == backwards
    assert len(forwards) >= least
