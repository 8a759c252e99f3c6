"""Kasparro: ingests records exactly once into one PostgreSQL and serves them over HTTP."""

__version__ = "0.1.0"
