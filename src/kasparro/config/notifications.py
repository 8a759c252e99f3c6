"""Declared channels of notifications: from a flat mapping to values, with every mistake noted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from email.utils import parseaddr
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from kasparro.config.checking import check
from kasparro.config.mistakes import Mistakes, Place
from kasparro.config.suggestions import did_you_mean, not_one_of, shown
from kasparro.errors import Misconfigured
from kasparro.model.duration import read_duration
from kasparro.model.finding import KINDS, Severity
from kasparro.model.notification import Wishes
from kasparro.notify.channels import CHANNELS, Channel, Email, Kind, Slack, Webhook
from kasparro.sources.http_url import origin, query, userinfo

CHANNEL_PATTERN = r"[A-Za-z0-9_-]{1,63}"

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOTHING = re.compile(r"0 ?[smh]?")
_LONG_PART = 16
"""A part of a URL's path with so many characters is taken for a secret of its own."""

_WORDS = "source names, or patterns with * and ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShape:
    """The keys that every channel has, whatever its kind."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    severity: Annotated[Severity, Field(description="Least severity of the findings that are told.")] = "warning"
    kinds: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="Kinds of findings that are told. Unset: all.", examples=[["row_count_low"]]),
    ] = None
    sources: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="Sources that are told of: names, or patterns with * and ?. Unset: all."),
    ] = None
    failures: Annotated[
        bool,
        Field(description="Whether runs that failed, ended in part, were interrupted or could not begin are told."),
    ] = True
    recoveries: Annotated[
        bool, Field(description="Whether it is said once when a source is well again after a failure that was told.")
    ] = True
    repeat_every: Annotated[
        str, Field(description="The same thing is told at most once in so long: 30m, 6h, 1d; 0 tells it each time.")
    ] = "6h"
    group_for: Annotated[
        str, Field(description="What comes within so long is one message: 30s, 5m; 0 waits for nothing.")
    ] = "30s"


SHAPE_KEYS = tuple(field.name for field in fields(ChannelShape))


def declare_channels(
    section: Mapping[str, Any], sources: Sequence[str], mistakes: Mistakes
) -> tuple[tuple[Channel, ...], frozenset[str]]:
    """Return the channels that are sound, and every text of them that is a secret.

    Args:
        section: What stands under `notifications`: channels by name.
        sources: Names that are declared.
        mistakes: Takes what is wrong.
    """
    made = [_channel(name, data, sources, mistakes) for name, data in section.items()]
    channels = tuple(one for one in made if one is not None)
    return channels, frozenset(text for one in channels for text in _secrets(one.kind))


def _channel(name: str, data: object, sources: Sequence[str], mistakes: Mistakes) -> Channel | None:
    place = ("notifications", name)
    if re.fullmatch(CHANNEL_PATTERN, name) is None:
        mistakes.add(place, f"{shown(name)} cannot be the name of a channel; use 1 to 63 letters, digits, _ and -")
    if data is not None and not isinstance(data, dict):
        mistakes.add(place, f"must be a mapping of keys such as type, not {mistakes.shown(place, data) or 'a text'}")
        return None
    given: Mapping[str, Any] = data or {}
    kind_class = _kind_class(given, place, mistakes)
    shape = check(ChannelShape, {key: given[key] for key in SHAPE_KEYS if key in given}, place, mistakes)
    if kind_class is None:
        return None
    own = {key: value for key, value in given.items() if key not in SHAPE_KEYS}
    kind: Kind | None = check(kind_class, own, place, mistakes, also=SHAPE_KEYS)
    if kind is not None:
        _check_kind(kind, place, mistakes)
    if kind is None or shape is None:
        return None
    return Channel(name=name, kind=kind, wishes=_wishes(shape, sources, place, mistakes))


def _kind_class(data: Mapping[str, Any], place: Place, mistakes: Mistakes) -> type | None:
    word, where = data.get("type"), (*place, "type")
    if "type" not in data:
        mistakes.add(place, f'the key "type" is missing; it is one of {", ".join(CHANNELS)}')
    elif isinstance(word, str) and word in CHANNELS:
        return CHANNELS[word]
    else:
        mistakes.add(where, not_one_of(mistakes.shown(where, word), word, list(CHANNELS), {"mail": "email"}))
    return None


def _wishes(shape: ChannelShape, sources: Sequence[str], place: Place, mistakes: Mistakes) -> Wishes:
    for index, kind in enumerate(shape.kinds or ()):
        if kind not in KINDS:
            where = (*place, "kinds", index)
            display = mistakes.shown(where, kind)
            guess = "" if display is None else did_you_mean(kind, KINDS)
            mistakes.add(where, f"{display or 'the value'} is not a kind of finding{guess}")
    for index, name in enumerate(shape.sources or ()):
        if name not in sources and not {"*", "?", "["} & set(name):
            where = (*place, "sources", index)
            display = mistakes.shown(where, name)
            guess = "" if display is None else did_you_mean(name, sources)
            mistakes.add(where, f"{display or 'the value'} is not a declared source; use {_WORDS}{guess}")
    return Wishes(
        severity=shape.severity,
        kinds=shape.kinds or (),
        sources=shape.sources or (),
        failures=shape.failures,
        recoveries=shape.recoveries,
        repeat_every=_span(shape.repeat_every, timedelta(days=30), (*place, "repeat_every"), mistakes),
        group_for=_span(shape.group_for, timedelta(hours=1), (*place, "group_for"), mistakes),
    )


def _span(text: str, most: timedelta, place: Place, mistakes: Mistakes) -> timedelta:
    if _NOTHING.fullmatch(text.strip()):
        return timedelta(0)
    try:
        found = read_duration(text)
    except ValueError:
        display = mistakes.shown(place, text)
        mistakes.add(
            place, f"must be a length of time such as 30s, 5m or 6h{'' if display is None else f', not {display}'}"
        )
        return most
    if found > most:
        mistakes.add(place, f"must be at most {most.days} days" if most.days else "must be at most 1h")
    return found


def _check_kind(kind: Kind, place: Place, mistakes: Mistakes) -> None:
    match kind:
        case Webhook() | Slack():
            _check_url(kind.url.get_secret_value(), (*place, "url"), mistakes)
            for name, value in kind.headers.items():
                if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
                    mistakes.add((*place, "headers", name), "holds characters that HTTP forbids in a header")
        case Email():
            _check_email(kind, place, mistakes)


def _check_url(url: str, place: Place, mistakes: Mistakes) -> None:
    try:
        origin(url)
    except (Misconfigured, ValueError):
        mistakes.add(place, "is not an http(s) address; it must look like https://host/path")


def _check_email(kind: Email, place: Place, mistakes: Mistakes) -> None:
    if _HOST.fullmatch(kind.host) is None:
        mistakes.add((*place, "host"), "is not the name of a host; write smtp.example.com, and the port under port")
    _check_address(kind.sender, (*place, "from"), mistakes)
    if isinstance(kind.to, str):
        _check_address(kind.to, (*place, "to"), mistakes)
    elif not kind.to:
        mistakes.add((*place, "to"), "is empty")
    else:
        for index, address in enumerate(kind.to):
            _check_address(address, (*place, "to", index), mistakes)
    if (kind.username is None) != (kind.password is None):
        there, missing = ("password", "username") if kind.username is None else ("username", "password")
        mistakes.add(place, f'the key "{missing}" is missing, which goes with {there}')
    if kind.password is not None and kind.security == "none" and not _is_loopback(kind.host):
        mistakes.add((*place, "security"), "none would send the password unencrypted; use starttls or tls")


def _check_address(written: str, place: Place, mistakes: Mistakes) -> None:
    """Note an address that is none, or that could add a header or another recipient to the mail."""
    _, address = parseaddr(written)
    if _CONTROL.search(written) or _ADDRESS.fullmatch(address) is None or written.count("@") != 1 or "," in written:
        display = mistakes.shown(place, written)
        subject = "is not an address" if display is None else f"{display} is not an address"
        mistakes.add(place, f"{subject}; write name@example.com in ASCII, or Name <name@example.com>")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secrets(kind: Kind) -> list[str]:
    """Return what must never be shown: the whole URL of a webhook, and the parts of it that let somebody in."""
    match kind:
        case Email():
            return [] if kind.password is None else [kind.password.get_secret_value()]
        case Webhook() | Slack():
            from kasparro.config.hashing import secrets_of  # noqa: PLC0415 - only where there are channels

            url = kind.url.get_secret_value()
            try:
                parts = urlsplit(url)
            except ValueError:  # told of as a mistake
                return [url, *secrets_of(kind)]
            long = [part for part in parts.path.split("/") if len(part) >= _LONG_PART]
            values = [value for _, value in query(url) if len(value) >= _LONG_PART // 2]
            path = [parts.path] if long or parts.query else []
            user = userinfo(url)[1] or ()
            return [url, *path, *long, *values, *([parts.query] if parts.query else []), *user, *secrets_of(kind)]
