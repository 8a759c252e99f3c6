from datetime import UTC, datetime, timedelta, timezone

import pytest

from kasparro.cli.words import bytes_in_words, count_in_words, moment_in_words


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_400_000, "3.4 MB"), (2e15, "2000.0 TB")]
)
def test_bytes(number: float, words: str) -> None:
    assert bytes_in_words(number) == words


def test_counts_and_moments() -> None:
    assert count_in_words(336_776) == "336,776"
    assert moment_in_words(None) == "-"
    assert moment_in_words(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05Z"
    assert moment_in_words(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-02 01:04:05Z"
