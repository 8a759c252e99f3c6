"""What is written in the book of a budget, what a process asks of it, and what it is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kasparro.model.rate import Rate
from kasparro.resilience.budget_permits import Pool, Run, known_of
from kasparro.resilience.rate_headers import Window


@dataclass(slots=True, kw_only=True)
class Holder:
    """A process that takes part.

    Attributes:
        until: End of its lease.
        wants: It waited for something when it was last heard of.
        held: Permits that it has, by pool.
        rates: What its sources declare: requests by seconds.
        places: Requests that it may have under way at a time.
        wants_place: It waited for a place.
        concurrency: What its sources declare.
    """

    until: float
    wants: bool = False
    held: dict[str, int] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    places: int = 0
    wants_place: bool = False
    concurrency: int | None = None


@dataclass(slots=True, kw_only=True)
class Book:
    """All that is known of a budget.

    Attributes:
        hold: Nobody sends before this moment.
        why: Who said so.
        seen: When somebody last looked.
        offset: Seconds that the database's clock has jumped ahead.
    """

    pools: dict[str, Pool] = field(default_factory=dict)
    holders: dict[str, Holder] = field(default_factory=dict)
    hold: float = 0.0
    why: str = ""
    seen: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an answer told of a limit, and when its request was sent and its head was there."""

    window: Window
    sent: float
    heard: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a process tells and wants.

    Attributes:
        holder: Names the process.
        want: Permits of each pool, beside those it holds.
        back: Permits given back, by pool: from which moment they hold, and how many.
        rates: What its sources declare.
        concurrency: Likewise.
        reports: What it heard of limits since it last asked.
        hold: Nobody shall send before this moment, and who said so.
        places: Requests that it had under way or waiting at a time, at most, since it last asked.
        busy: Requests that it has under way.
        leaving: It takes part no longer.
    """

    holder: str
    want: int = 0
    back: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    rates: tuple[Rate, ...] = ()
    concurrency: int | None = None
    reports: tuple[Report, ...] = ()
    hold: tuple[float, str] | None = None
    places: int = 0
    busy: int = 0
    leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a process is given.

    Attributes:
        now: The moment.
        permits: Of each pool: from which moment they hold, and how many.
        spans: Seconds of each pool.
        hold: Nobody sends before this moment.
        why: Who said so.
        next_at: When there will be permits, where there were none and that is known.
        places: Requests that it may have under way at a time; None is any number.
        crowd: Processes that want permits, this one among them.
    """

    now: float
    permits: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    spans: Mapping[str, float] = field(default_factory=dict)
    hold: float = 0.0
    why: str = ""
    next_at: float | None = None
    places: int | None = None
    crowd: int = 1


def lasts_until(book: Book) -> float:
    """Return until when the book says anything, as the database's clock shows it."""
    ends = [book.hold, *(pool.until for pool in book.pools.values()), *(one.until for one in book.holders.values())]
    return max(ends) + book.offset


def to_json(book: Book) -> dict[str, Any]:
    """Return the book as plain values."""
    return {
        "pools": {name: pool.to_json() for name, pool in book.pools.items()},
        "holders": {
            name: {
                "until": round(one.until, 3),
                "wants": one.wants,
                "held": {pool: count for pool, count in one.held.items() if count},
                "rates": one.rates,
                "places": one.places,
                "wants_place": one.wants_place,
                "concurrency": one.concurrency,
            }
            for name, one in book.holders.items()
        },
        "hold": round(book.hold, 3),
        "why": book.why,
        "seen": book.seen,
        "offset": book.offset,
    }


def from_json(data: Mapping[str, Any]) -> Book:
    """Read what `to_json` wrote, also that of an older or newer version: what only one of them knows is left out."""
    return Book(
        pools={name: Pool.from_json(one) for name, one in data.get("pools", {}).items()},
        holders={name: Holder(**known_of(Holder, one)) for name, one in data.get("holders", {}).items()},
        **{name: data[name] for name in ("hold", "why", "seen", "offset") if name in data},
    )
