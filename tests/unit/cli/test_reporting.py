import io
import json

import pytest
import structlog
from rich.console import Console

from kasparro.cli.reporting import reporter
from kasparro.model.events import (
    Event,
    PageCommitted,
    Retrying,
    RunFinished,
    RunJudged,
    RunStarted,
    SliceClosed,
    Throttled,
)
from kasparro.model.finding import Finding
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts, RunResult
from kasparro.observe.logs import configure_logs

RESULT = RunResult(source="coins", status="success", counts=Counts(extracted=1500), duration=2.5, run_id=7)
FOUND = Finding(kind="row_count_low", severity="warning", subject="run", message="The run read 12 records.")
EVENTS: list[Event] = [
    RunStarted(source="coins", run_id=7, slices=2, resumed=True),
    PageCommitted(
        source="coins",
        run_id=7,
        slice_name="a",
        counts=Counts(extracted=1000, inserted=1000),
        bytes_read=2_000_000,
        done=0.5,
    ),
    Retrying(source="coins", place="GET http://h/x", attempt=1, wait=1.25, reason="GET http://h/x answered 500."),
    SliceClosed(source="coins", run_id=7, slice_name="a"),
    PageCommitted(
        source="coins", run_id=7, slice_name="b", counts=Counts(extracted=500), bytes_read=1_000_000, done=None
    ),
    RunJudged(source="coins", run_id=7, verdict="suspicious", findings=(FOUND,)),
    RunFinished(result=RESULT),
]


def told(*, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=160, highlight=False, color_system=None)
    with reporter(as_json=False, errors=console) as emit:
        for event in EVENTS:
            emit(event)
    return stream.getvalue()


def test_lines_for_a_pipe() -> None:
    assert told(terminal=False).splitlines() == [
        "coins: run 7 going on from the last checkpoint",
        "coins: 1000 records, 2.0 MB (25%)",
        "coins: GET http://h/x answered 500. Trying again in 1.2 s (attempt 2).",
        "coins: warning: The run read 12 records.",
        "coins: success after 2.5 s",
    ]


def test_the_log_is_told_in_production(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="debug", production=True, redact=Redactor())
    with reporter(as_json=False, errors=Console(file=io.StringIO()), production=True) as emit:
        for event in EVENTS:
            emit(event)
    structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("run started", "info"),
        ("pages committed", "debug"),
        ("trying again", "warning"),
        ("slice closed", "debug"),
        ("pages committed", "debug"),
        ("finding", "warning"),
        ("run finished", "info"),
    ]
    assert {line["source"] for line in lines} == {"coins"}
    assert (lines[-1]["records"], lines[5]["kind"]) == (1500, "row_count_low")


def test_a_bar_for_a_terminal() -> None:
    shown = told(terminal=True)
    assert "coins: going on from the last checkpoint" in shown
    assert "Trying again in 1.2 s" in shown
    assert "1,500 records  3.0 MB" in shown
    assert "100%" in shown


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter(as_json=True, errors=Console(file=io.StringIO())) as emit:
        for event in EVENTS:
            emit(event)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == [type(event).__name__ for event in EVENTS]
    assert lines[1]["counts"]["inserted"] == 1000
    assert lines[-1]["result"]["run_id"] == 7


@pytest.mark.parametrize("reason", ["GET http://h/x answered 500", "GET http://h/x answered 500."])
def test_a_repetition_is_a_sentence_of_its_own(reason: str) -> None:
    stream = io.StringIO()
    with reporter(as_json=False, errors=Console(file=stream, width=160)) as emit:
        emit(Retrying(source="coins", place="GET http://h/x", attempt=1, wait=1.25, reason=reason))
    assert stream.getvalue() == "coins: GET http://h/x answered 500. Trying again in 1.2 s (attempt 2).\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_wait_for_a_rate_limit_is_told_where_somebody_would_notice_it(terminal: bool) -> None:  # noqa: FBT001
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=160, highlight=False, color_system=None)
    with reporter(as_json=False, errors=console) as emit:
        emit(Throttled(source="coins", host="h:81", seconds=0.2, reason="the rate limit is spent"))
        emit(Throttled(source="coins", host="h:81", seconds=40.0, reason="the provider has asked to wait"))
    assert "coins: waiting 40 s for h:81: the provider has asked to wait" in stream.getvalue()
    assert "the rate limit is spent" not in stream.getvalue()
