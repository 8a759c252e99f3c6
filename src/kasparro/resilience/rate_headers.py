"""What answers say about rate limits: `Retry-After`, `X-RateLimit-*` in its many spellings, and the IETF's fields.

Nothing of it is promised to be sane. What is not a number or a date, negative, or further away than a limit may span
(`model/rate.py`) says nothing; what remains is never more than the limit.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

from http_sf import parse

from kasparro.model.rate import LONGEST, MOST
from kasparro.resilience.retry import retry_after_seconds

_PREFIXES = ("x-ratelimit-", "x-rate-limit-", "ratelimit-")
_OF_INTEREST = (
    "retry-after",
    "ratelimit",
    "x-ratelimit-",
    "x-rate-limit-",
    "ratelimit-",
    "x-shopify-shop-api-call-limit",
)
_SPANS: Mapping[str, float] = MappingProxyType(
    {"": 0, "-requests": 0, "-second": 1, "-minute": 60, "-hour": 3600, "-day": 86_400}
)
"""What the names of some providers end with, and the window in seconds that it says."""

_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_LENGTH = re.compile(
    r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,7}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?", re.ASCII
)
_SHARE = re.compile(r"(\d{1,7}) ?/ ?(\d{1,7})", re.ASCII)

_EPOCH = 100_000_000.0
_EPOCH_MS = 100_000_000_000.0
"""From where on a number is no length of time but a moment: in seconds since 1970, and in milliseconds."""

_MOST_WINDOWS = 8
_LONGEST_NAME = 60
"""Limits that one answer may tell of, and characters of the name of one."""

_IN_STEP = 1.5
"""Seconds that our clock may be ahead of the `Date` of an answer, which is cut to whole seconds, while both agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What an answer says of one limit.

    Attributes:
        name: Tells the limits of one provider apart.
        limit: Requests in a window.
        remaining: Those that are left.
        reset: Seconds until there are more.
        span: Seconds of the window, where it is said.
        coarse: `reset` was said as a moment in whole seconds: the window may be up to a second shorter than it seems.
    """

    name: str
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    span: float | None = None
    coarse: bool = False

    def back_in(self, span: float) -> float:
        """Return the seconds until what was used is surely there again, where the window is so many seconds long.

        A reset in whole seconds may have been cut by nearly one; but none is further away than the window is long.
        """
        if self.reset is None:
            return span
        whole = self.coarse or self.reset.is_integer()
        return max(self.reset, min(self.reset + 1.0, span)) if whole else self.reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one answer says.

    Attributes:
        retry_after: Seconds that it asks to wait.
        windows: The limits that it tells of.
    """

    retry_after: float | None
    windows: tuple[Window, ...]


NOTHING = Heard(retry_after=None, windows=())


def heard(headers: Mapping[str, str], now: datetime) -> Heard:
    """Return what the headers of an answer say about limits, most often nothing.

    Args:
        headers: Of the answer; names in any case.
        now: The date, for what is said as a moment.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    told = {name: value for name, value in lower.items() if name.startswith(_OF_INTEREST)}
    if not told:
        return NOTHING
    theirs = _date(lower.get("date", "")) or now
    wait = retry_after_seconds(told.get("retry-after"), theirs)
    windows = _structured(told) or _named(told, _server_now(theirs, now)) or _shares(told)
    return Heard(retry_after=wait, windows=windows[:_MOST_WINDOWS])


def _server_now(theirs: datetime, now: datetime) -> datetime:
    """Return what the provider's clock shows: as ours does, where the two agree, as it is finer."""
    return now if 0 <= (now - theirs).total_seconds() <= _IN_STEP else theirs


def _structured(told: Mapping[str, str]) -> tuple[Window, ...]:
    """Read `RateLimit: "a";r=50;t=30` and `RateLimit-Policy: "a";q=100;w=60`; or the dictionary of draft 7."""
    policies = {str(name): facts for name, facts in _list(told.get("ratelimit-policy"))}
    if _is_draft_7(told.get("ratelimit")):
        return _draft_7(told["ratelimit"], policies)
    now = {str(name): facts for name, facts in _list(told.get("ratelimit"))}
    found = []
    for name in dict.fromkeys((*policies, *now)):
        policy, state = policies.get(name, {}), now.get(name, {})
        limit, left = _count(policy.get("q")), _count(state.get("r"), least=0)
        if _is_of_requests(policy):
            made = Window(name=name[:_LONGEST_NAME], limit=limit, remaining=left)
            window = _sound(replace(made, reset=_length(state.get("t")), span=_span(policy.get("w"))))
            found += [] if window is None else [window]
    return tuple(found)


def _is_draft_7(text: str | None) -> bool:
    return text is not None and re.search(r"(?:^|,)\s*remaining=", text) is not None


def _draft_7(text: str, policies: Mapping[str, Mapping[str, object]]) -> tuple[Window, ...]:
    try:
        parsed: Any = parse(text.encode(), tltype="dictionary")
    except (ValueError, TypeError):
        return ()
    facts = {name: value[0] for name, value in parsed.items() if isinstance(value, tuple)}
    window = _sound(
        Window(
            name="ratelimit",
            limit=_count(facts.get("limit")),
            remaining=_count(facts.get("remaining"), least=0),
            reset=_length(facts.get("reset")),
        )
    )
    return () if window is None else (_with_span(window, policies),)


def _with_span(window: Window, policies: Mapping[str, Mapping[str, object]]) -> Window:
    """Take the length of the window from the policy of the same number of requests."""
    return replace(window, span=_span(policies.get(str(window.limit), {}).get("w")))


def _list(text: str | None) -> list[tuple[object, Mapping[str, object]]]:
    """Return the items of a structured list with their parameters; what is none holds nothing."""
    if text is None:
        return []
    try:
        members: Any = parse(text.encode(), tltype="list")
    except (ValueError, TypeError):
        return []
    return [(one[0], one[1]) for one in members if isinstance(one, tuple) and not isinstance(one[0], list)]


def _is_of_requests(policy: Mapping[str, object]) -> bool:
    return str(policy.get("qu", "requests")) == "requests"


def _named(told: Mapping[str, str], server: datetime) -> tuple[Window, ...]:
    """Read `X-RateLimit-Limit`, `-Remaining` and `-Reset`, with or without the `X`, and those for several windows."""
    found = []
    for prefix in _PREFIXES:
        for ending, seconds in _SPANS.items():
            limit = told.get(f"{prefix}limit{ending}")
            left = _least(told.get(f"{prefix}remaining{ending}"))
            used = _least(told.get(f"{prefix}used{ending}"))
            most = _least(limit) or None
            if most is None and used is not None and left is not None:
                most = used + left
            after = told.get(f"{prefix}reset-after{ending}") or told.get(f"{prefix}reset{ending}")
            reset, coarse = _reset(after, server)
            made = Window(name=f"{prefix}{ending}".strip("-"), limit=most, remaining=left, reset=reset, coarse=coarse)
            window = _sound(replace(made, span=seconds or None))
            if window is not None:
                policies = {str(name): facts for name, facts in _list(limit)} if limit and ";" in limit else {}
                found.append(_with_span(window, policies) if policies else window)
        if found:
            break
    return tuple(found)


def _sound(window: Window) -> Window | None:
    """Return the window with no more left than its limit; None where it says nothing."""
    limit, left = window.limit, window.remaining
    if limit is None and left is None:
        return None
    return window if limit is None or left is None else replace(window, remaining=min(left, limit))


def _shares(told: Mapping[str, str]) -> tuple[Window, ...]:
    """Read `32/40`: so many used of so many, in a bucket that leaks at a rate that is not said."""
    found = _SHARE.fullmatch(told.get("x-shopify-shop-api-call-limit", "").strip())
    if found is None or int(found.group(2)) < 1:
        return ()
    used, limit = int(found.group(1)), int(found.group(2))
    return (Window(name="share", limit=limit, remaining=max(limit - used, 0)),)


def _least(text: str | None) -> int | None:
    """Return the smallest of the numbers with commas between them, rounded down."""
    if text is None:
        return None
    parts = [part.partition(";")[0].strip() for part in text.split(",")]
    numbers = [int(float(part)) for part in parts if _NUMBER.fullmatch(part)]
    return min(*numbers, MOST) if numbers else None


def _reset(text: str | None, server: datetime) -> tuple[float | None, bool]:
    """Return the seconds until a reset, and whether they come of a moment in whole seconds."""
    if text is None:
        return None, False
    numbers = [part.strip() for part in text.split(",")]
    if all(_NUMBER.fullmatch(part) for part in numbers):
        latest = max(numbers, key=float)
        number = float(latest)
        if number < _EPOCH:
            return _bounded(number), False
        moment = number / 1000 if number >= _EPOCH_MS else number
        return _bounded(moment - server.timestamp()), number < _EPOCH_MS and "." not in latest
    spelled = _LENGTH.fullmatch(text.strip())
    if spelled is not None and any(spelled.groups()):
        hours, minutes, seconds, thousandths = (float(part or 0) for part in spelled.groups())
        return _bounded(hours * 3600 + minutes * 60 + seconds + thousandths / 1000), False
    date = _date(text)
    return (None, False) if date is None else (_bounded((date - server).total_seconds()), True)


def _date(text: str) -> datetime | None:
    text = text.strip()
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return None


def _bounded(seconds: float) -> float | None:
    """A moment that has passed is now; one further away than any limit spans is none."""
    return max(seconds, 0.0) if math.isfinite(seconds) and seconds <= LONGEST else None


def _count(value: object, *, least: int = 1) -> int | None:
    return min(value, MOST) if isinstance(value, int) and not isinstance(value, bool) and value >= least else None


def _length(value: object) -> float | None:
    """Return a length of time that a structured field gives."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or value < 0:
        return None
    return _bounded(float(value))


def _span(value: object) -> float | None:
    length = _length(value)
    return None if length is None or length < 1 else length
