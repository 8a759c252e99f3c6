"""`pagination: auto`: recognise how an API pages from its first answer, and hold on to that.

Looked for in this order; the first that is there decides for the whole pass:

1. a `Link` header with `rel="next"`;
2. an address of the next page: `next`, `next_url`, `nextLink`, `next_page`, `@odata.nextLink`, … at the top or in
   `links`, `_links`, `meta`, `paging`, `pagination`, `info`, …;
3. a token: `next_cursor`, `nextPageToken`, `next_page_token`, `continuation_token`, `after`, … in the same places,
   sent back under the name that belongs to it;
4. a header: `X-Next-Page`, `Next-Page`, `X-Next-Cursor`, `Next-Cursor`;
5. the page's number and how many there are: `page` of `total_pages`, …;
6. the offset and the total: `offset`, `skip` or `startAt` with `total`;
7. `has_more` with a page number or an offset.

An answer that has none of these is the only one. One that says that more follow but not how is an error, so that
nothing is left out in silence.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from kasparro.errors import Misconfigured
from kasparro.sources.api_next import Position, Seen, link, number_at, truth, url_position

_PLACES = (
    *("links", "_links", "meta", "_meta", "metadata", "paging", "pagination", "page_info", "pageInfo", "info"),
    *("response_metadata", "cursors", "page", "cursor"),
)
_URLS = (
    *("next", "next_url", "nextUrl", "next_link", "nextLink", "nextPage", "next_page", "next_page_url", "nextPageUrl"),
    *("@odata.nextLink", "odata.nextLink", "@nextLink", "next_href", "nextHref"),
)
_TOKENS = {
    "next_cursor": "cursor",
    "nextCursor": "cursor",
    "nextPageToken": "pageToken",
    "next_page_token": "page_token",
    "nextToken": "nextToken",
    "next_token": "next_token",
    "NextToken": "NextToken",
    "continuationToken": "continuationToken",
    "continuation_token": "continuation_token",
    "next_page_id": "page_id",
    "next_page": "page",
    "nextPage": "page",
    "next_offset": "offset",
    "nextOffset": "offset",
    "next": "cursor",
    "after": "after",
    "end_cursor": "after",
    "endCursor": "after",
}
_HEADERS = {"x-next-page": "page", "next-page": "page", "x-next-cursor": "cursor", "next-cursor": "cursor"}
_PAGES = ("page", "current_page", "currentPage", "page_number", "pageNumber", "number")
_TOTAL_PAGES = ("total_pages", "totalPages", "page_count", "pageCount", "last_page", "lastPage", "num_pages", "pages")
_OFFSETS = ("offset", "skip", "startAt", "start")
_TOTALS = ("total", "total_count", "totalCount", "totalResults", "total_results")
_MORE = ("has_more", "hasMore", "has_next", "hasNext", "has_next_page", "hasNextPage", "more")
_ADDRESS = re.compile(r"https?://|/|[\w./~-]*\?[\w.$\[\]-]+=")
_WHOLE = re.compile(r"\d{1,18}")
COUNTED = frozenset({"page", "offset", "more"})
"""Schemes in which we count, and so would not notice by the position that an API does not know the parameter."""

_END: Final = Position()
"""The scheme is there, and says that this was the last page. None says that the scheme is not there."""


def auto_next(seen: Seen, *, enveloped: bool) -> Position | None:
    """Return the next position, or None at the end.

    Args:
        seen: The answer.
        enveloped: The records are below the top of the answer, so that its other keys speak about the page; else only
            headers do.
    """
    schemes = (_by_link, _by_url, _by_token, _by_header, _by_page, _by_offset, _by_more)
    for scheme in schemes:
        name = scheme.__name__.removeprefix("_by_")
        if seen.at.scheme not in {None, name} or (not enveloped and name not in {"link", "header"}):
            continue
        found = scheme(seen)
        if found is not None:
            return None if found is _END else found
    return None


def _by_link(seen: Seen) -> Position | None:
    target = link(seen.headers.get("link", ""), "next")
    return None if target is None else url_position(target, "the Link header", "link")


def _by_url(seen: Seen) -> Position | None:
    for _, holder in _holders(seen.value):
        for key in _URLS:
            target = holder.get(key)
            if isinstance(target, dict):
                target = next((target[name] for name in ("href", "url", "uri", "link") if name in target), None)
            if isinstance(target, str) and _ADDRESS.match(target):
                return url_position(target, f"`{key}`", "url")
    return None


def _by_token(seen: Seen) -> Position | None:
    for _, holder in _holders(seen.value):
        flag = next((holder[name] for name in _MORE if name in holder), True)
        for key, param in _TOKENS.items():
            token = holder.get(key)
            if isinstance(token, dict) and key == "next":
                token, param = token.get("after"), "after"  # noqa: PLW2901 - the dict names its own
            if token == "" or isinstance(token, bool) or not isinstance(token, str | int | float):
                continue
            counted = key == "next" and param == "cursor" and isinstance(token, int)
            found = Position(params={"page" if counted else param: token}, scheme="token")
            return found if truth(flag) else _END
    return None


def _by_header(seen: Seen) -> Position | None:
    for name, param in _HEADERS.items():
        if name in seen.headers:
            token = seen.headers[name].strip()
            return Position(params={param: token}, scheme="header") if token else _END
    return None


def _by_page(seen: Seen) -> Position | None:
    for prefix, holder in _holders(seen.value):
        page, pages = _number(holder, _PAGES), _scalar(holder, _TOTAL_PAGES)
        if page is None or pages is None:
            continue
        whole = number_at(seen.value, f"{prefix}{pages}") or 0
        base = min(page[1], 1) if seen.at.scheme is None else seen.at.base
        if page[1] - base + 1 >= whole or seen.count == 0:
            return _END
        return Position(params={_page_param(page[0]): page[1] + 1}, scheme="page", base=base)
    return None


def _by_offset(seen: Seen) -> Position | None:
    for prefix, holder in _holders(seen.value):
        offset, total = _number(holder, _OFFSETS), _scalar(holder, _TOTALS)
        if offset is None or total is None:
            continue
        reached = offset[1] + seen.count
        if reached >= (number_at(seen.value, f"{prefix}{total}") or 0) or seen.count == 0:
            return _END
        return Position(params={offset[0]: reached}, scheme="offset")
    return None


def _by_more(seen: Seen) -> Position | None:
    for prefix, holder in _holders(seen.value):
        flag = _scalar(holder, _MORE)
        if flag is None:
            continue
        if not truth(holder[flag]) or (seen.count == 0 and seen.at.scheme is not None):
            return _END
        offset, page = _number(holder, _OFFSETS), _number(holder, _PAGES)
        if offset is not None:
            return Position(params={offset[0]: offset[1] + seen.count}, scheme="more")
        if page is not None:
            return Position(params={_page_param(page[0]): page[1] + 1}, scheme="more")
        raise Misconfigured(
            f"the answer says `{prefix}{flag}` but not how to ask for the next page; declare `pagination`"
        )
    return None


def _holders(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects that may speak about the page, each with its path and a dot."""
    if not isinstance(value, dict):
        return
    yield "", value
    for place in _PLACES:
        below = value.get(place)
        if isinstance(below, dict):
            yield f"{place}.", below
            for deeper in _PLACES:
                if isinstance(below.get(deeper), dict):
                    yield f"{place}.{deeper}.", below[deeper]


def _scalar(holder: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if isinstance(holder.get(name), str | int | float)), None)


def _number(holder: dict[str, Any], names: tuple[str, ...]) -> tuple[str, int] | None:
    """Return the first of the names that holds a whole number, and the number."""
    for name in names:
        value = holder.get(name)
        if not isinstance(value, bool) and _WHOLE.fullmatch(str(value)):
            return name, int(str(value))
    return None


def _page_param(key: str) -> str:
    return "page" if key in {"current_page", "currentPage", "number"} else key
