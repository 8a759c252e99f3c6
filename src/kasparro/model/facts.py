"""What is known of a run when it is compared with earlier ones: counts, times, and a summary of each field."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFacts:
    """One field in the records of one run.

    Attributes:
        null_share: Share of the records in which it is null or absent, 0 to 1.
        distinct: Estimate of how many different values it has.
        quantiles: Of its numbers, at 0.05, 0.25, 0.5, 0.75 and 0.95; empty where it holds none.
        records: Records that this was told from.
    """

    null_share: float = 0.0
    distinct: float = 0.0
    quantiles: tuple[float, ...] = ()
    records: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run of a source that came to its end.

    Attributes:
        started_at: With a zone.
        seconds: How long it took.
        records: Records that were read.
        rejected: Records among them that could not become rows.
        bytes_read: From the source.
        newest: Seconds between the newest record's own time and the start of the run; None where records have no time.
        fields: By path.
    """

    started_at: datetime
    seconds: float
    records: int
    rejected: int = 0
    bytes_read: int = 0
    newest: float | None = None
    fields: Mapping[str, FieldFacts] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "started_at": self.started_at.isoformat()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RunFacts":
        """Read what `to_json` wrote."""
        fields = {
            path: FieldFacts(**{**one, "quantiles": tuple(one["quantiles"])}) for path, one in value["fields"].items()
        }
        return cls(**{**value, "started_at": datetime.fromisoformat(value["started_at"]), "fields": fields})
