"""Proposed changes of a declaration, as lines to paste."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from kasparro.config.yaml_text import yaml_text


def proposed_yaml(source: str, changes: Mapping[str, Any]) -> str:
    """Return the changes of a source as they stand in kasparro.yaml."""
    return yaml_text({"sources": {source: changes}})


def print_proposal(  # noqa: PLR0913, PLR0917 - what a finding holds
    out: Console, source: str, run_id: int, old: str, new: str, proposal: Mapping[str, Any] | None
) -> None:
    """Print what to change for a field that was renamed."""
    if proposal is None:
        return
    changes = {name: value for name, value in proposal.items() if name != "notes"}
    out.print()
    what = "change in kasparro.yaml" if changes else "nothing is to be changed in kasparro.yaml"
    out.print(f"Run {run_id} of {source}: {old} is {new} now; {what}:", markup=False, soft_wrap=True)
    if changes:
        out.print(proposed_yaml(source, changes), markup=False, highlight=False, soft_wrap=True, end="")
    for note in proposal.get("notes", ()):
        out.print(note, markup=False, soft_wrap=True)
