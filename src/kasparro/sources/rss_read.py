"""Reads a feed, and makes pages of what is new in it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from kasparro.model.page import Bookmark, JsonRecords, Page, Reject
from kasparro.sources.feed import Entry, Feed, digest, parse_feed
from kasparro.sources.feed_memory import distinct, mark, remembered, unknown
from kasparro.sources.feed_xml import prepare
from kasparro.sources.tools import Answer, Request, Tools

if TYPE_CHECKING:
    from kasparro.sources.rss import Rss

_ACCEPT = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
)
_NOT_MODIFIED = 304
_MOST_RAW = 65_536
"""Characters of a cut feed that its reject keeps."""


async def pages(rss: "Rss", bookmark: Bookmark, tools: Tools) -> AsyncIterator[Page]:
    """Yield the entries that are new or were edited, as `Rss.read` tells."""
    conditions = _conditions(rss.url, bookmark)
    headers = {"Accept": _ACCEPT, **conditions}
    answer = await tools.http.fetch(
        Request(url=rss.url, headers=headers, expect=(_NOT_MODIFIED,) if conditions else ())
    )
    if answer.status == _NOT_MODIFIED:
        return
    prepare()
    feed = await asyncio.to_thread(
        parse_feed,
        answer.body,
        url=answer.url,
        redact=tools.redact,
        content_type=answer.headers.get("content-type", ""),
        language=answer.headers.get("content-language", ""),
    )
    for page in _pages(rss, feed, answer, bookmark, tools):
        yield page


def _conditions(url: str, bookmark: Bookmark) -> dict[str, str]:
    """Return the headers that ask for news only, with the validators as the server of this address wrote them."""
    if bookmark.get("of") != digest(url.encode(), 6):
        return {}
    asked = {"If-None-Match": bookmark.get("etag"), "If-Modified-Since": bookmark.get("last_modified")}
    return {name: value for name, value in asked.items() if value}


def _pages(rss: "Rss", feed: Feed, answer: Answer, bookmark: Bookmark, tools: Tools) -> Iterator[Page]:
    """Yield what is new. Only the last page may say that the feed as it is now has been read.

    A page without records is yielded where there are rejects, or new validators that will save the next download.
    """
    origin = tools.redact(rss.url)
    seen, reported = bookmark.get("seen", ()), bookmark.get("reported", ())
    entries, aside = distinct(feed.entries)
    fresh = unknown(entries, seen)
    rejects = (*_doubles(unknown(aside, reported), origin), *_cut(feed, origin))
    marks = remembered(seen, entries, (), rss.remember)
    last = {"seen": marks, "reported": [mark(one) for one in aside], **_validators(rss.url, feed, answer)}
    if not fresh and not rejects and last == dict(bookmark):
        return
    for start, end in _cuts(fresh, tools):
        texts = [one.text for one in fresh[start:end]]
        is_last = end == len(fresh)
        waiting = {"seen": remembered(seen, entries, fresh[end:], rss.remember), "reported": list(reported)}
        yield Page(
            content=b"[" + b",".join(texts) + b"]",
            content_type="application/json",
            records=JsonRecords(texts=texts, origin=origin, first=start),
            rejects=rejects if is_last else (),
            bookmark=last if is_last else waiting,
            origin=origin,
            bytes_read=0 if start else len(answer.body),
            done=end / len(fresh) if fresh else 1.0,
        )


def _validators(url: str, feed: Feed, answer: Answer) -> dict[str, str]:
    """Return what the next read asks with. After a cut feed it must ask for all of it again."""
    named = {"etag": answer.headers.get("etag"), "last_modified": answer.headers.get("last-modified")}
    held = {name: value for name, value in named.items() if value}
    return {"of": digest(url.encode(), 6), **held} if held and feed.rest is None else {}


def _cuts(entries: Sequence[Entry], tools: Tools) -> list[tuple[int, int]]:
    """Return where pages begin and end; one empty page where there are no entries."""
    cuts, start, size = [], 0, 0
    for index, one in enumerate(entries):
        if index > start and (index - start >= tools.page_records or size + len(one.text) > tools.page_bytes):
            cuts.append((start, index))
            start, size = index, 0
        size += len(one.text)
    return [*cuts, (start, len(entries))]


def _doubles(entries: Sequence[Entry], origin: str) -> tuple[Reject, ...]:
    reason = "another entry of the feed has the same id and a later date, or stands before it; that one was loaded"
    return tuple(
        Reject(place=origin, path="id", code="duplicate_id", reason=reason, value=one.id, raw=one.text.decode())
        for one in entries
    )


def _cut(feed: Feed, origin: str) -> tuple[Reject, ...]:
    if feed.rest is None:
        return ()
    reason = "the feed ends before its end tag; its whole entries were loaded, what follows them could not be read"
    place = f"{origin}#{len(feed.entries)}"
    return (Reject(place=place, code="truncated", reason=reason, raw=feed.rest[:_MOST_RAW].replace("\0", "\ufffd")),)
