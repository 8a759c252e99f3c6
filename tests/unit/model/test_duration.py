from datetime import timedelta

import pytest

from kasparro.model.duration import read_duration, written


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("12 h", timedelta(hours=12)),
        (" 30d ", timedelta(days=30)),
        ("8w", timedelta(weeks=8)),
    ],
)
def test_lengths_of_time(text: str, length: timedelta) -> None:
    assert read_duration(text) == length


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5d", "1y", "9999999d", "999999w x"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="such as 12h, 30d or 8w"):
        read_duration(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=90), "90m"),
        (timedelta(hours=24), "1d"),
        (timedelta(days=14), "2w"),
        (timedelta(milliseconds=1500), "1.5s"),
    ],
)
def test_lengths_are_written_as_they_are_read(length: timedelta, text: str) -> None:
    assert written(length) == text
    assert text == "1.5s" or read_duration(text) == length
