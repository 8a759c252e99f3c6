"""Which traces are kept, by the names that OTEL_TRACES_SAMPLER has for it."""

from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)


def sampler_of(name: str, share: float) -> Sampler:
    """Return the sampler; the configuration lets no other name through."""
    match name:
        case "always_on":
            return ALWAYS_ON
        case "always_off":
            return ALWAYS_OFF
        case "traceidratio":
            return TraceIdRatioBased(share)
        case "parentbased_always_off":
            return DEFAULT_OFF
        case "parentbased_traceidratio":
            return ParentBasedTraceIdRatio(share)
        case _:
            return DEFAULT_ON
