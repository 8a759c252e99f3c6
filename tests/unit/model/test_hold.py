"""From which verdict on the rows of a run wait."""

import pytest

from kasparro.model.finding import Verdict
from kasparro.model.held import HoldOn, holds


@pytest.mark.parametrize(
    ("verdict", "hold_on", "expected"),
    [
        ("ok", "suspicious", False),
        ("suspicious", "suspicious", True),
        ("bad", "suspicious", True),
        ("ok", "bad", False),
        ("suspicious", "bad", False),
        ("bad", "bad", True),
        ("bad", None, False),
    ],
)
def test_rows_wait_on_that_verdict_and_on_worse_ones(verdict: Verdict, hold_on: HoldOn | None, expected: bool) -> None:  # noqa: FBT001
    assert holds(verdict, hold_on) is expected
