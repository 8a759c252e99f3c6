"""Two parsers for feeds: a strict one, and one for the many feeds whose XML is broken.

feedparser's classes do the work; here they are kept from what they should not do with other people's bytes. They get
text without a DOCTYPE, never an address or a file name; HTML is neither sanitised nor rewritten; and a document that
ends too early is told apart from one that is written badly.
"""

import io
import re
import xml.sax
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from xml.parsers.expat import ExpatError, errors
from xml.sax.handler import feature_namespaces
from xml.sax.xmlreader import InputSource

from feedparser.api import LooseFeedParser, StrictFeedParser

from kasparro.sources.feed_text import mended

_ENDS: Mapping[int, Literal["whole", "early"]] = {
    errors.codes[errors.XML_ERROR_NO_ELEMENTS]: "early",
    errors.codes[errors.XML_ERROR_UNCLOSED_TOKEN]: "early",
    errors.codes[errors.XML_ERROR_PARTIAL_CHAR]: "early",
    errors.codes[errors.XML_ERROR_UNCLOSED_CDATA_SECTION]: "early",
    errors.codes[errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]: "whole",
}
"""Errors of expat about the end of a document; every other one is about its XML."""

_ENCODING = "utf8"
"""Not spelled `utf-8`: under that name feedparser also rewrites texts that look as if they were encoded twice."""

_MARK = re.compile(r"<!--|<!\[CDATA\[|</(?:[\w.-]+:)?(?:item|entry)\s*>", re.IGNORECASE)
_CLOSING = {"<!--": "-->", "<![CDATA[": "]]>"}
_FEED_END = re.compile(r"</(?:[\w.-]+:)?(?:rss|rdf|feed|channel)\s*(?:>|\Z)", re.IGNORECASE)

_C1 = {code: 0x10FF00 + code for code in range(0x80, 0xA0)}
_C1_BACK = {there: here for here, there in _C1.items()}
_HAS_C1 = re.compile("[\x80-\x9f]")
_HAS_PRIVATE = re.compile("[\U0010ff80-\U0010ff9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a parser found.

    Attributes:
        entries: One plain dict each, as feedparser fills them.
        version: `rss20`, `atom10`, ...; empty where no feed was recognised.
        rest: What follows the last whole entry of a feed that ends too early; None for a whole feed.
        is_xml: It is well-formed; otherwise the lenient parser was at work.
        private: C1 control characters stand in the private use area; `restored` brings them back.
    """

    entries: tuple[Mapping[str, Any], ...]
    language: str | None
    version: str
    rest: str | None
    is_xml: bool
    private: bool


def prepare() -> None:
    """Fill feedparser's table of namespaces: its first parser does it, and not safely between threads."""
    StrictFeedParser("", None, _ENCODING)


def parse_xml(text: str, entities: Mapping[str, str]) -> Document:
    """Return what stands in a feed. feedparser may throw anything at what is not a feed."""
    private = _HAS_C1.search(text) is not None and _HAS_PRIVATE.search(text) is None
    shielded = text.translate(_C1) if private else text  # feedparser would read them as Windows-1252
    parser, end = _strict(shielded)
    if end == "broken":
        parser = _loose(shielded, entities)
    rest = None if end == "whole" else _missing(text, len(parser.entries), is_open=bool(parser.inentry))
    entries = parser.entries[:-1] if rest is not None and parser.inentry else parser.entries
    return Document(
        entries=tuple(dict(one) for one in entries),
        language=parser.feeddata.get("language"),
        version=parser.version or "",
        rest=rest,
        is_xml=end != "broken",
        private=private,
    )


def restored(text: bytes) -> bytes:
    """Return the JSON of an entry with its C1 control characters where they were."""
    return text.decode().translate(_C1_BACK).encode()


def _strict(text: str) -> tuple[Any, Literal["whole", "early", "broken"]]:
    """Return the parser, and whether the document is whole, ends too early, or is not XML."""
    parser = StrictFeedParser("", None, _ENCODING)
    parser.resolve_relative_uris = parser.sanitize_html = False
    reader = xml.sax.make_parser()  # noqa: S317 - there is no DOCTYPE in the text, and so no entity
    reader.setFeature(feature_namespaces, True)
    reader.setContentHandler(parser)
    reader.setErrorHandler(parser)
    source = InputSource()
    source.setEncoding("utf-8")
    source.setByteStream(io.BytesIO(text.encode()))
    try:
        reader.parse(source)
    except xml.sax.SAXParseException as error:
        cause = error.getException()
        return parser, _ENDS.get(cause.code if isinstance(cause, ExpatError) else 0, "broken")
    except (xml.sax.SAXException, LookupError, TypeError, ValueError, AttributeError):
        return parser, "broken"  # an undeclared prefix, or something that trips feedparser: the other parser may do
    return parser, "whole"


def _loose(text: str, entities: Mapping[str, str]) -> Any:  # noqa: ANN401 - feedparser has no types
    parser = LooseFeedParser("", None, _ENCODING, dict(entities))
    parser.resolve_relative_uris = parser.sanitize_html = False
    parser.feed(mended(text))
    return parser


def _missing(text: str, found: int, *, is_open: bool) -> str | None:
    """Return what follows the last whole entry, or None where nothing is missing.

    Args:
        text: The document.
        found: How many entries the parser found.
        is_open: The last of them was not closed.
    """
    ends = _entry_ends(text)
    tail = text[ends[-1] if ends else 0 :]
    if _FEED_END.search(tail) is not None and len(ends) <= found:
        return None
    whole = found - is_open
    return text[ends[whole - 1] :] if 0 < whole <= len(ends) else tail


def _entry_ends(text: str) -> list[int]:
    """Return where each entry ends. What is commented out or quoted does not count, unless it is never closed."""
    ends: list[int] = []
    unclosed: set[str] = set()
    at = 0
    while (found := _MARK.search(text, at)) is not None:
        at = found.end()
        opening = found[0].upper()
        if opening not in _CLOSING:
            ends.append(at)
        elif opening not in unclosed:
            close = text.find(_CLOSING[opening], at)
            at = at if close < 0 else close
            unclosed |= {opening} if close < 0 else set()
    return ends
