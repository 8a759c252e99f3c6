"""Kasparro: ingests records exactly once into one PostgreSQL and serves them over HTTP."""

from typing import TYPE_CHECKING

from kasparro.version import __version__

if TYPE_CHECKING:
    from kasparro.ingestion.runner import run_etl_with_backoff

__all__ = ["__version__", "run_etl_with_backoff"]


def __getattr__(name: str) -> object:
    """Give `run_etl_with_backoff` when it is asked for; importing the package alone stays cheap."""
    if name == "run_etl_with_backoff":
        from kasparro.ingestion import runner  # noqa: PLC0415

        return runner.run_etl_with_backoff
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
