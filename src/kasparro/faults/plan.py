"""A seeded plan of faults: the same seed gives the same plan, so that what failed can be run again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Act = Literal["kill", "cut", "freeze"]
"""`kill`: SIGKILL. `cut`: PostgreSQL ends the connection. `freeze`: SIGSTOP, another run takes over, then SIGCONT."""

Point = Literal["random", "before", "copy", "merge", "checkpoint"]
"""When: at a random moment, while the raw page is written, inside COPY, inside the merge, as the checkpoint moves."""

ACTS: tuple[Act, ...] = get_args(Act)
POINTS: tuple[Point, ...] = get_args(Point)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: what happens, where, and how many seconds after the run has its connection it is waited for."""

    act: Act
    point: Point
    delay: float

    def __str__(self) -> str:
        return f"{self.act} at {self.point} after {self.delay:.2f} s"


def planned(seed: int, rounds: int, acts: Sequence[Act] = ACTS, longest: float = 0.3) -> tuple[Fault, ...]:
    """Return so many faults."""
    dice = random.Random(seed)  # noqa: S311 - a plan, not a secret
    return tuple(
        Fault(act=dice.choice(list(acts)), point=dice.choice(POINTS), delay=dice.uniform(0, longest))
        for _ in range(rounds)
    )
