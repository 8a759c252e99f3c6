"""Exit codes, in one table."""

from collections.abc import Iterable
from types import MappingProxyType

from kasparro.errors import KasparroError
from kasparro.model.run import RunResult

OK, FAILED, USAGE, LOOK, PARKED = 0, 1, 2, 3, 75
"""`LOOK`: it came to its end, and left something to look at: rejects, or rows that are held."""

INTERRUPTED = 130
"""Ended at once, by Ctrl-C: what shells say of that signal, and what typer ends with by itself."""

_BY_CODE = MappingProxyType({"misconfigured": USAGE, "rate_limited": PARKED})


def exit_of_error(error: KasparroError) -> int:
    """Return the exit code of a command that an error ended."""
    return _BY_CODE.get(error.code, FAILED)


def exit_of_results(results: Iterable[RunResult]) -> int:
    """Return the exit code of runs: the worst of them; a stopped run is no failure."""
    codes = [_exit_of_result(result) for result in results]
    return next((code for code in (FAILED, USAGE, PARKED, LOOK) if code in codes), OK)


def _exit_of_result(result: RunResult) -> int:
    if result.status == "parked":
        return PARKED
    if result.status in {"failed", "partial"}:
        return _BY_CODE.get(result.error_code or "", FAILED)
    return LOOK if result.counts.rejected or result.held is not None else OK
