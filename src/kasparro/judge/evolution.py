"""How the accepted schema of a source moves on: by itself, as far as its contract says, or by the word of somebody."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kasparro.judge.drift import ENOUGH, changes, is_below, is_missing, is_real
from kasparro.model.contract import EVOLVING, Breach, Contract
from kasparro.model.finding import Finding
from kasparro.model.profile import FieldProfile, Profile
from kasparro.model.schema import Schema, SchemaField

_OF_FIELDS = frozenset({"field_added", "field_removed", "field_renamed"})
_OF_TYPES = frozenset({"type_changed", "type_narrowed", "type_widened", "shape_changed"})


def evolved(accepted: Schema, seen: Profile, contract: Contract = EVOLVING) -> Schema:
    """Return the schema after `seen`: what changed is as it is now, what did not is known from more records.

    What the contract holds stays: no field comes or goes, or no type does.
    """
    if seen.looked < ENOUGH:
        return accepted
    changed = {one.subject: one for one in changes(accepted, seen)}
    fields = {}
    for path, known in accepted.fields.items():
        if path in changed:
            now = _changed(known, seen, path)
        elif not is_missing(known, seen, path):
            now = _known_better(known, seen, path)
        elif contract.fields != "evolve":
            now = known
        else:
            continue
        fields[path] = now if contract.types == "evolve" else _of_types(now, known)
    if contract.fields == "evolve":
        held = {path for path, one in changed.items() if contract.types != "evolve" and one.kind == "shape_changed"}
        fields |= {
            path: SchemaField(looked=seen.looked, seen=one)
            for path, one in seen.fields.items()
            if path not in accepted.fields and is_real(one.present, seen.looked) and not is_below(path, held)
        }
    return Schema(fields=dict(sorted(fields.items())))


def moves(found: Iterable[Finding], contract: Contract) -> bool:
    """Tell whether anything that was found may move the schema by itself."""

    def free(one: Finding) -> bool:
        if one.kind in _OF_FIELDS:
            return contract.fields == "evolve"
        return contract.types == "evolve" or one.kind not in _OF_TYPES

    return any(free(one) for one in found)


def accepting(accepted: Schema | None, seen: Profile | None, breaches: Mapping[str, Breach]) -> Schema:
    """Return the schema that takes what a run saw, when somebody says that it is right.

    Args:
        accepted: The schema so far; None before the first.
        seen: What the run saw, if it came to its end: then what it should have met and did not is no more. A run that
            was broken off only adds to the schema.
        breaches: What it met against the contract. These were found in all records, `seen` is a sample.
    """
    before = Schema() if accepted is None else accepted
    fields = {} if seen is None else _after(before, seen)
    if seen is None:
        fields = dict(before.fields)
    for breach in breaches.values():
        for path, types in breach.seen.items():
            known = fields.get(path, SchemaField(looked=0, seen=FieldProfile()))
            fields[path] = _allowing(known, types)
    return Schema(fields=dict(sorted(fields.items())))


def with_field(schema: Schema, path: str, types: Iterable[str], *, nested: bool) -> Schema:
    """Return the schema with a field, or with more types of it, that somebody knows to be right.

    Args:
        schema: So far.
        path: Of the field.
        types: That it may have; none for any.
        nested: The path leads into objects, which are then fields too; in a CSV file it is the name of a column.
    """
    fields = dict(schema.fields)
    steps = path.split(".")
    above = [".".join(steps[:count]) for count in range(1, len(steps))] if nested else []
    for name, allowed in (*((one, ("object",)) for one in above), (path, tuple(types))):
        known = fields.get(name, SchemaField(looked=0, seen=FieldProfile()))
        missing = [one for one in allowed if one not in known.types]
        if name not in fields or missing:
            fields[name] = replace(_allowing(known, missing), by_hand=True)
    return Schema(fields=dict(sorted(fields.items())))


def without_field(schema: Schema, path: str) -> Schema:
    """Return the schema without a field and what stands below it."""
    return Schema(
        fields={name: one for name, one in schema.fields.items() if name != path and not is_below(name, (path,))}
    )


def _after(before: Schema, seen: Profile) -> dict[str, SchemaField]:
    changed = {one.subject: one.kind for one in changes(before, seen)}
    fields = {path: SchemaField(looked=seen.looked, seen=one) for path, one in seen.fields.items()}
    for path, known in before.fields.items():
        if path in changed:
            now = _changed(known, seen, path)
            fields[path] = now if changed[path] in _OF_TYPES else _allowing(now, known.types)
        elif not is_missing(known, seen, path) or known.by_hand:
            fields[path] = _known_better(known, seen, path)
    return fields


def _changed(known: SchemaField, seen: Profile, path: str) -> SchemaField:
    """What a field is now; what somebody has said of it stays."""
    now = seen.fields.get(path, FieldProfile())
    return replace(known, looked=seen.looked, seen=now, allowed=known.allowed if known.by_hand else ())


def _known_better(known: SchemaField, seen: Profile, path: str) -> SchemaField:
    return replace(known, looked=known.looked + seen.looked, seen=known.seen | seen.fields.get(path, FieldProfile()))


def _of_types(now: SchemaField, known: SchemaField) -> SchemaField:
    """The field as it is now, with exactly the types that were accepted."""
    if not known.types:
        return replace(now, seen=replace(now.seen, types={}), allowed=())
    types = {kind: count for kind, count in now.seen.types.items() if kind in known.types}
    return replace(now, seen=replace(now.seen, types=types), allowed=tuple(sorted(known.types - types.keys())))


def _allowing(known: SchemaField, types: Iterable[str]) -> SchemaField:
    return replace(known, allowed=tuple(sorted({*known.allowed, *types} - known.seen.types.keys())))
