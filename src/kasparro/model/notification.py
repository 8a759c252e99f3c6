"""Notifications: what a channel wants to be told, what it is told, and what became of it."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal

from kasparro.model.finding import Severity
from kasparro.model.redact import Redactor

Status = Literal["waiting", "sent", "failed", "discarded"]
"""Of a message: `waiting` is tried, or tried again; of the others nothing changes, unless somebody retries it."""

What = Literal["finding", "failure", "recovery", "test"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")

COUNTED = ("failures", "recoveries", "critical", "warning", "info")
"""What a message counts: runs that failed, sources that are well again, and findings by severity."""

MOST_ITEMS = 50
"""Things that a message tells in words; the rest is counted."""

LONGEST = 1000
"""Characters of a text, unless another number is given."""

_LONGEST_VALUE = 300
_BREAKING = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
_HIDDEN = "Cf"
"""Categories of characters that forge lines and headers, or cannot be written; and of those that turn a text round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a channel wants to be told.

    Attributes:
        severity: Least severity of findings.
        kinds: Of findings; empty is all.
        sources: Names, or patterns with `*` and `?`; empty is all.
        failures: Runs that failed, ended in part or were interrupted.
        recoveries: Sources that are well again, of which it was told that they failed.
        repeat_every: The same thing at most once in so long.
        group_for: What comes within so long is one message.
    """

    severity: Severity = "warning"
    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    failures: bool = True
    recoveries: bool = True
    repeat_every: timedelta = timedelta(hours=6)
    group_for: timedelta = timedelta(seconds=30)

    @property
    def severities(self) -> tuple[Severity, ...]:
        """The severities that are told."""
        return SEVERITIES[SEVERITIES.index(self.severity) :]

    def covers(self, source: str) -> bool:
        """Tell whether a source is among those that are told of."""
        return not self.sources or any(fnmatchcase(source, pattern) for pattern in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a message tells. Its texts are short, on one line and without control characters.

    Attributes:
        run_id: None for what is not about a run.
        kind: Of the finding; `run_failed`, `run_partial` or `run_interrupted` of a failure; `recovered`; `test`.
        subject: What it is about: a field, `run`, or the code of an error.
        expected: As a finding has it; a text where it is long.
        happened_at: ISO 8601, UTC.
        again: How often it was met since it was last told, and not told.
        look: The command that shows more.
    """

    what: What
    source: str
    run_id: int | None
    kind: str
    severity: Severity
    subject: str
    message: str
    happened_at: str
    expected: Any = None
    observed: Any = None
    again: int = 0
    look: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent to a channel, and who sends it now.

    Attributes:
        id: In our database.
        key: What the other side knows it by: the same in every attempt.
        instance: Where what it tells was gathered.
        made_at: With a zone.
        attempts: This one included.
        age: Seconds since it was due for the first time, or since somebody retried it; giving up is counted by it.
        items: Worst first, at most `MOST_ITEMS`.
        counts: All that it is about, see `COUNTED`.
        lease: Of this attempt; an outcome counts only while it holds.
    """

    id: int
    key: str
    channel: str
    instance: str
    made_at: datetime
    items: tuple[Item, ...]
    counts: Mapping[str, int]
    attempts: int = 1
    age: float = 0.0
    lease: str | None = None

    @property
    def more(self) -> int:
        """How much of what it is about is counted, and not told in words."""
        return sum(self.counts.values()) - len(self.items)

    @property
    def severity(self) -> Severity:
        """The worst of what it tells."""
        return max((one.severity for one in self.items), key=SEVERITIES.index, default="info")


def no_counts() -> dict[str, int]:
    """Return the counts of a message that tells nothing yet."""
    return dict.fromkeys(COUNTED, 0)


def worst_first(items: Iterable[Item]) -> list[Item]:
    """Return the items that a message tells in words; of the same severity, the earlier ones first."""
    return sorted(items, key=lambda one: -SEVERITIES.index(one.severity))[:MOST_ITEMS]


def plain(text: str, longest: int = LONGEST) -> str:
    """Return the text on one line, without characters that forge lines or hide what it says, and not longer."""
    # Cut first, so that a text of megabytes costs nothing; what vanishes is made up for by the generous first cut.
    safe = "".join(map(_safe, text[: 4 * longest]))
    line = " ".join(safe.split())
    whole = len(line) <= longest and len(text) <= 4 * longest
    return line if whole else f"{line[: longest - 1].rstrip()}…"


def _safe(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BREAKING:
        return " "
    return "" if category == _HIDDEN else character


def plain_item(item: Item, redact: Redactor) -> Item:
    """Return the item with texts that hold no secret, are safe to show anywhere, and bounded."""
    return replace(
        item,
        source=plain(redact(item.source), 63),
        kind=plain(item.kind, 63),
        subject=plain(redact(item.subject), 200),
        message=plain(redact(item.message)),
        expected=_plain_value(item.expected, redact),
        observed=_plain_value(item.observed, redact),
    )


def _plain_value(value: Any, redact: Redactor) -> Any:  # noqa: ANN401 - a value of JSON
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping() | list() if len(str(value)) <= _LONGEST_VALUE:
            return _plain_parts(value, redact)
        case _:
            return plain(redact(str(value)), _LONGEST_VALUE)


def _plain_parts(value: Mapping[str, Any] | Sequence[Any], redact: Redactor) -> Any:  # noqa: ANN401 - same
    if isinstance(value, Mapping):
        return {plain(redact(str(key))): _plain_value(inner, redact) for key, inner in value.items()}
    return [_plain_value(inner, redact) for inner in value]
