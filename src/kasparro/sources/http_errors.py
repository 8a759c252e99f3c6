"""From statuses and the HTTP library's exceptions to our errors, by the table of `http_outcomes`. Nowhere else."""

import html
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from kasparro.errors import Denied, KasparroError, NotFound, RateLimited
from kasparro.resilience.rate_headers import heard
from kasparro.sources.http_outcomes import FOREIGN, TRANSIENT, rule_of_exception, rule_of_status

__all__ = ["TRANSIENT", "excerpt", "refused", "translated"]

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
    rule = rule_of_status(status)
    if rule.fate == "final":
        return rule.error(_final(rule.error, status, f"{place} ", quoted, remedy), **facts)
    wait = heard(headers, now).retry_after
    if wait is not None:
        facts["retry_after"] = wait
    asked = f" and asked to wait for {math.ceil(wait):,} s" if wait else ""
    if rule.error is RateLimited:
        asked = "" if wait is None else f" for {math.ceil(wait):,} s"
        return RateLimited(f"{place} asked to wait{asked} (429){quoted}", **facts)
    return rule.error(f"{place} answered {status}{asked}{quoted}", **facts)


def _final(error: type[KasparroError], status: int, place: str, quoted: str, remedy: str) -> str:
    if error is Denied:
        return f"{place}refused the credentials with {status}{quoted}; {remedy}"
    if error is NotFound:
        return f"{place}does not exist ({status}){quoted}; check `url`"
    return f"{place}answered {status}{quoted}"


@contextmanager
def translated(place: str, *, seconds: float, read_seconds: float, limit: str = "http.total_timeout") -> Iterator[None]:
    """Turn what goes wrong on the way into our errors. Texts of the library are not repeated: they may hold secrets.

    Args:
        place: Method and address, without secrets.
        seconds: How long an attempt may take, and
        limit: the option that says so.
        read_seconds: How long it may be without a byte.
    """
    try:
        yield
    except FOREIGN as error:
        rule, detail = rule_of_exception(error)
        facts = {"seconds": round(seconds, 1), "limit": limit, "read_seconds": read_seconds, "detail": detail}
        said = rule.says.format(place=place, **facts)
        raise rule.error(said) from error
