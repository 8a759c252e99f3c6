"""The permits of one limit: from which moments they hold, and how many at each."""

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Run = tuple[float, int]
"""A moment, and how many permits hold from it on."""

_STEPS = 100
"""Moments are rounded to such a part of the span, so that a list of them stays short."""


@dataclass(slots=True, kw_only=True)
class Pool:
    """The permits of one limit that nobody holds.

    Attributes:
        count: Permits of the limit, those that are held included.
        span: Seconds after which a used permit holds again.
        free: In order.
        learned: An answer told of it; nobody declared it.
        until: It is forgotten when nothing was heard of it until then.
        born: When it was first heard of.
    """

    count: int
    span: float
    free: list[Run] = field(default_factory=list)
    learned: bool = False
    until: float = 0.0
    born: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        free = [[round(at, 3), count] for at, count in self.free]
        known = {"count": self.count, "span": self.span, "learned": self.learned}
        return {**known, "free": free, "until": self.until, "born": self.born}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Pool":
        """Read what `to_json` wrote."""
        return cls(**{**known_of(cls, data), "free": [(at, count) for at, count in data["free"]]})


def known_of(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that this version has a name for."""
    names = kind.__dataclass_fields__  # type: ignore[attr-defined] # asked of dataclasses only
    return {name: value for name, value in data.items() if name in names}


def give(pool: Pool, at: float, count: int, now: float) -> None:
    """Put so many permits there that hold from a moment on: rounded up, or down where they hold already."""
    if count <= 0:
        return
    step = pool.span / _STEPS
    rounded = math.floor(at / step) if at <= now else math.ceil(at / step - 1e-6)
    at = round(rounded * step, 3)
    for place, (known, there) in enumerate(pool.free):
        if known == at:
            pool.free[place] = (at, there + count)
            return
    insort(pool.free, (at, count))


def take(pool: Pool, count: int, until: float) -> tuple[Run, ...]:
    """Take away so many of the permits that hold from that moment on, the earliest first. There must be as many."""
    taken: list[Run] = []
    while count > 0 and pool.free and pool.free[0][0] <= until:
        at, there = pool.free[0]
        some = min(there, count)
        taken.append((at, some))
        count -= some
        if some == there:
            pool.free.pop(0)
        else:
            pool.free[0] = (at, there - some)
    return tuple(taken)


def soon(pool: Pool, until: float) -> int:
    """Return how many permits hold from that moment on."""
    return sum(count for at, count in pool.free if at <= until)


def total(pool: Pool) -> int:
    """Return how many permits nobody holds."""
    return sum(count for _, count in pool.free)
