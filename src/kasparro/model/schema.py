"""The accepted schema of a source: its fields as they were when somebody, or the rule `evolve`, accepted them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kasparro.model.profile import FieldProfile, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One field: what was seen of it, among so many records.

    Attributes:
        looked: Records that were looked at; none for a field that was accepted by hand and not seen yet.
        seen: What they told.
        allowed: Types that are accepted besides those that were seen.
        by_hand: Somebody has accepted the field, or `allowed`: what a run saw does not take that back.
    """

    looked: int
    seen: FieldProfile
    allowed: tuple[str, ...] = ()
    by_hand: bool = False

    @property
    def types(self) -> frozenset[str]:
        """The accepted types; none where only null was seen: then any value is taken."""
        return frozenset({*self.seen.types, *self.allowed})


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
        return {path: _to_json(one) for path, one in self.fields.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, Any]]) -> "Schema":
        """Read what `to_json` wrote."""
        fields = {}
        for path, known in value.items():
            rest = {name: one for name, one in known.items() if name not in _OWN}
            fields[path] = SchemaField(
                looked=known["looked"],
                seen=FieldProfile.from_json(rest),
                allowed=tuple(known.get("allowed", ())),
                by_hand=known.get("by_hand", False),
            )
        return cls(fields=fields)


_OWN = frozenset({"looked", "allowed", "by_hand"})


def _to_json(one: SchemaField) -> dict[str, Any]:
    more = {"allowed": list(one.allowed)} if one.allowed else {}
    return {"looked": one.looked, **one.seen.to_json(), **more, **({"by_hand": True} if one.by_hand else {})}
