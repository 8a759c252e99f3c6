"""Which trace the code at hand belongs to. Loads nothing: without traces there is just never one.

Set by what makes the spans, in the task of a run or of a request; tasks that it starts have it, too.
"""

from contextvars import ContextVar, Token
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        sampled: The trace is kept.
    """

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def traceparent(self) -> str:
        """The value of the header that tells another program (https://www.w3.org/TR/trace-context/)."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_CURRENT: ContextVar[Trace | None] = ContextVar("kasparro_trace", default=None)


def current_trace() -> Trace | None:
    """Return the trace that the caller's task belongs to."""
    return _CURRENT.get()


def enter_trace(trace: Trace | None) -> Token[Trace | None]:
    """From now on the caller's task belongs to this trace. Give what is returned to `leave_trace`."""
    return _CURRENT.set(trace)


def leave_trace(token: Token[Trace | None]) -> None:
    """Make it again as it was. In the context that entered it."""
    _CURRENT.reset(token)
