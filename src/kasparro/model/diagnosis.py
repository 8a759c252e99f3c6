"""What `kasparro doctor` says: one line for each thing that it looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]
"""`problem`: something does not work, or soon will not. `warning`: it works, and somebody should know."""

Area = Literal[
    "environment",
    "configuration",
    "versions",
    "machine",
    "database",
    "API",
    "sources",
    "notifications",
    "workers",
]
"""What a line is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One line.

    Attributes:
        area: What it is about.
        subject: What was looked at: `disk`, the name of a source, ...
        says: What was found, in one sentence. Never contains a secret.
        remedy: What to do about it; None where there is nothing to do.
    """

    area: Area
    subject: str
    state: State
    says: str
    remedy: str | None = None


def ok(area: Area, subject: str, says: str) -> Diagnosis:
    """Return a line about something that is well."""
    return Diagnosis(area=area, subject=subject, state="ok", says=says)


def warning(area: Area, subject: str, says: str, remedy: str) -> Diagnosis:
    """Return a line about something that works and should be known."""
    return Diagnosis(area=area, subject=subject, state="warning", says=says, remedy=remedy)


def problem(area: Area, subject: str, says: str, remedy: str) -> Diagnosis:
    """Return a line about something that does not work."""
    return Diagnosis(area=area, subject=subject, state="problem", says=says, remedy=remedy)
