"""Numbers and times as people read them."""

from datetime import UTC, datetime, timedelta

_SPANS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def ago(then: str | None, now: datetime) -> str:
    """Return how long ago an RFC 3339 time was: `3 minutes ago`; `never` for None."""
    if then is None:
        return "never"
    passed = now - datetime.fromisoformat(then)
    for span, name in _SPANS:
        count = passed // span
        if count >= 1:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def moment(then: str) -> str:
    """Return an RFC 3339 time in UTC, to the second: `2026-03-02 06:00:00 UTC`."""
    return f"{datetime.fromisoformat(then).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def lasted(seconds: float | None) -> str:
    """Return a duration: `850 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`; a dash for None."""
    if seconds is None:
        return "–"  # noqa: RUF001 - a dash is meant
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004


def grouped(number: int) -> str:
    """Return a number with its thousands set apart by narrow spaces."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
