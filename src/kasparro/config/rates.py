"""Declared rate limits: of a source, and of hosts for all sources."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from kasparro.config.checking import check
from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.shapes import MOST_WAIT, HostShape, RateLimitShape
from kasparro.model.duration import read_duration
from kasparro.model.rate import Rate, RateLimit, read_rates
from kasparro.model.source import Declared
from kasparro.resilience.parking import LONGEST_WAIT
from kasparro.sources.http_caller import budget_of

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?(:\d{1,5})?|\[[0-9a-f:.]+\](:\d{1,5})?")

_LAST_PORT = 65_535


def declare_limit(given: str | RateLimitShape, place: Place, mistakes: Mistakes) -> RateLimit | None:
    """Return the limit of a source, or None with mistakes noted."""
    if isinstance(given, str):
        return _limit(HostShape(rate_limit=given), place, place, mistakes)
    if given.requests is None and given.concurrency is None and given.longest_wait is None:
        if not mistakes.has(place):  # else what stands there is wrong, and was left out
            mistakes.add(place, "says nothing; give requests, concurrency or longest_wait")
        return None
    wishes = HostShape(rate_limit=given.requests, concurrency=given.concurrency, longest_wait=given.longest_wait)
    return _limit(wishes, place, (*place, "requests"), mistakes)


def declare_hosts(section: Mapping[str, object], mistakes: Mistakes) -> Mapping[str, RateLimit]:
    """Return the limits of hosts that are sound.

    Args:
        section: What stands under `hosts`: by `host` or `host:port`.
        mistakes: Takes what is wrong.
    """
    found: dict[str, RateLimit] = {}
    for name, data in section.items():
        place = ("hosts", name)
        if _HOST.fullmatch(name) is None:
            mistakes.add(place, f"is not a host such as api.example.com or api.example.com:8443{_meant(name)}")
            continue
        if not 0 < _port(name) <= _LAST_PORT:
            mistakes.add(place, f"has a port that is not from 1 to {_LAST_PORT}")
            continue
        if not isinstance(data, dict):
            mistakes.add(place, "must be a mapping of rate_limit, concurrency and longest_wait")
            continue
        shape = check(HostShape, data, place, mistakes)
        if shape is None:
            continue
        if shape.rate_limit is None and shape.concurrency is None:
            if not mistakes.has(place):
                mistakes.add(place, "limits nothing; give rate_limit or concurrency")
            continue
        limit = _limit(shape, place, (*place, "rate_limit"), mistakes)
        host = name.removesuffix(":443").removesuffix(":80")
        if host in found:
            mistakes.add(place, f"is the host {host} again: ports 80 and 443 are one budget; name it once")
        elif limit is not None:
            found[host] = limit
    return found


def notes_of_limits(sources: Sequence[Declared], hosts: Mapping[str, RateLimit], mistakes: Mistakes) -> list[str]:
    """Return a sentence for each source that shares a budget with something stricter: that is what holds.

    Args:
        sources: Those that declare a limit.
        hosts: What is declared for hosts.
        mistakes: Knows files and lines.
    """
    strictest: dict[tuple[str, float], tuple[int, str]] = {}
    shared = {source.name: budget_of(source, hosts) for source in sources}
    limits = [(shared[one.name] or "", f"sources.{one.name}", one.rate_limit) for one in sources]
    limits += [(host, f"hosts.{host}", limit) for host, limit in hosts.items()]
    for budget, who, limit in limits:
        for rate in () if not budget or limit is None else limit.rates:
            key = (budget, rate.seconds)
            strictest[key] = min(strictest.get(key, (rate.count, who)), (rate.count, who))
    notes = []
    for source in sources:
        for rate in () if source.rate_limit is None else source.rate_limit.rates:
            count, who = strictest.get((shared[source.name] or "", rate.seconds), (rate.count, ""))
            if count < rate.count:
                strict = Rate(count=count, seconds=rate.seconds)
                said = f"{rate} shares its budget with {who}, whose {strict} holds for both"
                notes.append(mistakes.remark(("sources", source.name, "rate_limit"), said))
    return notes


def _limit(wishes: HostShape, place: Place, rates: Place, mistakes: Mistakes) -> RateLimit | None:
    read = () if wishes.rate_limit is None else _read(wishes.rate_limit, rates, mistakes)
    wait = wishes.longest_wait
    longest = LONGEST_WAIT if wait is None else _seconds(wait, (*place, "longest_wait"), mistakes)
    if read is None or longest is None:
        return None
    return RateLimit(rates=read, concurrency=wishes.concurrency, longest_wait=longest)


def _read(text: str, place: Place, mistakes: Mistakes) -> tuple[Rate, ...] | None:
    try:
        return read_rates(text)
    except ValueError as error:
        hidden = mistakes.shown(place, text) is None
        mistakes.add(place, "is not a rate limit such as 10/s" if hidden else str(error))
    return None


def _seconds(wait: str | float, place: Place, mistakes: Mistakes) -> float | None:
    if not isinstance(wait, str):
        return float(wait)
    try:
        seconds = read_duration(wait).total_seconds()
    except ValueError:
        mistakes.add(place, "is a length of time such as 30s or 2m, or a number of seconds")
        return None
    if seconds > MOST_WAIT:
        mistakes.add(place, "is at most a day; the run is parked where it would be longer")
        return None
    return seconds


def _port(name: str) -> int:
    """Return the port behind a host, brackets of an IPv6 address among it; 443 where there is none."""
    _, colon, port = name.rpartition("]")[2].rpartition(":")
    return int(port) if colon else 443


def _meant(name: str) -> str:
    """Return the host of what looks like an address."""
    try:
        host = urlsplit(name if "//" in name else f"//{name}").netloc.rpartition("@")[2].lower()
    except ValueError:  # a bracket that is open, or holds no address
        return ""
    return f'; did you mean "{host}"?' if _HOST.fullmatch(host) else ""
