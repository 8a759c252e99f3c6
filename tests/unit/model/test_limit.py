from decimal import Decimal

import pytest

from kasparro.model.limit import ENOUGH, Limit


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        (0, Limit(count=0), "0"),
        (1500, Limit(count=1500), "1,500"),
        ("20", Limit(count=20), "20"),
        ("1%", Limit(share=Decimal("0.01")), "1 %"),
        ("2.5 %", Limit(share=Decimal("0.025")), "2.5 %"),
        ("100%", Limit(share=Decimal(1)), "100 %"),
    ],
)
def test_counts_and_shares(text: str | int, limit: Limit, shown: str) -> None:
    assert Limit.read(text) == limit
    assert str(limit) == shown


@pytest.mark.parametrize("text", ["", "many", "-1", "101%", "1/2", "%", "1.5"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a share such as"):
        Limit.read(text)


def test_a_share_is_judged_when_there_is_enough_or_at_the_end() -> None:
    limit = Limit.read("1%")
    assert not limit.passed(5, 10, at_end=False)
    assert limit.passed(5, 10, at_end=True)
    assert not limit.passed(ENOUGH // 100, ENOUGH, at_end=True)
    assert limit.passed(ENOUGH // 100 + 1, ENOUGH, at_end=False)


def test_a_count_is_judged_at_once() -> None:
    assert not Limit.read(1).passed(1, 1, at_end=True)
    assert Limit.read(1).passed(2, 2, at_end=False)
