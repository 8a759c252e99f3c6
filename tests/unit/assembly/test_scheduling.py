"""How long a scheduler sleeps, and what it makes of what others wrote down."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from kasparro.assembly.scheduling import EVERY, SOON, Looked, read_schedule
from kasparro.model.schedule import Cron, Every, Schedule

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "seconds"),
    [
        (10.0, 10.0 + SOON),
        (0.25, 0.25 + SOON),
        (0.0, SOON),
        (-3.0, SOON),
        (29.999, EVERY),
        (86_400.0, EVERY),
        (None, EVERY),
    ],
)
def test_it_sleeps_until_something_is_due_and_never_long(ahead: float | None, seconds: float) -> None:
    following = None if ahead is None else NOW + timedelta(seconds=ahead)
    assert Looked(now=NOW, seen=(), following=following).seconds == pytest.approx(seconds)


def test_without_sources_it_looks_now_and_then() -> None:
    assert Looked(now=None, seen=(), following=None).seconds == EVERY


@pytest.mark.parametrize(
    "when", [Every(length=timedelta(hours=6)), Cron(line="0 6 * * 1-5", timezone="Asia/Kathmandu")]
)
def test_what_was_written_is_read(when: Every | Cron) -> None:
    schedule = Schedule(when=when, jitter=timedelta(minutes=5), catch_up=False)
    assert read_schedule("coins", schedule.to_text()) == schedule


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        "{",
        '{"every": 0, "jitter": 0, "catch_up": true, "grace": null}',
        '{"every": 1e300, "jitter": 0, "catch_up": true, "grace": null}',
        '{"every": 60, "jitter": "soon", "catch_up": true, "grace": null}',
        '{"cron": "0 0 31 2 *", "timezone": "UTC", "jitter": 0, "catch_up": true, "grace": null}',
        '{"cron": "0 0 * * *", "timezone": "../etc/passwd", "jitter": 0, "catch_up": true, "grace": null}',
    ],
)
def test_what_another_version_wrote_is_a_warning(text: str) -> None:
    with capture_logs() as logs:
        assert read_schedule("coins", text) is None
    assert [(one["log_level"], one["source"]) for one in logs] == [("warning", "coins")]
