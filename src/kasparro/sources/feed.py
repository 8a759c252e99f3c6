"""The bytes of a feed -> its entries, or one clear sentence why it is none."""

import hashlib
import html
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import orjson

from kasparro.errors import Broken
from kasparro.sources.feed_entry import base_of, entry, first_link, text_of
from kasparro.sources.feed_text import decode, without_doctype
from kasparro.sources.feed_xml import Document, parse_xml, restored

_ROOTS = {"rss", "rdf", "feed", "channel", "entry"}
_ROOT = re.compile(r"(?>\s+|<\?.*?\?>|<!--.*?-->|<![^>]*>)*+<(?:[\w.-]+:)?([\w.-]+)", re.DOTALL)
_FEED_LINK = re.compile(r"<link\b[^>]*\btype\s*=\s*[\"']?application/(?:rss|atom)\+xml[^>]*>", re.IGNORECASE)
_HREF = re.compile(r"\bhref\s*=\s*[\"']([^\"']+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry.

    Attributes:
        id: What the publisher calls it, else its link, else a hash of its content.
        text: Its JSON object.
        digest: Hash of the text.
        dated: When it was last changed or published, as ISO 8601; empty where it does not say.
    """

    id: str
    text: bytes
    digest: str
    dated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The whole entries of a feed, in its order.

    Attributes:
        rest: What follows them in a feed that ends too early; None for a whole feed.
    """

    entries: tuple[Entry, ...]
    rest: str | None = None


def parse_feed(
    body: bytes, *, url: str, redact: Callable[[str], str] = str, content_type: str = "", language: str = ""
) -> Feed:
    """Return the entries of a feed.

    Args:
        body: The document.
        url: Where it was found, after redirects; relative links are resolved against it.
        redact: Masks secrets in addresses that an error shows.
        content_type: `Content-Type` of the answer, for its charset.
        language: `Content-Language` of the answer, for entries that name none.

    Raises:
        Broken: It is not a feed, is cut short before its first entry ends, or has an unsafe DOCTYPE.
    """
    origin, text = redact(url), decode(body, content_type)
    if not text.strip():
        raise Broken(f"{origin} answered with nothing, where a feed was expected; ask who serves it")
    text, entities = without_doctype(text, origin)
    _refuse_other_formats(text, url, redact)
    try:
        document = parse_xml(text, entities)
    except Exception as error:  # feedparser has no errors of its own: whatever it throws says that this is no feed
        raise Broken(f"{origin} is not a feed that can be read ({type(error).__name__}); check the address") from error
    _refuse_strangers(document, text, origin)
    return Feed(entries=_entries(document, url, language.strip()), rest=document.rest)


def _refuse_other_formats(text: str, url: str, redact: Callable[[str], str]) -> None:
    origin = redact(url)
    if text.lstrip()[:1] in {"{", "["}:
        raise Broken(f"{origin} answered with JSON, not with RSS or Atom; read it with `type: api`")
    if _root(text) != "html":
        return
    found = _FEED_LINK.search(text)
    link = None if found is None else _HREF.search(found[0])
    if link is not None:
        named = redact(urljoin(base_of(url), html.unescape(link[1])))
        raise Broken(f"{origin} is a web page, not a feed. The feed that it names is {named}")
    remedy = "look for a login in front of it, or for the address of its feed"
    raise Broken(f"{origin} is a web page, not a feed; {remedy}")


def _refuse_strangers(document: Document, text: str, origin: str) -> None:
    root = _root(text)
    if root not in _ROOTS and (document.is_xml or not (document.version and document.entries)):
        named = "" if root is None else f" (it begins with <{root[:40]}>)"
        raise Broken(f"{origin} is not a feed in RSS or Atom{named}; check the address")
    if root == "rdf" and not (document.version or document.entries):
        raise Broken(f"{origin} is RDF, but not an RSS feed; check the address")
    if document.rest is not None and not document.entries:
        raise Broken(f"{origin} is cut short before its first entry ends; ask who serves it")


def _root(text: str) -> str | None:
    """Return the name of the first element in lower case, without its prefix."""
    found = _ROOT.match(text)
    return None if found is None else found[1].lower()


def _entries(document: Document, url: str, language: str) -> tuple[Entry, ...]:
    base, spoken = base_of(url), document.language or language or None
    shared = Counter(first_link(one) for one in document.entries if not one.get("id"))
    found = []
    for one in document.entries:
        fields = entry(one, base, spoken)
        name = _name(one, fields, alone=shared[first_link(one)] <= 1)
        text = bytes(memoryview(orjson.dumps({"id": name, **fields})))  # orjson leaves kilobytes of room behind it
        text = restored(text) if document.private else text
        dated = fields.get("updated") or fields.get("published") or ""
        found.append(Entry(id=name, text=text, digest=digest(text, 6), dated=dated))
    return tuple(found)


def _name(parsed: Mapping[str, Any], fields: Mapping[str, Any], *, alone: bool) -> str:
    """Return what identifies an entry. `alone` is false where others without an id have the same link."""
    given, link = text_of(parsed.get("id")), first_link(parsed)
    if given:
        return given
    told = [fields.get(name, "") for name in ("title", "summary", "content")]
    content = digest("\0".join(told).encode(), 8)
    if link is None:
        return content
    return link if alone else f"{link}#{content}"


def digest(content: bytes, size: int) -> str:
    """Return a hash as `2 * size` hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=size).hexdigest()
