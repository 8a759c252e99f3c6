"""Whose requests count on which budget."""

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass

from kasparro.model.rate import NO_LIMIT, RateLimit

_MARK = 6
"""Hexadecimal digits that tell credentials apart: 24 bits, too few to find what they were made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A source, as far as its limits go.

    Attributes:
        name: Of the source.
        limit: What it declares.
        home: The host that its credentials are sent to.
        mark: Of the credentials, see `mark_of`; empty without any.
    """

    name: str
    limit: RateLimit = NO_LIMIT
    home: str | None = None
    mark: str = ""


def key_of(caller: Caller, host: str, hosts: Container[str]) -> str:
    """Return the name of the budget of a request: that of the host, or of the host and the credentials.

    Args:
        caller: Who asks.
        host: Who is asked.
        hosts: Those that have one limit for all credentials together.
    """
    return f"{host} {caller.mark}" if caller.mark and host == caller.home and host not in hosts else host


def mark_of(host: str, secrets: Mapping[str, str]) -> str:
    """Return what tells credentials for a host apart from others; empty where there are none.

    It is written in the database, so it must not give the credentials away: of the hash, 24 bits are kept, which fit
    one in 16 million guesses. Two credentials that happen to have the same mark share a budget, which is slower, and
    safe.
    """
    if not secrets:
        return ""
    parts = [host, *(f"{name.lower()}={secrets[name]}" for name in sorted(secrets))]
    text = "\0".join(["kasparro rate budget", *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK]
