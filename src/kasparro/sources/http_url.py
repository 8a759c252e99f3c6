"""Addresses as text: nothing is decoded and encoded again, so that signed and odd addresses survive."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote_plus, urldefrag, urljoin, urlsplit, urlunsplit

from kasparro.errors import Misconfigured

_PORTS = {"http": 80, "https": 443}
_HIGHEST = 65_535
_USUAL = re.compile(
    r"(https?)://([a-z0-9_-]*[a-z_-][a-z0-9_-]*(?:\.[a-z0-9_-]+)*|127\.0\.0\.1)(?::(\d{1,5}))?(?:[/?][!-~]*)?$"
)
"""Addresses of which scheme, host and port can be read off, without a doubt and without the HTTP library."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a request is sent to. Credentials never leave the one they belong to."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin:
    """Return scheme, host and port. Raises Misconfigured when it is not an http(s) address."""
    usual = _USUAL.match(url)
    if usual is not None:
        scheme, host, port = usual.groups()
        number = _PORTS[scheme] if port is None else int(port)
        if number <= _HIGHEST:
            return Origin(scheme, host, number)
    # The HTTP library, which is loaded late because most commands send nothing, knows the unusual ones.
    from kasparro.sources.http_origin import unusual_origin  # noqa: PLC0415

    found = unusual_origin(url)
    if found is None:
        raise Misconfigured("an address is not valid: it must look like https://host/path; check `url`")
    return Origin(*found)


def joined(base: str, target: str) -> str:
    """Return the absolute address of what an answer from `base` points to, without its fragment.

    Raises:
        ValueError: it is not an http(s) address.
    """
    target = target.strip()
    named = urlsplit(target)
    if named.scheme and (named.scheme not in _PORTS or not named.netloc):
        raise ValueError("not an http(s) address")
    url = urldefrag(urljoin(base, target)).url
    try:
        origin(url)
    except Misconfigured as error:
        raise ValueError("not an address") from error
    return url


def with_params(url: str, params: Mapping[str, str | Sequence[str]]) -> str:
    """Return the address with these query parameters; those of the same name are replaced, others stay as written."""
    if not params:
        return url
    parts = urlsplit(url)
    kept = [piece for piece in parts.query.split("&") if piece and _name(piece) not in params]
    for name, value in params.items():
        values = (value,) if isinstance(value, str) else value
        kept += [f"{quote_plus(name, safe='@$.[]')}={quote(one, safe=',:@$*.!()', errors='replace')}" for one in values]
    return urlunsplit(parts._replace(query="&".join(kept), fragment=""))


def without_params(url: str, names: Collection[str]) -> str:
    """Return the address without the query parameters of these names."""
    parts = urlsplit(url)
    if not names or not parts.query:
        return url
    kept = [piece for piece in parts.query.split("&") if _name(piece) not in names]
    return urlunsplit(parts._replace(query="&".join(kept)))


def query(url: str) -> list[tuple[str, str]]:
    """Return the names and values of the query, decoded, in order."""
    pieces = [piece for piece in urlsplit(url).query.split("&") if piece]
    return [(_name(piece), unquote_plus(piece.partition("=")[2])) for piece in pieces]


def userinfo(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return the address without user and password, and these two where it had them."""
    parts = urlsplit(url)
    info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = info.partition(":")
    plain = urlunsplit(parts._replace(netloc=host))
    return plain, (unquote_plus(user.replace("+", "%2B")), unquote_plus(password.replace("+", "%2B")))


def _name(piece: str) -> str:
    return unquote_plus(piece.partition("=")[0])
