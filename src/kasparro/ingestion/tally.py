"""Counts what holds the runs of a source up, from what its requests tell."""

from dataclasses import replace
from typing import assert_never

from kasparro.model.events import (
    BreakerChanged,
    Emit,
    Event,
    Fetched,
    PageCommitted,
    PageRead,
    PagesShaped,
    Retrying,
    RunFinished,
    RunJudged,
    RunStarted,
    SliceClosed,
    Throttled,
)
from kasparro.model.run import Delays


class Tally:
    """Takes the events of one source, counts, and passes each on.

    Args:
        emit: Takes the events next.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._delays = Delays()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        met = self._delays
        match event:
            case Retrying():
                waited = met.waited_seconds + event.wait
                self._delays = replace(
                    met, retries=met.retries + event.sent, waits=met.waits + 1, waited_seconds=waited
                )
            case Throttled():
                waited = met.waited_seconds + event.seconds
                self._delays = replace(met, waits=met.waits + 1, waited_seconds=waited)
            case BreakerChanged():
                self._delays = replace(met, breaker_changes=met.breaker_changes + 1)
            case RunStarted() | Fetched() | PageRead() | PagesShaped() | PageCommitted() | SliceClosed():
                pass
            case RunJudged() | RunFinished():
                pass
            case _:
                assert_never(event)
        self._emit(event)

    def take(self) -> Delays:
        """Return what was counted, and begin anew: a source may run several times."""
        met, self._delays = self._delays, Delays()
        return replace(met, waited_seconds=round(met.waited_seconds, 3))
