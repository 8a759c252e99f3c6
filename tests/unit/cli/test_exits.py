import pytest

from kasparro.cli.exits import exit_of_error, exit_of_results
from kasparro.errors import Conflict, KasparroError, Misconfigured, RateLimited, StoreBusy
from kasparro.model.run import Counts, RunResult, RunStatus


def result(status: RunStatus, code: str | None = None, rejected: int = 0) -> RunResult:
    return RunResult(
        source="s", status=status, counts=Counts(rejected=rejected), duration=1, run_id=1, error_code=code, error=code
    )


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], 0),
        ([result("success")], 0),
        ([result("stopped", "stopped")], 0),
        ([result("success", rejected=1)], 3),
        ([result("failed", "broken"), result("success", rejected=1)], 1),
        ([result("partial", "broken")], 1),
        ([result("failed", "misconfigured")], 2),
        ([result("failed", "rate_limited")], 75),
        ([result("failed", "rate_limited"), result("failed", "unreachable")], 1),
    ],
)
def test_the_worst_run_decides(results: list[RunResult], code: int) -> None:
    assert exit_of_results(results) == code


@pytest.mark.parametrize(
    ("error", "code"), [(Misconfigured("x"), 2), (StoreBusy("x"), 1), (Conflict("x"), 1), (RateLimited("x"), 75)]
)
def test_errors(error: KasparroError, code: int) -> None:
    assert exit_of_error(error) == code
