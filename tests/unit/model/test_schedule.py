from datetime import timedelta

import pytest

from kasparro.model.schedule import Cron, Every, Schedule

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(when=Cron(line="0 6 * * 1-5", timezone="Europe/Berlin")),
        Schedule(when=Every(length=HOUR), jitter=timedelta(seconds=30), catch_up=False, grace=2 * HOUR),
    ],
)
def test_it_comes_back_from_plain_values(schedule: Schedule) -> None:
    assert Schedule.from_json(schedule.to_json()) == schedule


@pytest.mark.parametrize(
    "data", [{}, {"every": "x", "jitter": 0, "catch_up": True, "grace": None}, {"cron": "* * * * *"}]
)
def test_what_another_version_wrote(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Schedule.from_json(data)


def test_it_is_shown_in_words() -> None:
    assert str(Schedule(when=Every(length=90 * HOUR))) == "every 90h"
    assert str(Schedule(when=Cron(line="0 6 * * *"))) == "0 6 * * * (UTC)"
