"""Findings: what is odd about a run or a schema, with the numbers that it was judged on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["info", "warning", "critical"]

Verdict = Literal["ok", "suspicious", "bad"]
"""Of a run, apart from its state: `bad` with a critical finding, `suspicious` with a warning, else `ok`."""

KINDS = (
    "bytes_high",
    "bytes_low",
    "contract_broken",
    "distinct_high",
    "distinct_low",
    "distribution_shifted",
    "duration_long",
    "field_added",
    "field_removed",
    "field_renamed",
    "null_share_changed",
    "null_share_high",
    "null_share_low",
    "reject_share_high",
    "row_count_high",
    "row_count_low",
    "row_count_zero",
    "row_discarded",
    "shape_changed",
    "source_late",
    "stale_records",
    "type_changed",
    "type_narrowed",
    "type_widened",
    "value_added",
    "value_discarded",
)
"""Every kind of finding that there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One observation.

    Attributes:
        kind: Stable slug: `row_count_low`, `field_added`, `null_share_high`, ...
        severity: How much it matters.
        subject: What it is about: `run`, or the path of a field.
        message: One sentence for a person, with the numbers.
        expected: What was to be expected, as plain values: a range `{"low": ..., "high": ...}`, a type, a share.
        observed: What was seen, as plain values.
        facts: What else a machine wants to know, such as the confidence of a guess.
    """

    kind: str
    severity: Severity
    subject: str
    message: str
    expected: Any = None
    observed: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of judging a run. `held`: its rows are to wait for a decision."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    held: bool = False


def verdict_of(findings: tuple[Finding, ...] | list[Finding]) -> Verdict:
    """Return the verdict that findings come to."""
    severities = {one.severity for one in findings}
    if "critical" in severities:
        return "bad"
    return "suspicious" if "warning" in severities else "ok"
