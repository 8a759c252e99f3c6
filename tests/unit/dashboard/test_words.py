from datetime import UTC, datetime

import pytest

from kasparro.dashboard.words import ago, grouped, lasted

NOW = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (None, "never"),
        ("2024-03-01T12:00:00+00:00", "just now"),
        ("2024-03-01T12:00:09+00:00", "just now"),
        ("2024-03-01T11:59:01.5+00:00", "just now"),
        ("2024-03-01T11:59:00+00:00", "1 minute ago"),
        ("2024-03-01T11:00:01+00:00", "59 minutes ago"),
        ("2024-03-01T10:00:00+00:00", "2 hours ago"),
        ("2024-02-29T12:00:00+00:00", "1 day ago"),
        ("2023-03-01T12:00:00+00:00", "366 days ago"),
    ],
)
def test_ago(then: str | None, words: str) -> None:
    assert ago(then, NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),  # noqa: RUF001 - a dash is meant
        (0, "0 ms"),
        (0.85, "850 ms"),
        (4.21, "4.2 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (185.2, "3 min 05 s"),
        (3599.9, "1 h 00 min"),
        (7801, "2 h 10 min"),
    ],
)
def test_lasted(seconds: float | None, words: str) -> None:
    assert lasted(seconds) == words


def test_grouped() -> None:
    assert [grouped(number) for number in (0, 999, 1000, 336776)] == ["0", "999", "1\u202f000", "336\u202f776"]
