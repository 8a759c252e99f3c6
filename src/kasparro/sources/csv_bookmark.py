"""Where to go on in a file, and whether it is still the file that was read.

What was read is known by its CRC-32, over all bytes before the offset: it can be carried on from page to page, and a
changed byte in the middle of a file that also grew is noticed. It is computed again only when size or time of the file
have changed, at about one gigabyte a second.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kasparro.errors import BookmarkLost
from kasparro.model.page import Bookmark
from kasparro.sources.csv_options import Dialect, Spot

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What tells one version of a file from another without reading it: size and time, or the validators of a URL."""

    size: int | None = None
    mtime_ns: int | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """How a file is written, kept so that the rest of it is read in the same way."""

    columns: tuple[str, ...]
    dialect: Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A bookmark. `complete`: this version was read to its end; `stated`: digest of what the declaration says."""

    spot: Spot
    version: Version
    complete: bool
    stated: str
    recognised: Recognised


def digest(stated: Mapping[str, Any]) -> str:
    """Return a short name for what a declaration says."""
    text = json.dumps(stated, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def written(place: Place) -> Bookmark:
    """Return the place as a JSON object."""
    bookmark = {"format": _VERSION, **asdict(place)}
    bookmark["recognised"]["columns"] = list(place.recognised.columns)
    return bookmark


def understood(bookmark: Bookmark, stated: str) -> Place | None:
    """Return the place of a bookmark; None where it is empty or was made under another declaration.

    Raises:
        BookmarkLost: a newer version wrote it, or it is none of a file.
    """
    try:
        return _understood(bookmark, stated)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BookmarkLost(
            "The checkpoint of the file is not one that Kasparro wrote. Read the file from its start: "
            "kasparro checkpoint reset"
        ) from error


def _understood(bookmark: Bookmark, stated: str) -> Place | None:
    if bookmark.get("format", 0) > _VERSION:
        raise BookmarkLost(
            "The checkpoint was written by a newer version of Kasparro. Install that version, or read the file from "
            "its start: kasparro checkpoint reset"
        )
    if bookmark.get("format") != _VERSION or bookmark.get("stated") != stated:
        return None
    known, spot = bookmark["recognised"], bookmark["spot"]
    if not all(isinstance(spot[name], int) for name in ("offset", "lines", "crc")):
        raise TypeError("a place in a file is given by whole numbers")
    return Place(
        spot=Spot(**spot),
        version=Version(**bookmark["version"]),
        complete=bookmark["complete"],
        stated=stated,
        recognised=Recognised(columns=tuple(known["columns"]), dialect=Dialect(**known["dialect"])),
    )
