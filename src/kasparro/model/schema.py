"""The accepted schema of a source: its fields as they were when somebody, or the rule `evolve`, accepted them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kasparro.model.profile import FieldProfile, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One field: what was seen of it, among so many records."""

    looked: int
    seen: FieldProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The fields of the records of a source, by path."""

    fields: Mapping[str, SchemaField] = field(default_factory=dict)

    @classmethod
    def of(cls, profile: Profile) -> "Schema":
        """Return the schema of records that were seen."""
        return cls(fields={path: SchemaField(looked=profile.looked, seen=one) for path, one in profile.fields.items()})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {path: {"looked": one.looked, **one.seen.to_json()} for path, one in self.fields.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, Any]]) -> "Schema":
        """Read what `to_json` wrote."""
        fields = {}
        for path, known in value.items():
            rest = {name: one for name, one in known.items() if name != "looked"}
            fields[path] = SchemaField(looked=known["looked"], seen=FieldProfile.from_json(rest))
        return cls(fields=fields)
