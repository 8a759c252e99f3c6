"""On which budget of rate limits the requests of a source count: that of its host and its credentials."""

import re
from collections.abc import Container

from kasparro.errors import Misconfigured
from kasparro.model.rate import NO_LIMIT
from kasparro.model.source import Declared
from kasparro.resilience.callers import Caller, key_of, mark_of
from kasparro.sources.auth import credentials
from kasparro.sources.http_turns import host_of
from kasparro.sources.http_url import query, userinfo

_SECRET_NAME = re.compile(r"(?i)key|token|secret|password|passwd|pwd|auth|sig|credential|cookie")


def caller_of(declared: Declared) -> Caller:
    """Return the source as its limits see it."""
    limit = NO_LIMIT if declared.rate_limit is None else declared.rate_limit
    url = getattr(declared.kind, "url", None)
    home = None if url is None else _home(str(url))
    if url is None or home is None:
        return Caller(name=declared.name, limit=limit)
    headers, params = credentials(getattr(declared.kind, "auth", None))
    own = getattr(declared.kind, "headers", None) or {}
    known = {name: value for name, value in query(str(url)) if _SECRET_NAME.search(name)}
    secrets = {
        **known,
        **{name: value for name, value in own.items() if _SECRET_NAME.search(name)},
        **headers,
        **params,
    }
    _, pair = userinfo(str(url))
    if pair is not None and not headers:
        secrets["Authorization"] = ":".join(pair)
    return Caller(name=declared.name, limit=limit, home=home, mark=mark_of(home, secrets))


def _home(url: str) -> str | None:
    try:
        return host_of(userinfo(url)[0])
    except Misconfigured:
        return None  # said when the source is opened


def budget_of(declared: Declared, hosts: Container[str]) -> str | None:
    """Return the name of the budget of a source; None where it asks no host, or an address names none."""
    caller = caller_of(declared)
    return None if caller.home is None else key_of(caller, caller.home, hosts)
