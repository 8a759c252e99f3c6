"""What a process holds of the permits of a budget, by its own clock."""

from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from kasparro.resilience.budget_book import LEASE
from kasparro.resilience.budget_permits import Run
from kasparro.resilience.budget_values import Grant

_SPARE = 0.25
"""Seconds before the end of a lease from which on it is no longer relied upon."""

_REMEMBERED = 16

_MARGIN = 0.1
"""Part of a span that an answer may take before the moment at which its request arrived is a guess."""


@dataclass(frozen=True, slots=True, order=True)
class _Held:
    """Permits that hold from a moment on; `lapse`: they are no longer ours to give back, and end with a lease then."""

    at: float
    count: int
    lapse: float | None = None


class Hand:
    """The permits of one process for one budget. Seconds are those of its clock, which only grows.

    The clock of the book is known within bounds, as each exchange takes time: permits hold by the later bound, and
    used ones are given back by the later bound, too.

    Attributes:
        spans: Seconds of each pool of the budget.
        generation: Counts how often the book and the hand have lost each other.
    """

    def __init__(self) -> None:
        self.spans: Mapping[str, float] = {}
        self.generation = 0
        self._held: dict[str, list[_Held]] = {}
        self._back: dict[str, list[Run]] = {}
        self._bounds: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._lease = 0.0

    def receive(self, grant: Grant, sent: float, received: float) -> None:
        """Take what was granted between two moments."""
        self._lease = sent + LEASE - _SPARE
        self._note(grant.now - received, grant.now - sent)
        self.spans = grant.spans
        for name in [name for name in self._held if name not in grant.spans]:
            del self._held[name]
        for name, runs in grant.permits.items():
            for at, count in runs:
                insort(self._held.setdefault(name, []), _Held(self.local(at), count))

    def _note(self, low: float, high: float) -> None:
        if self._bounds and (low > min(one[1] for one in self._bounds) or high < max(one[0] for one in self._bounds)):
            self._bounds.clear()  # one of the clocks has jumped
        self._bounds.append((low, high))

    def local(self, moment: float) -> float:
        """Return when a moment of the book has come for certain."""
        return moment - max((low for low, _ in self._bounds), default=0.0)

    def earliest(self, local: float) -> float:
        """Return the earliest moment of the book that it may have been then."""
        return local + max((low for low, _ in self._bounds), default=0.0)

    def moment(self, local: float) -> float:
        """Return the latest moment of the book that it may have been then."""
        return local + min((high for _, high in self._bounds), default=0.0)

    @property
    def acquainted(self) -> bool:
        """Whether the clock of the book is known."""
        return bool(self._bounds)

    def due(self, now: float) -> float | None:
        """Return when there is a permit of each pool; None where one is missing."""
        self._lapse(now)
        latest = 0.0
        for name in self.spans:
            held = self._held.get(name)
            if not held:
                return None
            latest = max(latest, held[0].at)
        return latest

    def use(self) -> tuple[str, ...]:
        """Take one permit of each pool, and return the pools to which it is to be given back."""
        names = []
        for name in self.spans:
            first = self._held[name].pop(0)
            if first.count > 1:
                self._held[name].insert(0, _Held(first.at, first.count - 1, first.lapse))
            if first.lapse is None:
                names.append(name)
        return tuple(names)

    def used(self, names: tuple[str, ...], began: float, over: float, usual: float, told: Mapping[str, float]) -> None:
        """Give permits back that were used.

        A request reached the provider between its beginning and its answer. Where that was quick, it counts from the
        answer; where answers usually take long, from the beginning and a margin, and later by as much as this one
        took longer than they usually do.

        Args:
            names: Of the pools.
            began: When it was sent, at the earliest.
            over: When the answer came, or will not come any more.
            usual: Seconds that an answer usually takes.
            told: Seconds to the reset of a pool, by the answer: what was used is not back before.
        """
        for name in names:
            span = self.spans.get(name)
            if span is not None:
                span = max(span, told.get(name, 0.0))
                took, margin = over - began, _MARGIN * span
                late = min(took, margin) + max(took - max(usual, margin), 0.0)
                self._back.setdefault(name, []).append((self.moment(began + late) + span, 1))

    def spare(self, keep: int) -> None:
        """Give back what is held beyond so many permits of a pool, the latest first."""
        for name, held in self._held.items():
            excess = sum(one.count for one in held) - keep
            while excess > 0 and held and held[-1].lapse is None:
                last = held.pop()
                given = min(last.count, excess)
                self._back.setdefault(name, []).append((self.moment(last.at), given))
                if last.count > given:
                    held.append(_Held(last.at, last.count - given))
                excess -= given

    def trim(self, name: str, left: int, sent: float, reset: float) -> None:
        """An answer says how many are left until a reset: give back what held when its request was sent beyond that."""
        held = self._held.get(name, [])
        for place in range(len(held) - 1, -1, -1):
            one = held[place]
            excess = sum(each.count for each in held if each.at <= sent) - left
            if excess > 0 and one.at <= sent:
                gone = min(excess, one.count)
                if one.lapse is None:
                    self._back.setdefault(name, []).append((self.moment(reset), gone))
                del held[place]
                if one.count > gone:
                    held.insert(place, _Held(one.at, one.count - gone, one.lapse))

    def size(self) -> int:
        """Return how many requests may be sent with what is held, sooner or later."""
        return min((sum(one.count for one in self._held.get(name, ())) for name in self.spans), default=0)

    def collect(self) -> dict[str, tuple[Run, ...]]:
        """Return what is to be given back, and forget it."""
        found = {name: tuple(runs) for name, runs in self._back.items()}
        self._back.clear()
        return found

    def lapsed(self, now: float) -> bool:
        """Tell whether the lease has ended, so that the book has taken back what we hold."""
        return self.acquainted and now >= self._lease

    def disown(self) -> None:
        """The book may not know what we hold: it may be used until the lease ends, and is not given back."""
        self.generation += 1
        self._back.clear()
        for name, held in self._held.items():
            self._held[name] = [_Held(one.at, one.count, one.lapse or self._lease) for one in held]

    def _lapse(self, now: float) -> None:
        for name, held in self._held.items():
            if any(now >= (self._lease if one.lapse is None else one.lapse) for one in held):
                self._held[name] = [one for one in held if now < (self._lease if one.lapse is None else one.lapse)]
