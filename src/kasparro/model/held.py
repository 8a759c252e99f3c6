"""The gate: rows of a run that look wrong wait beside the table until somebody has decided about them."""

from dataclasses import dataclass
from typing import Literal

from kasparro.model.finding import Verdict

HoldOn = Literal["bad", "suspicious"]
"""From which verdict on the rows of a run wait."""

HeldState = Literal["held", "released", "dropped"]
"""Of a run whose rows waited: `held`: they do still. `released`: they were put in. `dropped`: they were thrown away."""

_WORSE = ("ok", "suspicious", "bad")


def holds(verdict: Verdict, hold_on: HoldOn | None) -> bool:
    """Tell whether a verdict is as bad as what the rows are to wait on, or worse."""
    return hold_on is not None and _WORSE.index(verdict) >= _WORSE.index(hold_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Rows that wait for a decision.

    Attributes:
        source: Whose.
        run_id: The run that read them.
        verdict: What is thought of it.
        reasons: Why: a sentence for each warning and critical finding, critical ones first.
        new: Rows that would be added; likewise `changed` and `removed`.
        unchanged: Rows that are there already.
    """

    source: str
    run_id: int
    verdict: str
    reasons: tuple[str, ...] = ()
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
