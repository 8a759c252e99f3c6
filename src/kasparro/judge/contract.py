"""What a contract kept out, as findings: one for each field and run, however many pages it stood in."""

from collections.abc import Mapping
from types import MappingProxyType

from kasparro.model.contract import Breach
from kasparro.model.finding import Finding, Severity

_KINDS: Mapping[str, tuple[str, Severity]] = MappingProxyType(
    {
        "discard_value": ("value_discarded", "warning"),
        "discard_row": ("row_discarded", "warning"),
        "freeze": ("contract_broken", "critical"),
    }
)

BREAKING = tuple(kind for kind, _ in _KINDS.values())
"""Kinds of findings that tell of breaches."""


def breach_findings(breaches: Mapping[str, Breach]) -> tuple[Finding, ...]:
    """Return the findings of breaches by path. `facts["seen"]` has all types that were met, by path."""
    return tuple(_finding(path, one) for path, one in sorted(breaches.items()))


def breaches_of(kind: str, path: str, facts: Mapping[str, object]) -> Mapping[str, Breach]:
    """Return the breach that a finding was made of; none where it is of another kind."""
    if kind not in BREAKING:
        return {}
    return {path: Breach.from_json(facts["breach"])}  # type: ignore[arg-type] # as it was written below


def _finding(path: str, one: Breach) -> Finding:
    kind, severity = _KINDS[one.word]
    seen = " or ".join(one.seen.get(path, ())) or "null"
    schema = f"the accepted schema (version {one.version})"
    what = (
        f"{path} ({seen}) is not in {schema}"
        if one.rule == "fields"
        else f"{path} is {seen}, and {schema} has {' or '.join(one.expected)}"
    )
    records = f"{one.records:,} record{'' if one.records == 1 else 's'}"
    became = {
        "discard_value": f"its value was left out of {records}",
        "discard_row": f"{records} were rejected for it" if one.records > 1 else f"{records} was rejected for it",
        "freeze": f"the run was ended by it, first at {one.place}",
    }[one.word]
    return Finding(
        kind=kind,
        severity=severity,
        subject=path,
        message=f"{what}; {became}.",
        expected=list(one.expected) if one.expected else None,
        observed=list(one.seen.get(path, ())),
        facts={"records": one.records, "place": one.place, "breach": one.to_json()},
    )
