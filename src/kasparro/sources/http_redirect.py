"""Redirects: which request follows an answer of status 3xx."""

from dataclasses import dataclass, replace

from kasparro.errors import Broken
from kasparro.sources.http_url import joined, origin, query, userinfo, without_params
from kasparro.sources.tools import Request

MOST = 10
"""Redirects followed for one request."""

STATUSES = frozenset({301, 302, 303, 307, 308})

_SEE_OTHER = 303
_REWRITTEN_BY_CUSTOM = frozenset({301, 302})

SHAREABLE = frozenset({"accept", "accept-language", "if-none-match", "if-modified-since"})
"""Headers of a request that may follow it to another origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One request on the way: `request` with its method and body, at `url` instead of its own."""

    url: str
    request: Request


def followed(hop: Hop, status: int, location: str | None, *, place: str, secrets: frozenset[str]) -> Hop:
    """Return the next hop.

    303 asks with GET; 301 and 302 turn POST into GET, as every client does; 307 and 308 repeat the request. Nothing
    secret goes along to another origin: neither a body nor parameters that hold a known secret.

    Raises:
        Broken: no Location, one that is not an http(s) address, or a body that would go to another origin.
    """
    if location is None or not location.strip():
        raise Broken(f"{place} answered {status} without saying where to go", status=status)
    try:
        url, _ = userinfo(joined(hop.url, location))
    except ValueError as error:
        raise Broken(f"{place} answered {status} and pointed to what is not an http(s) address") from error
    request = _rewritten(hop.request, status)
    if origin(url) == origin(hop.url):
        return Hop(url=url, request=request)
    if request.json is not None or request.form is not None:
        raise Broken(f"{place} redirects a {request.method} with a body to another host; set `url` to the new address")
    kept = {name: value for name, value in request.headers.items() if name.lower() in SHAREABLE}
    return Hop(url=_stripped(url, secrets), request=replace(request, headers=kept))


def _rewritten(request: Request, status: int) -> Request:
    method = request.method.upper()
    becomes_get = status == _SEE_OTHER and method != "HEAD"
    if becomes_get or (status in _REWRITTEN_BY_CUSTOM and method == "POST"):
        return replace(request, method="GET", json=None, form=None)
    return request


def _stripped(url: str, secrets: frozenset[str]) -> str:
    holding = {name for name, value in query(url) if any(secret and secret in value for secret in secrets)}
    return without_params(url, holding)
