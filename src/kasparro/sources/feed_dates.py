"""Dates as feeds write them, as ISO 8601.

RSS asks for RFC 822 dates and Atom for RFC 3339; what arrives is either in both, or neither. A date without a zone
stays without one: the zone of the source's declaration speaks for it. So does a date with a zone name that nobody
knows. A date that does not exist is not moved to one that does (feedparser reads June 31 as July 1).
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_HOURS = {
    "UT": 0.0, "UTC": 0.0, "GMT": 0.0, "Z": 0.0, "WET": 0.0, "WEST": 1.0, "BST": 1.0, "CET": 1.0, "MET": 1.0,
    "CEST": 2.0, "MEST": 2.0, "EET": 2.0, "EEST": 3.0, "MSK": 3.0, "HKT": 8.0, "SGT": 8.0, "AWST": 8.0, "JST": 9.0,
    "KST": 9.0, "ACST": 9.5, "AEST": 10.0, "ACDT": 10.5, "AEDT": 11.0, "NZST": 12.0, "NZDT": 13.0, "BRT": -3.0,
    "ART": -3.0, "NDT": -2.5, "NST": -3.5, "ADT": -3.0, "AST": -4.0, "EDT": -4.0, "EST": -5.0, "ET": -5.0, "CDT": -5.0,
    "CST": -6.0, "CT": -6.0, "MDT": -6.0, "MST": -7.0, "MT": -7.0, "PDT": -7.0, "PST": -8.0, "PT": -8.0,
    "AKDT": -8.0, "AKST": -9.0, "HST": -10.0,
}  # fmt: skip
"""Hours east of Greenwich of the zone names that mean one thing in feeds. `IST` means three, so it is not here."""

_COMMENT = re.compile(r"\s*\((?:[^()]*[^()A-Za-z][^()]*|[^()]{6,})?\)")
"""A comment in an RFC 822 date; `(CEST)` is more than that."""
_MONTH = re.compile(r"\d{4}(?:-\d{2})?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_HALF_DAY = re.compile(r"(?i)\d\s*[ap]\.?m\b")
_ZONE = re.compile(
    r"(?i)\s*(?:(?:GMT|UTC|UT|Z)?\s*([+-])(\d{1,2})(?::?(\d{2}))?(?:\s*\([a-z]+\))?"
    r"|\(?(?<![\w/])([a-z]{1,5})\)?"
    r"|(?<=\d)(Z))\s*$"
)


def iso(text: str) -> str | None:
    """Return a date as `2003-12-31T10:14:55Z`, without the `Z` where it names no zone; None where it cannot be read."""
    text = " ".join(text.replace("Etc/", "").split())
    moment = _rfc3339(text) or _rfc822(text)
    if moment is None:
        return None
    try:
        written = moment if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return None
    return written.isoformat().replace("+00:00", "Z")


def _rfc3339(text: str) -> datetime | None:
    """Read ISO 8601, and the year or month alone that W3CDTF allows (their beginning is taken)."""
    if _MONTH.fullmatch(text) is not None:
        text = f"{text}-01-01"[:10]
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def _rfc822(text: str) -> datetime | None:
    if _HALF_DAY.search(text) is not None:
        return None
    text = " ".join(_COMMENT.sub("", text).split())
    if _CLOCK.search(text) is None:
        text = f"{text} 00:00:00"
    found = _ZONE.search(text)
    offset = None if found is None else _offset(found)
    try:
        moment = parsedate_to_datetime(text if found is None else text[: found.start()]).replace(tzinfo=None)
        return moment if offset is None else moment.replace(tzinfo=timezone(offset))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _offset(found: re.Match[str]) -> timedelta | None:
    """Return the offset that the end of a date names; None where nobody knows the name."""
    name = found[4] or found[5]
    if name is not None:
        hours = _HOURS.get(name.upper())
        return None if hours is None else timedelta(hours=hours)
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return -offset if found[1] == "-" else offset
