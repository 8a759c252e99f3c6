"""From statuses and the HTTP library's exceptions to our errors. Nowhere else are they translated."""

import html
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import httpx2

from kasparro.errors import Broken, Denied, KasparroError, Misconfigured, NotFound, RateLimited, Unreachable
from kasparro.resilience.retry import retry_after_seconds

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})
"""Statuses after which the same request may succeed later. 520-530 are those of proxies such as Cloudflare."""

_EXCERPT = 200
_MARKUP = re.compile(r"(?is)<(script|style)\b.*?</\1\s*>|<[^>]*>")

Redact = Callable[[str], str]


def excerpt(body: bytes, redact: Redact) -> str:
    """Return the start of a body as one line of text without markup and secrets; redacted before it is cut."""
    text = redact(body.decode("utf-8", "replace").replace("\x00", ""))
    if text.lstrip().startswith("<"):
        text = html.unescape(_MARKUP.sub(" ", text))
    text = redact(" ".join(text.split()))
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def refused(  # noqa: PLR0913 - the parts of one answer
    status: int, headers: Mapping[str, str], body: bytes, *, place: str, redact: Redact, remedy: str, now: datetime
) -> KasparroError:
    """Return the error that an answer of this status is."""
    said = excerpt(body, redact)
    quoted = f": {said}" if said else ""
    facts = {"status": status, "place": place, "excerpt": said}
    if status in {401, 403}:
        return Denied(f"{place} refused the credentials with {status}{quoted}; {remedy}", **facts)
    if status in {404, 410}:
        return NotFound(f"{place} does not exist ({status}){quoted}; check `url`", **facts)
    if status not in TRANSIENT:
        return Broken(f"{place} answered {status}{quoted}", **facts)
    wait = retry_after_seconds(headers.get("retry-after"), now)
    if wait is not None:
        facts["retry_after"] = wait
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        asked = "" if wait is None else f" for {wait:.0f} s"
        return RateLimited(f"{place} asked to wait{asked} (429){quoted}", **facts)
    return Unreachable(f"{place} answered {status}{quoted}", **facts)


@contextmanager
def translated(place: str, *, seconds: float, read_seconds: float) -> Iterator[None]:
    """Turn what goes wrong on the way into our errors. Texts of the library are not repeated: they may hold secrets."""
    try:
        yield
    except TimeoutError as error:
        raise Unreachable(f"{place} did not answer in full within {seconds:g} s (http.total_timeout)") from error
    except httpx2.ConnectTimeout as error:
        raise Unreachable(f"{place} accepted no connection in time (http.connect_timeout)") from error
    except httpx2.TimeoutException as error:
        raise Unreachable(f"{place} sent nothing for {read_seconds:g} s (http.read_timeout)") from error
    except httpx2.ConnectError as error:
        raise _not_connected(place, error) from error
    except httpx2.RemoteProtocolError as error:
        raise Unreachable(f"{place} broke off its answer, or it is not HTTP") from error
    except httpx2.ProxyError as error:
        raise Unreachable(f"{place} was not reached: the proxy refused") from error
    except httpx2.NetworkError as error:
        raise Unreachable(f"{place} was cut off: the connection was reset or closed") from error
    except (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.InvalidURL, UnicodeError) as error:
        raise Misconfigured(f"{place} cannot be asked: `url`, `headers` or `auth` hold what HTTP forbids") from error


def _not_connected(place: str, error: httpx2.ConnectError) -> KasparroError:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return Broken(f"{place} shows a certificate that is not trusted: {cause.verify_message}")
            case ssl.SSLError():
                return Unreachable(
                    f"{place} failed in the TLS handshake ({getattr(cause, 'reason', None) or 'cut off'})"
                )
            case socket.gaierror():
                return Unreachable(f"{place} was not found: the name of the host is unknown to DNS")
            case ConnectionRefusedError():
                return Unreachable(f"{place} refused the connection; does the server run?")
            case _:
                pass
    return Unreachable(f"{place} was not reached: the connection failed")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        yield from _causes(error.__cause__ or error.__context__)
