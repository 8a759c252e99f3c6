"""What a declaration can say about the requests of a source."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from kasparro.resilience.retry import Backoff, RetryPolicy


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
    attempts: Annotated[int, Field(ge=1, le=100, description="Most attempts of one request.")] = 6
    retry_seconds: Annotated[
        float, Field(ge=0, description="Longest time for all attempts; also the longest `Retry-After` waited for.")
    ] = 300.0
    first_wait: Annotated[float, Field(ge=0, description="Longest first wait, in seconds.")] = 1.0
    max_wait: Annotated[float, Field(ge=0, description="Longest wait of our own, in seconds.")] = 60.0
    backoff: Annotated[Backoff, Field(description="How waits grow; exponential has full jitter.")] = "exponential"
    traceparent: Annotated[
        bool, Field(description="Tell the origin of the source which trace a request belongs to, where there are any.")
    ] = False

    def policy(self) -> RetryPolicy:
        """Return the part that is about trying again."""
        return RetryPolicy(
            attempts=self.attempts,
            total_seconds=self.retry_seconds,
            first_wait=self.first_wait,
            max_wait=self.max_wait,
            backoff=self.backoff,
        )
