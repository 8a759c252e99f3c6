"""A mergeable summary of the records seen: `a | b` is associative and `Profile()` is its zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How many rows were shaped, and how many of them hold a value, by field."""

    rows: int = 0
    present: Mapping[str, int] = field(default_factory=dict)

    def __or__(self, other: "Profile") -> "Profile":
        names = [*self.present, *(name for name in other.present if name not in self.present)]
        present = {name: self.present.get(name, 0) + other.present.get(name, 0) for name in names}
        return Profile(rows=self.rows + other.rows, present=present)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"rows": self.rows, "present": dict(self.present)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Profile":
        """Read what `to_json` wrote; an empty object is the zero."""
        return cls(rows=value.get("rows", 0), present=dict(value.get("present", {})))
