"""Schema drift: how the records of a run differ from the accepted schema of their source.

Both sides are samples. A change is one only when it cannot well be chance: something new must stand in several records
and in a share of them, something missing must have been expected in several. So a single odd record raises nothing, and
a real change is said once for each field, not for each page.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from math import sqrt

from kasparro.model.finding import Finding
from kasparro.model.profile import SAMPLED, FieldProfile, Profile
from kasparro.model.schema import Schema, SchemaField

ENOUGH = 5
"""Records that must have been looked at; fewer say nothing about a schema."""

_SEVERAL = 3
_SHARE = 0.02
_EXPECTED = 7.0
"""What was expected so often and is not there is missing: by chance less than once in a thousand (Poisson)."""

_JUMP = 0.1
_SIGMAS = 5.0
_SURE = 0.55
"""Confidence from which a field that is gone and one that is new are taken for one that was renamed."""

_FEW = 20
_REPEATED = 10
"""A field has a set of values when there are at most so many, each seen so often on average."""

_WIDER = frozenset({("integer", "number"), ("date", "timestamp")})
_NESTED = frozenset({"object", "array"})


def drift(accepted: Schema, seen: Profile) -> tuple[Finding, ...]:
    """Return how `seen` differs from `accepted`: one finding for each field that changed."""
    if seen.looked < ENOUGH:
        return ()
    changed = changes(accepted, seen)
    reshaped = {one.subject for one in changed if one.kind == "shape_changed"}
    gone = [path for path in _gone(accepted, seen) if not is_below(path, reshaped)]
    new = [path for path in _new(accepted, seen) if not is_below(path, reshaped)]
    renamed = _renamed(accepted, seen, gone, new)
    taken = {now for now, _ in renamed.values()}
    return (
        *(_rename(old, now, sure) for old, (now, sure) in renamed.items()),
        *(_removal(accepted.fields[path], seen, path) for path in gone if path not in renamed),
        *(_addition(seen, path) for path in new if path not in taken),
        *(one for one in changed if not is_below(one.subject, reshaped)),
    )


def is_real(count: int, of: int) -> bool:
    """Tell whether so many of so many records are more than an oddity."""
    return count >= min(_SEVERAL, of) and count >= _SHARE * of


def is_missing(known: SchemaField, seen: Profile, path: str) -> bool:
    """Tell whether a field was to be expected and is not there; one that was never seen is expected nowhere."""
    if not known.looked:
        return False
    expected = known.seen.present / known.looked * seen.looked
    return path not in seen.fields and expected >= min(_EXPECTED, seen.looked)


def _gone(accepted: Schema, seen: Profile) -> list[str]:
    return _topmost(path for path, known in accepted.fields.items() if is_missing(known, seen, path))


def _new(accepted: Schema, seen: Profile) -> list[str]:
    return _topmost(
        path for path, one in seen.fields.items() if path not in accepted.fields and is_real(one.present, seen.looked)
    )


def _topmost(paths: Iterable[str]) -> list[str]:
    """Leave out what stands below another path: an object that is gone takes its fields along."""
    found: list[str] = []
    for path in sorted(paths):
        if not is_below(path, found):
            found.append(path)
    return found


def is_below(path: str, others: Iterable[str]) -> bool:
    """Tell whether a path leads into one of the others."""
    return any(path.startswith(f"{other}.") for other in others)


def changes(accepted: Schema, seen: Profile) -> list[Finding]:
    """Return how the fields that are in both have changed: one finding for each."""
    found = []
    for path in sorted(accepted.fields.keys() & seen.fields.keys()):
        known, now = accepted.fields[path], seen.fields[path]
        one = _type_change(path, known, now) or _null_change(path, known, now, seen.looked)
        one = one or _narrowing(path, known, now) or _new_value(path, known.seen, now)
        if one is not None:
            found.append(one)
    return found


def _types(one: FieldProfile) -> set[str]:
    """The types that are more than an oddity."""
    filled = one.present - one.nulls
    return {kind for kind, count in one.types.items() if is_real(count, filled)}


def _type_change(path: str, accepted: SchemaField, now: FieldProfile) -> Finding | None:
    known = accepted.seen
    before, after = _types(known) | {*accepted.allowed}, _types(now)
    more = after - before - ({"integer"} if "number" in before else set())  # an integer is a number, too
    if not before or not after or not more:
        return None
    old, new = " or ".join(sorted(before)), " or ".join(sorted(after))
    if (before | after) & _NESTED:
        kind, severity = "shape_changed", "warning"
    elif all(any((one, other) in _WIDER for one in before) for other in more):
        kind, severity = "type_widened", "info"
    else:
        kind, severity = "type_changed", "warning"
    examples = [text for _, text in now.sample if text not in {other for _, other in known.sample}][:3]
    return Finding(
        kind=kind,
        severity=severity,  # type: ignore[arg-type] # one of the two above
        subject=path,
        message=f"{path} held {old} so far and holds {new} now.",
        expected=sorted(before),
        observed=sorted(after),
        facts={"examples": examples},
    )


def _narrowing(path: str, accepted: SchemaField, now: FieldProfile) -> Finding | None:
    """A type is no longer seen, of which several were to be expected."""
    known = accepted.seen
    before, after = _types(known) | {*accepted.allowed}, _types(now)
    filled = max(known.present - known.nulls, 1)
    lost = [one for one in before - after if known.types.get(one, 0) / filled * (now.present - now.nulls) >= _EXPECTED]
    if not after or not lost:
        return None
    old, new = " or ".join(sorted(before)), " or ".join(sorted(after))
    return Finding(
        kind="type_narrowed",
        severity="info",
        subject=path,
        message=f"{path} held {old} so far and holds only {new} now.",
        expected=sorted(before),
        observed=sorted(after),
    )


def _null_change(path: str, known: SchemaField, now: FieldProfile, looked: int) -> Finding | None:
    if not known.looked:
        return None
    before = 1 - (known.seen.present - known.seen.nulls) / known.looked
    after = 1 - (now.present - now.nulls) / looked
    both = (before * known.looked + after * looked) / (known.looked + looked)
    chance = _SIGMAS * sqrt(both * (1 - both) * (1 / known.looked + 1 / looked))
    if abs(after - before) <= max(_JUMP, chance):
        return None
    return Finding(
        kind="null_share_changed",
        severity="warning" if after > before else "info",
        subject=path,
        message=f"{path} was null or absent in {before:.0%} of the records so far, and is in {after:.0%} now.",
        expected=round(before, 4),
        observed=round(after, 4),
        facts={"looked": looked},
    )


def _new_value(path: str, known: FieldProfile, now: FieldProfile) -> Finding | None:
    """A field that takes few values takes another one, and not just once."""
    filled = known.present - known.nulls
    few = len(known.hashes) <= _FEW and filled >= _REPEATED * max(len(known.hashes), 1)
    if not few or set(known.types) != {"text"} or len(now.hashes) == SAMPLED:
        return None
    before = {text for _, text in known.sample}
    known_all = len(before) == len(known.hashes)
    counts: dict[str, int] = {}
    for _, text in now.sample:
        counts[text] = counts.get(text, 0) + 1
    added = sorted(text for text, count in counts.items() if text not in before and count > 1)
    if not known_all or not added:
        return None
    values = ", ".join(repr(one) for one in added[:5])
    return Finding(
        kind="value_added",
        severity="info",
        subject=path,
        message=f"{path} took {len(before)} values so far, and takes {values} besides now.",
        expected=sorted(before),
        observed=added,
    )


def _renamed(
    accepted: Schema, seen: Profile, gone: Sequence[str], new: Sequence[str]
) -> Mapping[str, tuple[str, float]]:
    """Return, for fields that are gone, the new ones that they probably became, the surest pairs first."""
    pairs = sorted(
        (
            (_likeness(old, now, accepted.fields[old], seen), old, now)
            for old in gone
            for now in new
            if old.rpartition(".")[0] == now.rpartition(".")[0]
        ),
        reverse=True,
    )
    found: dict[str, tuple[str, float]] = {}
    for sure, old, now in pairs:
        if sure >= _SURE and old not in found and now not in {name for name, _ in found.values()}:
            found[old] = (now, sure)
    return found


def _likeness(old: str, now: str, known: SchemaField, seen: Profile) -> float:
    """Return how sure it is that one field became the other, 0 to 1: from their names and, above all, their values."""
    names = SequenceMatcher(None, _plain(old), _plain(now)).ratio()
    one = seen.fields[now]
    types = 1.0 if _types(known.seen) == _types(one) else 0.0
    shares = 1 - abs((known.seen.present - known.seen.nulls) / known.looked - (one.present - one.nulls) / seen.looked)
    return round(0.3 * names + 0.7 * types * (0.2 + 0.2 * shares + 0.6 * _alike(known.seen, one)), 3)


def _alike(one: FieldProfile, other: FieldProfile) -> float:
    """Return how much alike the values of two fields are: shared ones, else the range of numbers or lengths."""
    shared = len({*one.hashes} & {*other.hashes}) / max(min(len(one.hashes), len(other.hashes)), 1)
    ranges = [(one.low, one.high, other.low, other.high), (one.shortest, one.longest, other.shortest, other.longest)]
    spans = [
        max(0.0, min(b, d) - max(a, c) + 1) / (max(b, d) - min(a, c) + 1)
        for a, b, c, d in ranges
        if a is not None and b is not None and c is not None and d is not None
    ]
    return max([shared, *(0.7 * span for span in spans)])


def _plain(path: str) -> str:
    return path.rpartition(".")[2].lower().replace("_", "").replace("-", "")


def _rename(old: str, now: str, sure: float) -> Finding:
    return Finding(
        kind="field_renamed",
        severity="warning",
        subject=old,
        message=f"{old} is gone and {now} is new, with the same kind of values: probably renamed ({sure:.0%} sure).",
        expected=old,
        observed=now,
        facts={"confidence": sure},
    )


def _removal(known: SchemaField, seen: Profile, path: str) -> Finding:
    share = known.seen.present / known.looked
    return Finding(
        kind="field_removed",
        severity="warning",
        subject=path,
        message=f"{path} was in {share:.0%} of the records so far, and is in none of {seen.looked} now.",
        expected=round(share, 4),
        observed=0,
    )


def _addition(seen: Profile, path: str) -> Finding:
    one = seen.fields[path]
    share, types = one.present / seen.looked, sorted(_types(one)) or ["null"]
    return Finding(
        kind="field_added",
        severity="info",
        subject=path,
        message=f"{path} is new: {' or '.join(types)}, in {share:.0%} of the records.",
        observed=types,
        facts={"share": round(share, 4)},
    )
