"""One entry of a feed as a flat JSON object, whatever dialect of RSS or Atom it came from.

Text stays as the feed has it, HTML included: nothing is sanitised and links inside HTML are not rewritten, so whoever
shows it must escape or sanitise it. Addresses that stand for themselves (`link`, enclosures) are made absolute.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from kasparro.sources.feed_dates import iso

Parsed = Mapping[str, Any]
"""What feedparser made of one entry, as a plain dict."""

_DATES = ("published", "updated", "created", "expired")
_READ = frozenset({"id", "guidislink", "title", "links", "link", "summary", "content", "author", "authors", "tags"})
_READ |= {"author_detail", "comments", "language", *_DATES}
"""Keys of feedparser that are read by name."""
_OURS = _READ | {"title_type", "summary_type", "content_type", "content_src", "contents", "categories", "enclosures"}
_OURS |= {"base", *(f"{name}_text" for name in _DATES)}
_PLAIN, _HTML = "text/plain", "text/html"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LONG = 2**63


def entry(parsed: Parsed, base: str, language: str | None) -> dict[str, Any]:
    """Return the entry without its `id`; what it does not have is left out.

    Args:
        parsed: The entry as feedparser gives it, converted to a plain dict.
        base: Address of the feed, without credentials and query, that relative links are resolved against.
        language: Language of the feed, for entries that name none.
    """
    found = {
        "title": text_of(parsed.get("title")),
        "title_type": _type(_detail(parsed, "title"), _PLAIN),
        "link": _absolute(first_link(parsed), base),
        **_texts(parsed),
        **_authors(parsed),
        **_dates(parsed),
        **_categories(parsed),
        **_links(parsed, base),
        "comments": _absolute(text_of(parsed.get("comments")), base),
        "language": _first(parsed, "language") or language,
        "base": _absolute(_first(parsed, "base"), base),
        **_others(parsed),
    }
    return {name: value for name, value in found.items() if value is not None and value not in ("", [])}


def first_link(parsed: Parsed) -> str | None:
    """Return the address of the entry as the feed writes it."""
    links = [one for one in _members(parsed, "links") if one.get("rel") == "alternate" and one.get("href")]
    pages = [text_of(one["href"]) for one in links if one.get("type") in {_HTML, "application/xhtml+xml"}]
    others = [text_of(one["href"]) for one in links]
    return next((one for one in (*pages[-1:], text_of(parsed.get("link")), *others) if one), None)


def base_of(url: str) -> str:
    """Return an address without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def text_of(value: object) -> str | None:
    """Return a text that JSON and PostgreSQL can hold: NUL and lone surrogates are replaced."""
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd") if isinstance(value, str) else None


def _members(parsed: Parsed, name: str) -> list[Mapping[str, Any]]:
    """Return a list of feedparser. A feed may have an element of its name that nobody knows, with anything in it."""
    value = parsed.get(name)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _detail(parsed: Parsed, name: str) -> Mapping[str, Any]:
    value = parsed.get(f"{name}_detail")
    return value if isinstance(value, Mapping) else {}


def _absolute(address: str | None, base: str) -> str | None:
    if not address or _SCHEME.match(address) is not None:
        return address
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _texts(parsed: Parsed) -> dict[str, Any]:
    """Return summary and content. feedparser copies a content to the summary where there is none: not taken."""
    contents = [one for one in _members(parsed, "content") if one.get("value") or one.get("src")]
    first = contents[0] if contents else {}
    copied = "summary_detail" not in parsed and parsed.get("summary") in {one.get("value") for one in contents}
    return {
        "summary": None if copied else text_of(parsed.get("summary")),
        "summary_type": _type(_detail(parsed, "summary"), _HTML),
        "content": text_of(first.get("value")),
        "content_type": _type(first, _HTML),
        "content_src": text_of(first.get("src")),
        "contents": [{"type": one.get("type"), "value": text_of(one.get("value"))} for one in contents[1:]],
    }


def _type(detail: Mapping[str, Any], usual: str) -> str | None:
    """Return the media type of a text where it is not the usual one."""
    kind = text_of(detail.get("type"))
    return None if kind == usual else kind


def _authors(parsed: Parsed) -> dict[str, Any]:
    people = [one for one in map(plain, _members(parsed, "authors")) if one]
    told = len(people) > 1 or any(set(one) != {"name"} for one in people)
    return {"author": text_of(parsed.get("author")), "authors": people if told else None}


def _dates(parsed: Parsed) -> dict[str, str | None]:
    """Return each date as ISO 8601, or as it was written under `…_text` where it cannot be read."""
    found: dict[str, str | None] = {}
    for name in _DATES:
        written = text_of(parsed.get(name))
        if written:
            found[name] = iso(written)
            found[f"{name}_text"] = written if found[name] is None else None
    return found


def _categories(parsed: Parsed) -> dict[str, Any]:
    tags = [one for one in map(plain, _members(parsed, "tags")) if one]
    names = [one.get("term") or one.get("label") for one in tags]
    told = any(set(one) != {"term"} for one in tags)
    return {"categories": [name for name in names if name], "tags": tags if told else None}


def _links(parsed: Parsed, base: str) -> dict[str, Any]:
    """Return enclosures, and the links that are neither one nor the entry's own address."""
    own = _absolute(first_link(parsed), base)
    links = [{**plain(one), "href": _absolute(text_of(one.get("href")), base)} for one in _members(parsed, "links")]
    links = [one for one in links if one["href"]]
    enclosures = [one for one in links if one.get("rel") == "enclosure"]
    others = [one for one in links if one not in enclosures and (one["href"], one.get("rel")) != (own, "alternate")]
    return {"enclosures": [_enclosure(one) for one in enclosures], "links": others}


def _enclosure(link: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in link.items() if key not in {"href", "rel"}}
    return {"url": link["href"], **rest}


def _first(parsed: Parsed, name: str) -> str | None:
    """Return the language or base of the entry, or of the first of its texts that has one."""
    texts = [parsed, _detail(parsed, "title"), _detail(parsed, "summary"), *_members(parsed, "content")]
    return next((found for found in (text_of(one.get(name)) for one in texts) if found), None)


def _others(parsed: Parsed) -> dict[str, Any]:
    """Return every other element of the entry. A name that is used here already gets an underscore behind it."""
    found = plain({key: value for key, value in parsed.items() if key not in _READ})
    return {f"{key}_" if key in _OURS else key: found[key] for key in sorted(found)}


def plain(value: Any) -> Any:  # noqa: ANN401 - any value of feedparser
    """Return a value as plain JSON: parsed dates, repeated texts and empty members are left out."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if -_LONG <= value < _LONG else str(value)
        case str():
            return text_of(value)
        case Mapping():
            kept = {text_of(key): plain(item) for key, item in value.items() if not _repeats(key, item)}
            return {key: item for key, item in kept.items() if item is not None and item != ""}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def _repeats(key: str, value: object) -> bool:
    """Whether a member only says again, parsed or in detail, what another one says."""
    return key.endswith("_parsed") or (key.endswith("_detail") and isinstance(value, Mapping) and "value" in value)
