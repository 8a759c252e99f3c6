"""The key `schedule`: each form, and what is said of each mistake, with its line."""

from datetime import timedelta

import pytest
from tests.unit.config.conftest import Load, Mistaken

from kasparro.config import declare_sources
from kasparro.errors import Misconfigured
from kasparro.model.schedule import Cron, Every, Schedule


def source(*lines: str) -> str:
    return "sources:\n  a:\n    type: web\n    url: https://x\n" + "".join(f"    {line}\n" for line in lines)


DAILY = Cron(line="0 0 * * *")
QUARTER = Every(length=timedelta(minutes=15))


@pytest.mark.parametrize(
    ("written", "schedule"),
    [
        ('"*/15 * * * *"', Schedule(when=Cron(line="*/15 * * * *"))),
        ("0 6 * * MON-FRI", Schedule(when=Cron(line="0 6 * * MON-FRI"))),
        ('"@daily"', Schedule(when=DAILY)),
        ("every 15m", Schedule(when=QUARTER)),
        ("Every  15 m", Schedule(when=QUARTER)),
        ("15m", Schedule(when=QUARTER)),
        ("6h", Schedule(when=Every(length=timedelta(hours=6)))),
        ("{every: 15m}", Schedule(when=QUARTER)),
        (
            '{cron: "@daily", timezone: Europe/Berlin, jitter: 30s, catch_up: false, grace: 2h}',
            Schedule(
                when=Cron(line="0 0 * * *", timezone="Europe/Berlin"),
                jitter=timedelta(seconds=30),
                catch_up=False,
                grace=timedelta(hours=2),
            ),
        ),
    ],
)
def test_forms_of_a_schedule(load: Load, written: str, schedule: Schedule) -> None:
    (declared,) = load(source(f"schedule: {written}")).sources
    assert declared.schedule == schedule


def test_without_one(load: Load) -> None:
    assert load(source()).sources[0].schedule is None
    assert load(source("schedule:")).sources[0].schedule is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('"61 * * * *"', ': the minute "61" is not a number from 0 to 59'),
        ('"0 0 31 2 *"', ': names a date that never comes: day of month "31", month "2", weekday "*"'),
        (
            "daily",
            (
                ': is neither a line of cron such as "0 6 * * *" or @daily, nor an interval such as 15m, 6h or 1d; '
                'did you mean "@daily"?'
            ),
        ),
        ('""', ": is empty; leave it out, or write a line of cron or an interval such as 15m"),
        ("15", ": must be a text or a mapping, not 15; put it in quotes"),
        ("[a]", ": must be a text or a mapping, not a list"),
        ("30s", ": is an interval of at least 1m and at most 3660d"),
        ("999999w", ": is an interval of at least 1m and at most 3660d"),
        ("{every: 1d, grace: 999999w}", ".grace: is a length of time of at most 3660d"),
        ("every day", ": is a length of time such as 12h, 30d or 8w"),
        ("15y", ": is a length of time such as 12h, 30d or 8w"),
        ("{}", ": has neither cron nor every; give one of them"),
        ('{cron: "@daily", every: 1d}', ".every: does not go with cron; give one of them"),
        ('{cron: "0 25 * * *"}', '.cron: the hour "25" is not a number from 0 to 23'),
        ('{cron: "@daily", jiter: 30s}', '.jiter: unknown key; did you mean "jitter"?'),
        (
            '{cron: "@daily", timezone: europe/berlin}',
            (
                '.timezone: "europe/berlin" is not a time zone; use a name such as Europe/Berlin; '
                'did you mean "Europe/Berlin"?'
            ),
        ),
        ('{cron: "@daily", timezone: ../../etc/passwd}', None),
        ('{cron: "@daily", timezone: Europe}', None),
        (
            '{cron: "@daily", timezone: localtime}',
            '.timezone: "localtime" is not a time zone; use a name such as Europe/Berlin',
        ),
        ("{cron: 6}", ".cron: must be a text, not 6; put it in quotes"),
        ("{evry: 6h}", '.evry: unknown key; did you mean "every"?'),
        (
            "{every: 1d, timezone: Europe/Berlin}",
            ".timezone: does not go with every: an interval is the same in every zone; leave it out, or use cron",
        ),
        ("{every: 15m, jitter: 15m}", ".jitter: must be less than the time between due moments, which is 15m"),
        ('{cron: "0,10 * * * *", jitter: 1h}', ".jitter: must be less than the time between due moments, which is 10m"),
        ("{every: 15m, grace: soon}", ".grace: is a length of time such as 12h, 30d or 8w"),
        ("{every: 15m, catch_up: 5}", None),
    ],
)
def test_what_is_wrong_is_said_once_with_its_line(mistakes_of: Mistaken, written: str, said: str | None) -> None:
    (found,) = mistakes_of(source(f"schedule: {written}"))
    assert found.startswith("kasparro.yaml:5: sources.a.schedule")
    assert said is None or found == f"kasparro.yaml:5: sources.a.schedule{said}"


def test_several_mistakes_are_said_together(mistakes_of: Mistaken) -> None:
    lines = ("schedule:", '  cron: "0 0 * * moonday"', "  timezone: Mars", "  jitter: x", "  grace: 0m")
    assert [line.split(":")[1] for line in mistakes_of(source(*lines))] == ["6", "7", "8", "9"]


def test_a_value_from_the_environment_is_not_shown(load: Load) -> None:
    text = source('schedule: "${WHEN}"')
    assert load(text, {"WHEN": "6h"}).sources[0].schedule == Schedule(when=Every(length=timedelta(hours=6)))
    with pytest.raises(Misconfigured) as caught:
        load(text, {"WHEN": "s3cret * * * *"})
    assert "s3cret" not in str(caught.value)


def test_in_python() -> None:
    declared = {"a": {"type": "csv", "path": "a.csv", "schedule": {"cron": "@hourly", "timezone": "Asia/Tokyo"}}}
    assert declare_sources(declared).sources[0].schedule == Schedule(when=Cron(line="0 * * * *", timezone="Asia/Tokyo"))


@pytest.mark.parametrize("written", ["@daily", "* * * * *", "*/5 * * * *"])
def test_what_yaml_reads_otherwise_without_quotes(mistakes_of: Mistaken, written: str) -> None:
    (found,) = mistakes_of(source(f"schedule: {written}"))
    assert found == "kasparro.yaml:5: a text that begins with @, ` or * stands in quotes"
