"""Traces, where the settings name a collector. Without one nothing of OpenTelemetry is loaded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from kasparro.config import Settings
from kasparro.errors import Misconfigured
from kasparro.model.events import Emit
from kasparro.model.redact import Redactor
from kasparro.version import __version__

if TYPE_CHECKING:
    from kasparro.observe.traces import Traces

_NEEDED = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def check_tracing(settings: Settings) -> None:
    """Raise Misconfigured where traces are asked for and what makes them is not installed."""
    if settings.collector is not None and not _installed():
        raise Misconfigured(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and what sends them is not installed. "
            'Run: pip install "kasparro[otel]". Or set OTEL_SDK_DISABLED=true.'
        )


@asynccontextmanager
async def open_traces(settings: Settings, secrets: frozenset[str] = frozenset()) -> "AsyncIterator[Traces | None]":
    """Give what makes traces; None without a collector. Closing waits a few seconds at most for what is left.

    Args:
        settings: Name the collector.
        secrets: More texts that no trace may hold, beside those of the settings.

    Raises:
        Misconfigured: as `check_tracing`.
    """
    check_tracing(settings)
    if settings.collector is None:
        yield None
        return
    from kasparro.observe.traces import Collector, Traces  # noqa: PLC0415 - an optional extra

    headers = settings.otlp_headers
    collector = Collector(
        endpoint=settings.collector,
        headers="" if headers is None else headers.get_secret_value(),
        name=settings.otel_service_name,
        version=__version__,
        sampler=settings.otel_sampler,
        share=settings.otel_share,
    )
    traces = Traces(collector, Redactor(settings.secrets | secrets))
    try:
        yield traces
    finally:
        await asyncio.to_thread(traces.close)


def heard(traces: "Traces | None", emit: Emit) -> Emit:
    """Return what makes traces of events before or after it passes them on; without traces just `emit`."""
    return emit if traces is None else traces.listening(emit)


def _installed() -> bool:
    try:
        return find_spec(_NEEDED) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False
