"""Makes a declaration of a bare file name or URL: what kind it is, and what to call it."""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from kasparro.errors import Broken, Misconfigured
from kasparro.model.redact import Redactor
from kasparro.sources.http import HttpClient, HttpOptions
from kasparro.sources.http_url import origin
from kasparro.sources.tools import Request

Declaration = dict[str, Any]

_PATIENCE = 30.0
"""Seconds in which a URL is looked at again that asks to wait: somebody sits before a screen that says nothing."""

_TABLES = {".csv", ".tsv", ".tab", ".txt", ".psv"}
_FEEDS = {".rss", ".atom", ".rdf"}
_PACKED = {".gz", ".bz2", ".xz"}
_URL = re.compile(r"https?:", re.IGNORECASE)
_FEED = re.compile(rb"<(rss|feed|rdf:RDF|\w+:feed|\w+:rss)[\s>]", re.IGNORECASE)
_PAGE = re.compile(rb"<(!doctype html|html)", re.IGNORECASE)


def is_url(target: str) -> bool:
    """Tell a URL from a path."""
    return _URL.match(target) is not None


def looks_like_target(text: str) -> bool:
    """Tell a file or URL from the name of a declared source."""
    return is_url(text) or "/" in text or "*" in text or Path(text).suffix != "" or Path(text).exists()


async def recognise(target: str, taken: Collection[str] = ()) -> tuple[str, Declaration]:
    """Return a name and a declaration for a file, a glob or a URL.

    Args:
        target: As the user wrote it.
        taken: Names that are in use.

    Raises:
        Misconfigured: it is of a kind that is not read in this version.
        KasparroError: a URL had to be looked at, and could not be.
    """
    if is_url(target):
        origin(target)  # raises where it is none
    name = _name(target, taken)
    if not is_url(target):
        return name, {"type": "csv", "path": _local(target)}
    return name, {"type": await _remote(target), "url": target}


def _local(target: str) -> str:
    suffix = _suffix(target)
    if suffix in {".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".xls", ".db", ".sqlite", *_FEEDS, ".xml"}:
        raise Misconfigured(
            f"{target}: files of type {suffix} are not read in this version. "
            "Local files are CSV; JSON and feeds are read from a URL."
        )
    return target


async def _remote(url: str) -> str:
    suffix = _suffix(urlsplit(url).path)
    if suffix in _TABLES:
        return "csv"
    if suffix in _FEEDS:
        return "rss"
    options = HttpOptions(attempts=2, retry_seconds=_PATIENCE)
    async with HttpClient(source="recognise", options=options, longest_wait=_PATIENCE) as client:
        answer = await client.peek(Request(url=url))
    start = answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = answer.headers.get("content-type", "").lower()
    if _FEED.search(start) or "rss" in kind or "atom" in kind:
        return "rss"
    if start[:1] in {b"{", b"["} or "json" in kind:
        return "api"
    place = Redactor()(url)
    if _PAGE.search(start):
        raise Broken(
            f"{place} answered an HTML page, which is neither JSON nor a feed nor CSV. Name the address of the data."
        )
    if "csv" in kind or "tab-separated" in kind or b"\n" in start:
        return "csv"
    raise Broken(f"{place}: what it answered was not recognised. Declare it in kasparro.yaml with its type.")


def _suffix(path: str) -> str:
    pure = PurePosixPath(path)
    return PurePosixPath(pure.stem).suffix.lower() if pure.suffix.lower() in _PACKED else pure.suffix.lower()


def _name(target: str, taken: Collection[str]) -> str:
    """`flights.csv` is `flights`; `https://h/v1/tickers?x=1` is `tickers`; a name in use gets a number."""
    parts = urlsplit(target if is_url(target) else "")
    last = PurePosixPath(parts.path).name or parts.hostname or "source" if is_url(target) else Path(target).name
    stem = last.split(".")[0] if not (is_url(target) and last == parts.hostname) else last
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:50] or "source"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name
