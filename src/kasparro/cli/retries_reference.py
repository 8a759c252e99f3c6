"""Writes the tables of `docs/retries.md` from those in the code: `python -m kasparro.cli.retries_reference`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kasparro.cli.exits import exit_of_results
from kasparro.errors import (
    BookmarkLost,
    Broken,
    Conflict,
    Denied,
    KasparroError,
    Misconfigured,
    NotFound,
    RateLimited,
    SchemaBroken,
    Stopped,
    StoreBusy,
    Unreachable,
)
from kasparro.model.run import Counts, RunResult, RunStatus
from kasparro.sources.http_outcomes import BY_CONTENT, BY_EXCEPTION, BY_STATUS, TOO_MANY, Rule

_HOST = {
    "alive": "answers: ends the failures in a row",
    "answered": "says nothing",
    "failed": "a failure",
    "unknown": "says nothing",
}

_FINAL = "final: something must be changed first"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ends by an error, and what comes after.

    `error`: its class, or the code of what is recorded without one.
    """

    error: type[KasparroError] | str
    status: RunStatus
    then: str

    @property
    def code(self) -> str:
        """The `error_code` of the run."""
        return self.error if isinstance(self.error, str) else self.error.code


ENDS = (
    End(error=RateLimited, status="parked", then="goes on at `resume_at`: by itself where a worker runs"),
    End(
        error=RateLimited,
        status="failed",
        then="retried within the deadline; the next run goes on. It was asked for no wait that could be understood, or "
        "for one of more than 7 days",
    ),
    End(error=Unreachable, status="failed", then="retried within the deadline; the next run goes on"),
    End(error=StoreBusy, status="failed", then="the run is repeated for two minutes; the next run goes on"),
    End(error=Conflict, status="failed", then="final: another run has the source, or its rows wait for a decision"),
    End(error=Misconfigured, status="failed", then=_FINAL),
    End(error=Denied, status="failed", then=_FINAL),
    End(error=NotFound, status="failed", then=_FINAL),
    End(error=Broken, status="failed", then=_FINAL),
    End(error=SchemaBroken, status="failed", then=_FINAL),
    End(error=BookmarkLost, status="failed", then=_FINAL),
    End(error="internal", status="failed", then="final: a mistake of Kasparro, which the log has in full"),
    End(error=Stopped, status="stopped", then="the next run goes on"),
    End(error="interrupted", status="interrupted", then="the next run goes on"),
)
"""Every error code that a run can have."""


def requests_table() -> str:
    """Return the Markdown table of what requests meet."""
    rows = [
        (rule.met, f"`{rule.error.code}`", _fate(rule), _wait(rule), _HOST[rule.host])
        for rule in (*BY_STATUS, *BY_EXCEPTION, *BY_CONTENT)
    ]
    return _table(("met", "error", "what becomes of it", "wait", "circuit breaker"), rows)


def ends_table() -> str:
    """Return the Markdown table of how runs end."""
    rows = [
        (f"`{end.code}`", end.status, end.then, "" if end.status == "interrupted" else str(exit_of(end)))
        for end in ENDS
    ]
    return _table(("`error_code`", "status of the run", "then", "exit code"), rows)


def exit_of(end: End) -> int:
    """Return the exit code of a run that ends so."""
    result = RunResult(
        source="s", status=end.status, counts=Counts(), duration=0, run_id=1, error=end.code, error_code=end.code
    )
    return exit_of_results([result])


def documentation(text: str) -> str:
    """Return the text of `docs/retries.md` with its generated parts made anew."""
    for name, part in {"requests": requests_table(), "ends": ends_table()}.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{part}\n\n{end}{rest.partition(end)[2]}"
    return text


def write(root: Path) -> None:
    """Write the generated parts below the root of the repository."""
    page = root / "docs" / "retries.md"
    page.write_text(documentation(page.read_text("utf-8")), "utf-8")


def _fate(rule: Rule) -> str:
    return "retried; parked by a long `Retry-After`" if rule.fate == "retried" and rule.statuses else rule.fate


def _wait(rule: Rule) -> str:
    if rule.fate == "final":
        return ""
    if rule is TOO_MANY:
        return "as `Retry-After` says, in full; without it growing waits"
    return "growing waits; as `Retry-After` says where there is one" if rule.statuses else "growing waits"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]])


if __name__ == "__main__":
    write(Path.cwd())
