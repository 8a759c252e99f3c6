"""What a circuit breaker is: a host that fails again and again is left alone for a while, by all who would ask it.

    closed ──so many failures in a row──> open ──its time is over──> half_open ──the probe is answered──> closed
                                            ^                            │
                                            └── it fails: twice as long ─┘

See `breakers` for how a process goes by it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["closed", "open", "half_open"]

Verdict = Literal["alive", "answered", "failed", "unknown"]
"""What an exchange says of its host.

`answered`: it works, and wants to be left in peace, as with 429: neither a failure nor the end of failures in a row.
`unknown`: the exchange ended before anything was heard, as when it was cancelled.
"""

LONGEST_OPEN = 3600.0
"""Seconds: no host is left alone for longer. More can only come of a clock of the board that was set back."""

_DOUBLINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a host is left alone, and for how long.

    Attributes:
        failures: So many in a row open the breaker,
        window: when all of them are of so many last seconds.
        seconds: A host is left alone for so long the first time; twice as long each time that its probe fails,
        longest: and so long at most.
        probe_seconds: A probe that has said nothing for so long is given up, and another may be made.
    """

    failures: int = 8
    window: float = 60.0
    seconds: float = 30.0
    longest: float = 900.0
    probe_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What is known of a host.

    Attributes:
        state: See the module.
        seconds: `open`: until it may be probed. `half_open`: until the probe under way is given up.
        openings: How often in a row it was left alone.
        failures: Failures in a row.
        reason: The last failure, in a few words without secrets.
        ours: The call that returned this has made it so.
    """

    state: State = "closed"
    seconds: float = 0.0
    openings: int = 0
    failures: int = 0
    reason: str = ""
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a host is to be left alone. `probe`: the one that failed; None where requests have failed in a row."""

    failures: int
    reason: str
    probe: str | None = None


class Board(Protocol):
    """Keeps the breakers of all processes. Raises KasparroError when it is away."""

    async def look(self, host: str) -> Circuit:
        """Return what is known; a host that was never left alone is closed."""
        ...

    async def open(self, host: str, trouble: Trouble, policy: BreakerPolicy) -> Circuit:
        """Leave a host alone, if nobody has decided otherwise meanwhile; return what holds now."""
        ...

    async def probe(self, host: str, probe: str, policy: BreakerPolicy) -> Circuit:
        """Take the probe of a host that is due, which one process at a time gets; return what holds now."""
        ...

    async def close(self, host: str, probe: str) -> Circuit:
        """Let everybody ask a host again, as its probe was answered; return what holds now."""
        ...

    async def give_back(self, host: str, probe: str) -> Circuit:
        """Let another make the probe, which came to nothing; return what holds now."""
        ...


def opened(openings: int, trouble: Trouble, policy: BreakerPolicy) -> Circuit:
    """Return what a host becomes that is in trouble: left alone, for longer each time in a row."""
    return Circuit(
        state="open",
        seconds=min(policy.seconds * 2.0 ** min(openings, _DOUBLINGS), policy.longest),
        openings=openings + 1,
        failures=trouble.failures,
        reason=trouble.reason,
        ours=True,
    )
