"""What to ask for next: from one answer to the position of the following one, or the end."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from kasparro.errors import Broken
from kasparro.sources.api_path import find, steps_of
from kasparro.sources.paging import Auto, Cursor, HeaderLink, NextUrl, Offset, PageNumber, Paging, SinglePage

_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[\w*!#$&+.^`|~-]+\s*(?:=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s\",;]*))?)*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s\",;]+))", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a walk stands: what differs between the requests of its pages.

    Attributes:
        url: The address, when the API hands out addresses.
        params: Parameters by name, when it hands out tokens or is counted.
        scheme: What `auto` has found.
        base: Number of the first page, where `auto` counts pages.
    """

    url: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    scheme: str | None = None
    base: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer, as far as paging looks at it.

    Attributes:
        value: Its parsed JSON; None when it has none.
        headers: Names in lower case.
        count: Records in it.
        walked: Records of the pass so far, these included.
        at: Its own position.
    """

    value: Any
    headers: Mapping[str, str]
    count: int
    walked: int
    at: Position


def first_position(paging: Paging) -> Position:
    """Return where a pass begins."""
    match paging:
        case Offset():
            return Position(params={paging.offset_param: paging.start} if paging.send_first else {})
        case PageNumber():
            return Position(params={paging.page_param: paging.start} if paging.send_first else {})
        case Cursor():
            return Position(params={} if paging.first is None else {paging.param: paging.first})
        case Auto() | SinglePage() | NextUrl() | HeaderLink():
            return Position()
        case _:
            assert_never(paging)


def fixed_params(paging: Paging) -> dict[str, Any]:
    """Return the parameters of every request: the page size."""
    match paging:
        case Offset() | PageNumber() | Cursor():
            return {} if paging.size is None else {paging.size_param: paging.size}
        case Auto() | SinglePage() | NextUrl() | HeaderLink():
            return {}
        case _:
            assert_never(paging)


def declared_next(paging: Offset | PageNumber | Cursor | NextUrl | HeaderLink, seen: Seen) -> Position | None:
    """Return the next position, or None at the end. `auto` has a module of its own.

    Raises:
        Broken: a value that decides about the end is not what it must be.
    """
    match paging:
        case Offset():
            start = int(seen.at.params.get(paging.offset_param, paging.start))
            ended = _ended(paging, seen) or _reached(paging.total, seen, start - paging.start + seen.count)
            return None if ended else Position(params={paging.offset_param: start + seen.count})
        case PageNumber():
            number = int(seen.at.params.get(paging.page_param, paging.start))
            done = number - paging.start + 1
            ended = _ended(paging, seen) or _reached(paging.total_pages, seen, done)
            ended = ended or _reached(paging.total, seen, seen.walked)
            return None if ended else Position(params={paging.page_param: number + 1})
        case Cursor():
            return _after_cursor(paging, seen)
        case NextUrl():
            url = find(seen.value, steps_of(paging.next))
            return url_position(url, f"the next address at `{paging.next}`")
        case HeaderLink():
            return url_position(link(seen.headers.get("link", ""), paging.rel), "the address in the Link header")
        case _:
            assert_never(paging)


def url_position(url: object, name: str, scheme: str | None = None) -> Position | None:
    """Return the position of an address as the answer gives it; missing, null, false and empty end the walk."""
    if url is None or url is False or url == "":
        return None
    if not isinstance(url, str):
        raise Broken(f"{name} is not an address but {str(url)[:60]!r}")
    return Position(url=url, scheme=scheme)


def link(header: str, rel: str) -> str | None:
    """Return the target of the first link with this relation."""
    for target, parameters in _LINK.findall(header):
        relations = [quoted or plain for quoted, plain in _REL.findall(parameters)]
        if any(rel.lower() in one.lower().split() for one in relations):
            return str(target)
    return None


def number_at(value: object, path: str) -> int | None:
    """Return the whole number at the path, also when it is written as text; None when nothing is there.

    Raises:
        Broken: something else is there.
    """
    found = find(value, steps_of(path))
    if found is None:
        return None
    try:
        whole = int(found) if isinstance(found, int | str | float) and not isinstance(found, bool) else None
    except (ValueError, OverflowError):
        whole = None  # said below
    if whole is None:
        raise Broken(f"`{path}` of the answer is not a whole number but {str(found)[:60]!r}")
    return whole


def truth(value: object) -> bool:
    """Return whether a flag is set, as a boolean, a number or a text."""
    return value.strip().lower() in {"true", "yes", "1", "y"} if isinstance(value, str) else bool(value)


def share(paging: Paging, seen: Seen) -> float | None:
    """Return how much of the pass has been read, 0 to 1, where the answer tells the whole."""
    match paging:
        case Offset() | PageNumber() if paging.total is not None:
            whole, done = number_at(seen.value, paging.total), seen.walked
        case PageNumber() if paging.total_pages is not None:
            whole = number_at(seen.value, paging.total_pages)
            done = int(seen.at.params.get(paging.page_param, paging.start)) - paging.start + 1
        case _:
            return None
    return min(1.0, done / whole) if whole else None


def _ended(paging: Offset | PageNumber, seen: Seen) -> bool:
    if paging.stop_on_empty and seen.count == 0:
        return True
    return paging.has_more is not None and not truth(find(seen.value, steps_of(paging.has_more)))


def _reached(path: str | None, seen: Seen, done: int) -> bool:
    whole = None if path is None else number_at(seen.value, path)
    return whole is not None and done >= whole


def _after_cursor(paging: Cursor, seen: Seen) -> Position | None:
    if paging.has_more is not None and not truth(find(seen.value, steps_of(paging.has_more))):
        return None
    if paging.cursor_header is not None:
        token: object = seen.headers.get(paging.cursor_header.lower())
        token = None if token == "" else token
    else:
        token = find(seen.value, steps_of(paging.cursor or ""))
    if token is None or token in paging.end_values:
        return None
    if isinstance(token, dict):
        return Position(params=token) if token else None
    if isinstance(token, list):
        raise Broken(f"the token at `{paging.cursor}` is a list")
    return Position(params={paging.param: token})
