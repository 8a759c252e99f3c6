"""A held run is finished, but to be looked at; what is said of it names the commands."""

import io

from rich.console import Console

from kasparro.cli.exits import exit_of_results
from kasparro.cli.held import say_held
from kasparro.model.held import Held
from kasparro.model.run import Counts, RunResult, RunStatus

HELD = Held(source="s", run_id=41, verdict="bad", reasons=("critical: [gone]",), new=1200, changed=3, removed=4)


def result(status: RunStatus, held: Held | None) -> RunResult:
    return RunResult(source="s", status=status, counts=Counts(), duration=1, run_id=41, held=held)


def test_a_held_run_asks_to_be_looked_at_and_a_failed_one_is_worse() -> None:
    assert exit_of_results([result("success", HELD), result("success", None)]) == 3
    assert exit_of_results([result("success", HELD), result("failed", None)]) == 1


def test_what_is_said() -> None:
    out = io.StringIO()
    say_held(Console(file=out, width=200), HELD)
    lines = out.getvalue().splitlines()
    assert lines[0].endswith("3 changed, 4 to be removed (0 unchanged).")
    assert lines[1:] == [
        "  critical: [gone]",
        "  Look at them:     kasparro runs held 41",
        "  Put them in:      kasparro runs release 41",
        "  Throw them away:  kasparro runs drop 41",
    ]
    assert len(lines) == 5
