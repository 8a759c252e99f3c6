"""A seeded plan of faults: the same seed gives the same plan, so that what failed can be run again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Strike = Literal["kill", "cut", "freeze", "restart"]
"""What is done to a run from outside, at a point.

`kill`: SIGKILL. `cut`: PostgreSQL ends the connection. `freeze`: SIGSTOP, another run takes over, then SIGCONT.
`restart`: the server crashes, and is started again.
"""

Seam = Literal["delay", "truncate", "double", "reorder", "lose"]
"""What a wrapper around a seam does, the whole run long.

`delay`: pages come late. `truncate`: the transfer breaks in the middle. `double`: pages come twice. `reorder`: pages
come early and out of order, then in order, and again. `lose`: a commit takes effect, but its answer is lost.
"""

Act = Strike | Seam

Point = Literal["random", "before", "copy", "merge", "checkpoint", "after"]
"""When: at a random moment, while the raw page is written, inside COPY, inside the merge, as the checkpoint moves, as
the transaction has just been committed."""

STRIKES: tuple[Strike, ...] = get_args(Strike)
SEAMS: tuple[Seam, ...] = get_args(Seam)
ACTS: tuple[Act, ...] = (*STRIKES, *SEAMS)
POINTS: tuple[Point, ...] = get_args(Point)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        act: What happens.
        point: Where a strike hits the run.
        delay: Seconds after the run has its connection, before the point is waited for.
        beside: What a wrapper does meanwhile to the run that is struck.
        seed: Of the wrapper's dice.
    """

    act: Act
    point: Point
    delay: float
    beside: Seam | None = None
    seed: int = 0

    def __str__(self) -> str:
        if self.act in SEAMS:
            return f"{self.act}, dice {self.seed}"
        beside = "" if self.beside is None else f", beside {self.beside}, dice {self.seed}"
        return f"{self.act} at {self.point}, {self.delay:.2f} s in{beside}"


def planned(seed: int, rounds: int, acts: Sequence[Act] = ACTS, longest: float = 0.3) -> tuple[Fault, ...]:
    """Return so many faults; no act comes a second time before all others came. Every other strike has company."""
    dice = random.Random(seed)  # noqa: S311 - a plan, not a secret
    seams: list[Seam | None] = [act for act in SEAMS if act in acts]
    nothing: list[Seam | None] = [None] * max(len(seams), 1)
    dealt = _dealt(dice, acts)
    return tuple(
        Fault(
            act=act,
            point=dice.choice(POINTS),
            delay=dice.uniform(0, longest),
            beside=dice.choice(seams + nothing) if act in STRIKES else None,
            seed=dice.randrange(10_000),
        )
        for act, _ in zip(dealt, range(rounds), strict=False)
    )


def _dealt(dice: random.Random, acts: Sequence[Act]) -> Iterator[Act]:
    while True:
        yield from dice.sample(list(acts), len(acts))
