"""Scheme, host and port of addresses as the HTTP library reads them: of other letters, in brackets, with a user."""

from urllib.parse import urlsplit

import httpx2

_PORTS = {"http": 80, "https": 443}


def unusual_origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port; None when it is not an http(s) address."""
    try:
        named = urlsplit(url).port  # notices an open bracket and a port too high, which the HTTP library lets pass
        parsed = httpx2.URL(url)
        if parsed.scheme in _PORTS and parsed.raw_host:
            port = _PORTS[parsed.scheme] if named is None else named
            return parsed.scheme, parsed.raw_host.decode("ascii").lower(), port
    except (httpx2.InvalidURL, ValueError):
        pass  # said by who asks, without the address: it may hold a secret
    return None
