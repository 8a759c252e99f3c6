"""What a declaration can say about the requests of a source."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, assert_never

from pydantic import ConfigDict, Field

from kasparro.resilience.breaker import LONGEST_OPEN, BreakerPolicy
from kasparro.resilience.parking import LONGEST_WAIT
from kasparro.resilience.retry import Backoff, RetryPolicy

_PROBE_MARGIN = 5.0
"""Seconds that the request which tries a host again has beyond its timeouts, before another may try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """When a host that fails is left alone, and for how long; all that ask it keep to it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    failures: Annotated[int, Field(ge=1, le=1000, description="Failures in a row after which nobody asks it.")] = 8
    window_seconds: Annotated[float, Field(gt=0, description="Only failures of so many last seconds count.")] = 60.0
    open_seconds: Annotated[
        float,
        Field(gt=0, le=LONGEST_OPEN, description="It is left alone for so long, then one request tries it."),
    ] = 30.0
    max_open_seconds: Annotated[
        float,
        Field(gt=0, le=LONGEST_OPEN, description="Each time that one fails it is for twice as long, up to this."),
    ] = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Limits and retries of the requests of a source."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    connect_timeout: Annotated[float, Field(gt=0, description="Seconds until a connection stands.")] = 10.0
    read_timeout: Annotated[float, Field(gt=0, description="Seconds without a byte before giving up.")] = 30.0
    total_timeout: Annotated[
        float | None,
        Field(gt=0, description="Seconds of one attempt, redirects included. Unset: 300, and 6 hours for a file."),
    ] = None
    max_bytes: Annotated[
        int | None,
        Field(gt=0, description="Largest body, decompressed. Unset: 128 MiB, and 64 GiB for a file."),
    ] = None
    attempts: Annotated[
        int, Field(ge=1, le=100, description="Most attempts of a request that fail; to be asked to wait is no failure.")
    ] = 6
    retry_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Deadline of one page: all attempts and the waits between them. The first attempt, and each of "
            "a file, may take longer.",
        ),
    ] = 300.0
    first_wait: Annotated[float, Field(ge=0, description="Longest first wait, in seconds.")] = 1.0
    max_wait: Annotated[float, Field(ge=0, description="Longest wait of our own, in seconds.")] = 60.0
    backoff: Annotated[Backoff, Field(description="How waits grow; exponential has full jitter.")] = "exponential"
    breaker: Annotated[
        bool | BreakerOptions,
        Field(description="Circuit breaker of the host, see [Retries](retries.md#circuit-breaker); false: none."),
    ] = True
    traceparent: Annotated[
        bool, Field(description="Tell the origin of the source which trace a request belongs to, where there are any.")
    ] = False

    def policy(self, longest_asked: float = LONGEST_WAIT) -> RetryPolicy:
        """Return the part that is about trying again. `longest_asked`: see `RetryPolicy`."""
        return RetryPolicy(
            attempts=self.attempts,
            total_seconds=self.retry_seconds,
            first_wait=self.first_wait,
            max_wait=self.max_wait,
            backoff=self.backoff,
            longest_asked=longest_asked,
        )

    def breaker_policy(self) -> BreakerPolicy | None:
        """Return the part that is about leaving a host alone; None: it never is."""
        match self.breaker:
            case False:
                return None
            case True:
                options = BreakerOptions()
            case BreakerOptions():
                options = self.breaker
            case _:
                assert_never(self.breaker)
        return BreakerPolicy(
            failures=options.failures,
            window=options.window_seconds,
            seconds=options.open_seconds,
            longest=max(options.max_open_seconds, options.open_seconds),
            probe_seconds=min(self.connect_timeout + self.read_timeout + _PROBE_MARGIN, LONGEST_OPEN),
        )
