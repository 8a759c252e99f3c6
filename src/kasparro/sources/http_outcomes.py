"""What is retried and what is final: the one table that the client, the circuit breaker and docs/retries.md go by."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import httpx2

from kasparro.errors import Broken, Denied, KasparroError, Misconfigured, NotFound, RateLimited, Transient, Unreachable
from kasparro.resilience.breaker import Verdict

Fate = Literal["retried", "final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What becomes of a request that met this.

    Attributes:
        met: In a few words.
        error: What it is told as; one that is Transient is retried.
        host: What it says of the host.
        says: The sentence; `{place}`, `{seconds}`, `{limit}`, `{read_seconds}` and `{detail}` are filled in.
        statuses: Of the answers that it is about.
        raised: Exceptions of the HTTP library and of the system that it is about.
        cause: These are found among the causes of a connection that failed.
    """

    met: str
    error: type[KasparroError]
    host: Verdict
    says: str = ""
    statuses: frozenset[int] = frozenset()
    raised: tuple[type[BaseException], ...] = ()
    cause: bool = False

    @property
    def fate(self) -> Fate:
        """Whether the same request may succeed later."""
        return "retried" if issubclass(self.error, Transient) else "final"


TOO_MANY = Rule(met="429", error=RateLimited, host="answered", statuses=frozenset({429}))

_REFUSED = Rule(met="401, 403", error=Denied, host="alive", statuses=frozenset({401, 403}))

_GONE = Rule(met="404, 410", error=NotFound, host="alive", statuses=frozenset({404, 410}))

_EARLY = Rule(met="408, 425", error=Unreachable, host="answered", statuses=frozenset({408, 425}))

_FAULT = Rule(
    met="500, 502, 503, 504, 520 to 530 (of proxies such as Cloudflare)",
    error=Unreachable,
    host="failed",
    statuses=frozenset({500, 502, 503, 504, *range(520, 531)}),
)

OTHER_STATUS = Rule(met="every other status that is no success", error=Broken, host="alive")

BY_STATUS = (TOO_MANY, _EARLY, _FAULT, _REFUSED, _GONE, OTHER_STATUS)

TRANSIENT = frozenset(status for rule in BY_STATUS if rule.fate == "retried" for status in rule.statuses)
"""Statuses after which the same request may succeed later."""

_NOT_CONNECTED = Rule(
    met="the connection failed",
    error=Unreachable,
    host="failed",
    says="{place} was not reached: the connection failed",
    raised=(httpx2.ConnectError,),
)

BY_EXCEPTION = (
    Rule(
        met="no whole answer in time (`http.total_timeout`, or what was left of `http.retry_seconds`)",
        error=Unreachable,
        host="failed",
        says="{place} did not answer in full within {seconds:g} s ({limit})",
        raised=(TimeoutError,),
    ),
    Rule(
        met="no connection in time (`http.connect_timeout`)",
        error=Unreachable,
        host="failed",
        says="{place} accepted no connection in time (http.connect_timeout)",
        raised=(httpx2.ConnectTimeout,),
    ),
    Rule(
        met="no byte in time (`http.read_timeout`)",
        error=Unreachable,
        host="failed",
        says="{place} sent nothing for {read_seconds:g} s (http.read_timeout)",
        raised=(httpx2.TimeoutException,),
    ),
    Rule(
        met="a certificate that is not trusted",
        error=Broken,
        host="answered",
        says="{place} shows a certificate that is not trusted: {detail}. "
        "Where it is right, let SSL_CERT_FILE name a file with the certificates of all authorities that you trust",
        raised=(ssl.SSLCertVerificationError,),
        cause=True,
    ),
    Rule(
        met="the TLS handshake failed",
        error=Unreachable,
        host="failed",
        says="{place} failed in the TLS handshake ({detail})",
        raised=(ssl.SSLError,),
        cause=True,
    ),
    Rule(
        met="the name of the host is unknown to DNS",
        error=Unreachable,
        host="failed",
        says="{place} was not found: the name of the host is unknown to DNS",
        raised=(socket.gaierror,),
        cause=True,
    ),
    Rule(
        met="the connection was refused",
        error=Unreachable,
        host="failed",
        says="{place} refused the connection; does the server run?",
        raised=(ConnectionRefusedError,),
        cause=True,
    ),
    _NOT_CONNECTED,
    Rule(
        met="the answer was broken off",
        error=Unreachable,
        host="failed",
        says="{place} broke off its answer, or it is not HTTP, or it has more than 100 KB of headers",
        raised=(httpx2.RemoteProtocolError,),
    ),
    Rule(
        met="the proxy refused",
        error=Unreachable,
        host="failed",
        says="{place} was not reached: the proxy refused",
        raised=(httpx2.ProxyError,),
    ),
    Rule(
        met="the connection was reset or closed",
        error=Unreachable,
        host="failed",
        says="{place} was cut off: the connection was reset or closed",
        raised=(httpx2.NetworkError,),
    ),
    Rule(
        met="an address, header or credential that HTTP forbids",
        error=Misconfigured,
        host="unknown",
        says="{place} cannot be asked: `url`, `headers` or `auth` hold what HTTP forbids",
        raised=(httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.InvalidURL, UnicodeError),
    ),
)

CUT_SHORT = Rule(met="a compressed body that was cut short", error=Unreachable, host="failed")

UNREADABLE = Rule(
    met="a body that is too large or not encoded as it says, redirects in a circle or to what is no address",
    error=Broken,
    host="alive",
)

BY_CONTENT = (CUT_SHORT, UNREADABLE)
"""Met by the client itself while it reads an answer."""

FOREIGN = tuple(kind for rule in BY_EXCEPTION if not rule.cause for kind in rule.raised)
"""All exceptions that are translated."""


def rule_of_status(status: int) -> Rule:
    """Return the rule of an answer that is no success."""
    return next((rule for rule in BY_STATUS if status in rule.statuses), OTHER_STATUS)


def rule_of_exception(error: BaseException) -> tuple[Rule, str]:
    """Return the rule of an exception out of `FOREIGN`, and the detail that its sentence wants."""
    if isinstance(error, httpx2.ConnectError) and not isinstance(error, httpx2.ConnectTimeout):
        for cause in _causes(error):
            for rule in BY_EXCEPTION:
                if rule.cause and isinstance(cause, rule.raised):
                    return rule, _detail(cause)
        return _NOT_CONNECTED, ""
    return next(rule for rule in BY_EXCEPTION if not rule.cause and isinstance(error, rule.raised)), ""


def seen_of_host(error: BaseException | None) -> tuple[Verdict, str]:
    """Return what the end of an exchange says of its host, and in a few words why.

    Args:
        error: What ended it, translated or not; None: it ended well.
    """
    if error is None:
        return "alive", ""
    if isinstance(error, FOREIGN):
        rule, _ = rule_of_exception(error)
        return rule.host, _words(rule.met)
    return _seen_of_ours(error)


def _seen_of_ours(error: BaseException) -> tuple[Verdict, str]:
    match error:
        case Transient() if error.retry_after:
            return "answered", ""  # it works, and says when it wants to be asked
        case KasparroError() if "status" in error.facts:
            status = int(error.facts["status"])
            return rule_of_status(status).host, _named(status)
        case Unreachable():
            return CUT_SHORT.host, CUT_SHORT.met
        case Broken() | NotFound():
            return UNREADABLE.host, ""
        case _:
            return "unknown", ""  # it was cancelled, or ended by something on our side


def _words(met: str) -> str:
    return met.partition(" (")[0]


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)  # one of those that proxies have added


def _detail(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return str(cause.verify_message)
    return str(getattr(cause, "reason", None) or "cut off")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        yield from _causes(error.__cause__ or error.__context__)
