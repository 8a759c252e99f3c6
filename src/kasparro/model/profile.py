"""A mergeable summary of the records seen: `a | b` is associative and commutative, and `Profile()` is its zero.

Counts add up. What cannot be added is kept as a sample that is the same however it was put together: of the values of a
field those with the smallest ranks, a rank being drawn from the record; of the hashes of its different values the
smallest ones (K. Beyer et al., "On Synopses for Distinct-Value Estimation Under Multiset Operations", 2007).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from kasparro.model.contract import Breach

ValueType = Literal["integer", "number", "boolean", "timestamp", "date", "text", "object", "array"]

TYPES: tuple[str, ...] = get_args(ValueType)

SAMPLED = 64
"""Values of a field that are kept, and hashes of its different values."""

FIELDS = 500
"""Fields that are kept, in the order of their names: an object may have a key for each record."""

HASHES = 1 << 32
"""Hashes and ranks are below this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProfile:
    """What was seen of one field, in the records that were looked at.

    Attributes:
        present: Records that have it, null or not.
        nulls: Of these, those in which it is null.
        types: How often each type was seen among the others.
        low: Smallest number; likewise `high`.
        first: Earliest date or time, as ISO 8601; likewise `last`.
        shortest: Fewest characters of a text; likewise `longest`.
        hashes: The smallest hashes of its different values, ascending.
        sample: Rank and text of some values, ascending.
    """

    present: int = 0
    nulls: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    first: str | None = None
    last: str | None = None
    shortest: int | None = None
    longest: int | None = None
    hashes: tuple[int, ...] = ()
    sample: tuple[tuple[int, str], ...] = ()

    def __or__(self, other: "FieldProfile") -> "FieldProfile":
        return FieldProfile(
            present=self.present + other.present,
            nulls=self.nulls + other.nulls,
            types=dict(sorted((Counter(self.types) + Counter(other.types)).items())),
            low=_least(self.low, other.low),
            high=_most(self.high, other.high),
            first=_least(self.first, other.first),
            last=_most(self.last, other.last),
            shortest=_least(self.shortest, other.shortest),
            longest=_most(self.longest, other.longest),
            hashes=tuple(sorted({*self.hashes, *other.hashes})[:SAMPLED]),
            sample=tuple(sorted({*self.sample, *other.sample})[:SAMPLED]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values; what is empty is left out."""
        values = {name: getattr(self, name) for name in _FIELD_NAMES}
        return {name: value for name, value in values.items() if value is not None and value not in ((), {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FieldProfile":
        """Read what `to_json` wrote."""
        sample = tuple((rank, text) for rank, text in value.get("sample", ()))
        return cls(**{**value, "hashes": tuple(value.get("hashes", ())), "sample": sample})

    @property
    def distinct(self) -> float:
        """Estimate of how many different values were seen: exact below `SAMPLED`."""
        if len(self.hashes) < SAMPLED:
            return float(len(self.hashes))
        return (SAMPLED - 1) * HASHES / max(self.hashes[-1], 1)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numbers of the sample, ascending."""
        return tuple(sorted(number for _, text in self.sample if (number := _number(text)) is not None))

    def quantiles(self, *shares: float) -> tuple[float, ...]:
        """Return the quantiles of the numbers of the sample; empty where there are none."""
        numbers = self.numbers
        return tuple(numbers[min(int(share * len(numbers)), len(numbers) - 1)] for share in shares if numbers)

    def top(self, most: int = 5) -> list[tuple[str, float]]:
        """Return the values that come most often, each with its share of the sample."""
        counts = Counter(text for _, text in self.sample)
        return [(text, count / len(self.sample)) for text, count in sorted(counts.items(), key=_often)[:most]]


_FIELD_NAMES = tuple(one.name for one in fields(FieldProfile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was seen of the records of a source, before any mapping.

    Attributes:
        rows: Records.
        looked: Those of them that were looked at for the rest.
        fields: By path: `name`, `quotes.USD.price`.
        breaches: What stood against the contract of the source, by path: in all records, not just in those looked at.
    """

    rows: int = 0
    looked: int = 0
    fields: Mapping[str, FieldProfile] = field(default_factory=dict)
    breaches: Mapping[str, Breach] = field(default_factory=dict)

    def __or__(self, other: "Profile") -> "Profile":
        names = sorted({*self.fields, *other.fields})[:FIELDS]
        none = FieldProfile()
        fields = {name: self.fields.get(name, none) | other.fields.get(name, none) for name in names}
        return Profile(
            rows=self.rows + other.rows,
            looked=self.looked + other.looked,
            fields=fields,
            breaches=added(self.breaches, other.breaches),
        )

    def absent_share(self, path: str) -> float:
        """Return the share of the records that lack a field."""
        return 1 - self.fields[path].present / self.looked if path in self.fields and self.looked else 1.0

    def null_share(self, path: str) -> float:
        """Return the share of the records in which a field is null or absent."""
        one = self.fields.get(path)
        return 1.0 if one is None or not self.looked else 1 - (one.present - one.nulls) / self.looked

    def distinct(self, path: str) -> float:
        """Estimate how many different values a field has in all records, looked at or not.

        A field whose values hardly repeat has as many more as there are more records; one whose values repeat has shown
        nearly all of them.
        """
        one = self.fields[path]
        filled = one.present - one.nulls
        unlike = min(one.distinct / filled, 1.0) if filled else 0.0
        return one.distinct * (1 + unlike**2 * (self.rows / self.looked - 1)) if self.looked else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values; what is empty is left out."""
        fields = {name: one.to_json() for name, one in self.fields.items()}
        breaches = {name: one.to_json() for name, one in self.breaches.items()}
        return {
            "rows": self.rows,
            "looked": self.looked,
            "fields": fields,
            **({"breaches": breaches} if breaches else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Profile":
        """Read what `to_json` wrote; an empty object is the zero."""
        fields = {name: FieldProfile.from_json(one) for name, one in value.get("fields", {}).items()}
        breaches = {name: Breach.from_json(one) for name, one in value.get("breaches", {}).items()}
        return cls(rows=value.get("rows", 0), looked=value.get("looked", 0), fields=fields, breaches=breaches)


def added(one: Mapping[str, Breach], other: Mapping[str, Breach]) -> Mapping[str, Breach]:
    """Return the breaches of both, by path; of more than `FIELDS` of them the first ones."""
    if not other or not one:
        return one or other
    paths = sorted({*one, *other})[:FIELDS]
    return {
        path: one[path] | other[path] if path in one and path in other else one.get(path) or other[path]
        for path in paths
    }


def _least(one: Any, other: Any) -> Any:  # noqa: ANN401 - numbers or texts, both alike
    return other if one is None else one if other is None else min(one, other)


def _most(one: Any, other: Any) -> Any:  # noqa: ANN401 - as above
    return other if one is None else one if other is None else max(one, other)


def _often(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
