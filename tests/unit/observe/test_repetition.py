import json
from collections.abc import Callable

import pytest
import structlog

from kasparro.observe.repetition import Repetition


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def say(clock: Clock) -> Callable[..., dict[str, object] | None]:
    repetition = Repetition(most=2, seconds=60, clock=clock)

    def line(event: str, level: str = "warning", **facts: object) -> dict[str, object] | None:
        try:
            return dict(repetition(None, level, {"event": event, **facts}))
        except structlog.DropEvent:
            return None

    return line


def test_a_line_that_repeats_itself_is_left_out_and_then_counted(clock: Clock, say: Callable[..., object]) -> None:
    assert [say("trying again") is not None for _ in range(5)] == [True, True, False, False, False]
    clock.now = 59.9
    assert say("trying again") is None
    clock.now = 60
    assert say("trying again") == {"event": "trying again", "left_out": 4}
    assert say("trying again") == {"event": "trying again"}


def test_other_lines_sources_and_levels_are_others(say: Callable[..., object]) -> None:
    for _ in range(3):
        say("trying again", source="a")
    assert say("trying again", source="a") is None
    assert say("trying again", source="b") is not None
    assert say("trying again", "error", source="a") is not None
    assert say("finished", source="a") is not None


def test_a_traceback_and_what_is_for_debug_always_pass(say: Callable[..., object]) -> None:
    assert all(say("unforeseen", exc_info=True) is not None for _ in range(9))
    assert all(say("sql", "debug") is not None for _ in range(9))


def test_it_holds_no_more_than_so_many(say: Callable[..., object]) -> None:
    for number in range(2500):
        assert say(f"line {number}") is not None
    assert json.dumps(say("line 0"))
