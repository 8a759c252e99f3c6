"""The circuit breaker as the HTTP client meets it: a host that is left alone gets no turn."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from kasparro.errors import Unreachable
from kasparro.model.events import BreakerChanged, Emit
from kasparro.resilience.breaker import BreakerPolicy, Circuit
from kasparro.resilience.breakers import Asking, Breakers, Entry, Refusal
from kasparro.resilience.retry import Timing
from kasparro.sources.http_outcomes import rule_of_status, seen_of_host
from kasparro.sources.http_turns import Turn, Turns

_SUCCESSES = range(200, 400)


class GuardedTurns:
    """Implements `Turns`: takes them of `inner` where the breaker of the host lets it.

    Args:
        inner: Rate limits.
        breakers: Those of the process.
        policy: When a host is left alone.
        source: Name of the source, for events.
        emit: Hears `BreakerChanged`.
        timing: The date.
    """

    def __init__(  # noqa: PLR0913 - the parts of a seam
        self, inner: Turns, breakers: Breakers, policy: BreakerPolicy, *, source: str, emit: Emit, timing: Timing
    ) -> None:
        self._inner = inner
        self._breakers = breakers
        self._asking = Asking(policy=policy, changed=self._changed)
        self._source = source
        self._emit = emit
        self._timing = timing
        self._looks: dict[str, asyncio.Task[None]] = {}

    async def before(self, host: str) -> Turn:
        """Wait for the turn that the limits give. Raises as they do, and Unreachable where the host is left alone."""
        if host not in self._looks:
            self._looks[host] = asyncio.ensure_future(self._breakers.look(host))
        if not self._looks[host].done():
            await asyncio.shield(self._looks[host])
        known = self._breakers.refusal(host)
        if known is not None:
            raise _left_alone(known, self._timing.now())
        turn = await self._inner.before(host)
        try:
            return _GuardedTurn(turn, self._breakers, await self._entered(host))
        except BaseException as error:
            turn.over(error)
            raise

    async def _entered(self, host: str) -> Entry:
        entry = await self._breakers.enter(host, self._asking)
        if isinstance(entry, Refusal):
            raise _left_alone(entry, self._timing.now())
        return entry

    async def settled(self) -> None:
        """Wait until what the last exchanges have changed is written down and told."""
        await self._breakers.settled()

    def _changed(self, host: str, circuit: Circuit) -> None:
        event = BreakerChanged(
            source=self._source,
            host=host,
            state=circuit.state,
            failures=circuit.failures,
            seconds=circuit.seconds,
            reason=circuit.reason,
        )
        self._emit(event)


class _GuardedTurn:
    """A turn, and the entry that the breaker gave. An answer that is no fault ends a probe at once."""

    def __init__(self, turn: Turn, breakers: Breakers, entry: Entry) -> None:
        self._turn = turn
        self._breakers = breakers
        self._entry = entry

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer."""
        self._turn.answered(status, headers)
        works = status in _SUCCESSES or rule_of_status(status).host != "failed"
        if self._entry.probe is not None and works:
            self._breakers.leave(self._entry, "alive")
            self._entry = replace(self._entry, probe=None)

    def over(self, error: BaseException | None) -> None:
        """Take the end of the exchange."""
        self._turn.over(error)
        self._breakers.leave(self._entry, *seen_of_host(error))


def _left_alone(refusal: Refusal, now: datetime) -> Unreachable:
    known = refusal.circuit
    times = f"{known.failures:,} times in a row" if known.failures != 1 else "once"
    last = f", the last time as {known.reason}" if known.reason else ""
    then = now + timedelta(seconds=known.seconds)
    until = (
        f"somebody is trying it now; it is asked again in {known.seconds:.0f} s"
        if known.state == "half_open"
        else f"it is asked again at {then:%H:%M:%S} UTC, in {known.seconds:.0f} s"
    )
    return Unreachable(
        f"{refusal.host} is left alone by its circuit breaker, as it failed {times}{last}; {until}",
        breaker=known.state,
        retry_after=known.seconds,
    )
