"""Compares two runs: counts and times, what was seen of each field, schema, configuration, version and error."""

from collections.abc import Mapping
from typing import Any

from kasparro.judge.drift import drift
from kasparro.model.profile import Profile
from kasparro.model.schema import Schema

NUMBERS = (
    "extracted",
    "inserted",
    "updated",
    "unchanged",
    "duplicates",
    "rejected",
    "deleted",
    "pages",
    "bytes",
    "seconds",
)
"""Of a run, as its record has them."""

TEXTS = ("status", "verdict", "trigger", "config_hash", "code_version", "schema_version", "error_code", "error")

_QUANTILES = (0.25, 0.5, 0.75)


def compare(
    base: Mapping[str, Any], head: Mapping[str, Any], base_profile: Profile | None, head_profile: Profile | None
) -> dict[str, Any]:
    """Return the comparison as plain values.

    Args:
        base: The record of the one run, with `NUMBERS` and `TEXTS`.
        head: That of the other.
        base_profile: What was seen of its records; None when that is no longer kept.
        head_profile: The same of the other.

    Returns:
        `base` and `head` (ids), `same_source`, `numbers` (each with base, head, change and ratio), `texts` (only those
        that differ), `fields` (each with base, head and what differs) and `drift` (findings as plain values).
    """
    both = base_profile is not None and head_profile is not None
    return {
        "base": base["id"],
        "head": head["id"],
        "same_source": base["source"] == head["source"],
        "numbers": {name: _change(base[name], head[name]) for name in NUMBERS},
        "texts": {name: {"base": base[name], "head": head[name]} for name in TEXTS if base.get(name) != head.get(name)},
        "fields": _fields(base_profile, head_profile)
        if base_profile is not None and head_profile is not None
        else None,
        "drift": _drift(base_profile, head_profile) if both and base_profile and head_profile else [],
    }


def _change(base: float | None, head: float | None) -> dict[str, Any]:
    if base is None or head is None:
        return {"base": base, "head": head, "change": None, "ratio": None}
    return {"base": base, "head": head, "change": head - base, "ratio": head / base if base else None}


def _fields(base: Profile, head: Profile) -> dict[str, Any]:
    found = {}
    for path in sorted({*base.fields, *head.fields}):
        one, other = _summary(base, path), _summary(head, path)
        found[path] = {"base": one, "head": other, "differs": _differs(one, other)}
    return found


def _differs(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> list[str]:
    if one is None or other is None:
        return ["presence"]
    return [name for name in ("types", "null_share", "distinct") if _apart(one[name], other[name])]


def _apart(one: Any, other: Any) -> bool:  # noqa: ANN401 - a share, a number or names
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > 0.1 * max(abs(one), abs(other), 0.1)
    return bool(one != other)


def _summary(profile: Profile, path: str) -> dict[str, Any] | None:
    one = profile.fields.get(path)
    if one is None:
        return None
    return {
        "types": sorted(one.types),
        "null_share": round(profile.null_share(path), 4),
        "absent_share": round(profile.absent_share(path), 4),
        "distinct": round(profile.distinct(path), 1),
        "low": one.low,
        "high": one.high,
        "first": one.first,
        "last": one.last,
        "quantiles": list(one.quantiles(*_QUANTILES)),
        "shortest": one.shortest,
        "longest": one.longest,
        "top": [{"value": value, "share": round(share, 4)} for value, share in one.top()],
    }


def _drift(base: Profile, head: Profile) -> list[dict[str, Any]]:
    return [{"kind": one.kind, "subject": one.subject, "message": one.message} for one in drift(Schema.of(base), head)]
