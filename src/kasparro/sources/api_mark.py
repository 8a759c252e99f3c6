"""Cursor values of records: which is the highest, and from where to ask again.

Two values are compared as numbers when both are numbers (or texts of numbers), as instants when both are dates, else as
texts. A date without a zone is UTC. Values that are null, absent or no scalars have no say.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime, parsedate_to_datetime

Scalar = int | float | str

_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WEEKDAY = re.compile(r"[A-Z][a-z]{2},? ")


@dataclass(frozen=True, slots=True)
class Key:
    """A cursor value, read in every way that it can be compared."""

    value: Scalar
    number: int | float | Decimal | None
    instant: datetime | None

    def after(self, other: "Key") -> bool:
        """Return whether this value is higher."""
        if self.number is not None and other.number is not None:
            return self.number > other.number
        if self.instant is not None and other.instant is not None:
            return self.instant > other.instant
        return str(self.value) > str(other.value)


def key(value: object, written: str | None = None) -> Key | None:
    """Return the value ready to be compared; None when it is no cursor value. `written` is a strptime format."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    if not isinstance(value, str):
        return Key(value, value, None)
    if _NUMBER.fullmatch(value):
        return Key(value, Decimal(value), None)
    return Key(value, None, instant(value, written))


def instant(text: str, written: str | None = None) -> datetime | None:
    """Return the instant of an ISO 8601 or RFC 2822 date, or of one written in the given format."""
    found = _iso(text) or _mail(text) or _formatted(text, written)
    if found is None:
        return None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        return None  # the year 1 or 9999 beside a zone: compared as text


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        return None


def _mail(text: str) -> datetime | None:
    if not _WEEKDAY.match(text):
        return None
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None


def _formatted(text: str, written: str | None) -> datetime | None:
    if written is None or "%" not in written:
        return None
    try:
        return datetime.strptime(text, written)  # noqa: DTZ007 - without a zone it is UTC, see `instant`
    except ValueError:
        return None


def highest(values: Iterable[object], start: Scalar | None, written: str | None = None) -> Scalar | None:
    """Return the highest of the cursor values and the start."""
    best = None if start is None else key(start, written)
    for value in values:
        one = key(value, written)
        if one is not None and (best is None or one.after(best)):
            best = one
    return None if best is None else best.value


def moved_back(mark: Scalar, lookback: float, written: str | None = None) -> Key | None:
    """Return the mark less the lookback: seconds of a date, units of a number. Texts stay."""
    found = key(mark, written)
    if found is None or lookback == 0:
        return found
    if found.number is not None:
        lower = Decimal(str(found.number)) - Decimal(str(lookback))
        return Key(str(int(lower) if lower == int(lower) else lower), lower, None)
    if found.instant is not None:
        earlier = found.instant - timedelta(seconds=lookback)
        return Key(_like(str(mark), earlier), None, earlier)
    return found


def sent(since: Key, form: str | None) -> str:
    """Return the text of the mark as the API takes it.

    Args:
        since: The mark.
        form: `iso`, `epoch`, `epoch_ms` or a strftime format for dates; None sends it as the records have it.
    """
    if since.instant is None or form is None:
        return str(since.value)
    match form:
        case "iso":
            return since.instant.isoformat().replace("+00:00", "Z")
        case "epoch":
            return str(int(since.instant.timestamp()))
        case "epoch_ms":
            return str(int(since.instant.timestamp() * 1000))
        case _:
            return since.instant.strftime(form)


def _like(model: str, moment: datetime) -> str:
    """Write an instant the way the model is written."""
    if _DAY.fullmatch(model):
        return moment.date().isoformat()
    if _WEEKDAY.match(model):
        return format_datetime(moment)
    text = moment.isoformat()
    return text.replace("+00:00", "Z") if model.endswith("Z") else text
