"""Where the reading of an API stands, and how it is kept as a bookmark.

A *pass* is one walk over all pages. Within a pass the bookmark holds the position of the next page; at its end it holds
the high-water mark, and nothing of the walk. The mark moves only when a pass has ended, for until then there are
records that nobody has seen. No secret is ever part of it: addresses are stored without the parameters that hold one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from kasparro.errors import BookmarkLost
from kasparro.model.page import Bookmark
from kasparro.sources.api_mark import Scalar, highest
from kasparro.sources.api_next import Position

TRAIL = 50
"""How many positions a bookmark remembers, to notice a circle also after a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What is known before a request.

    Attributes:
        paging: Type of the pagination; a bookmark of another type starts a new pass.
        cursor_field: A mark of another field is forgotten.
        position: Of the next page; None at the beginning of a pass.
        mark: High-water mark of the finished pass.
        high: The highest cursor value of this pass so far.
        walked: Records of this pass so far.
        pages: Pages of this pass so far.
        trail: Fingerprints of the last positions of this pass.
        records_at: Where the list of records was found.
        keys: Top-level keys of the first answer that had records.
        validators: `etag`, `modified`, and `of`, the request that they belong to.
    """

    paging: str
    cursor_field: str | None = None
    position: Position | None = None
    mark: Scalar | None = None
    high: Scalar | None = None
    walked: int = 0
    pages: int = 0
    trail: tuple[str, ...] = ()
    records_at: str | None = None
    keys: tuple[str, ...] = ()
    validators: Mapping[str, str] = field(default_factory=dict)

    def restarted(self) -> "Walk":
        """Return the beginning of a pass. What the unfinished one has seen does not move the mark."""
        return replace(self, position=None, high=None, walked=0, pages=0, trail=())

    def finished(self, written: str | None) -> "Walk":
        """Return the end of a pass: the mark has moved to the highest value seen."""
        ended = self.restarted()
        return ended if self.high is None else replace(ended, mark=highest([self.high], self.mark, written))

    def to_bookmark(self) -> dict[str, Any]:
        """Return it as plain JSON values; what is empty is left out."""
        found: dict[str, Any] = {
            "paging": self.paging,
            "cursor_field": self.cursor_field,
            "mark": self.mark,
            "records_at": self.records_at,
            "keys": list(self.keys),
            "validators": dict(self.validators),
        }
        if self.position is not None:
            found["pass"] = {
                "url": self.position.url,
                "params": dict(self.position.params),
                "scheme": self.position.scheme,
                "base": self.position.base,
                "high": self.high,
                "walked": self.walked,
                "pages": self.pages,
                "trail": list(self.trail),
            }
        return {name: value for name, value in found.items() if value is not None and value not in ([], {})}


def walk_from(bookmark: Bookmark, *, paging: str, cursor_field: str | None) -> Walk:
    """Return the walk that a bookmark describes, as far as it fits the declaration.

    Raises:
        BookmarkLost: it is not one of an API.
    """
    try:
        walk = _read(bookmark, cursor_field)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BookmarkLost("the checkpoint is not one of an API; reset it to start over") from error
    if walk.paging != paging:
        walk = replace(walk.restarted(), paging=paging, validators={})
    return walk


def _read(bookmark: Bookmark, cursor_field: str | None) -> Walk:
    same_field = bookmark.get("cursor_field") == cursor_field
    walk = Walk(
        paging=str(bookmark.get("paging", "")),
        cursor_field=cursor_field,
        mark=bookmark.get("mark") if same_field else None,
        records_at=bookmark.get("records_at"),
        keys=tuple(bookmark.get("keys", ())),
        validators=dict(bookmark.get("validators", {})) if same_field else {},
    )
    under_way = bookmark.get("pass")
    if under_way is None or not same_field:
        return walk
    position = Position(
        url=under_way.get("url"),
        params=dict(under_way["params"]),
        scheme=under_way.get("scheme"),
        base=int(under_way["base"]),
    )
    return replace(
        walk,
        position=position,
        high=under_way.get("high"),
        walked=int(under_way["walked"]),
        pages=int(under_way["pages"]),
        trail=tuple(under_way["trail"]),
    )


def fingerprint(*parts: object) -> str:
    """Return a short hash of JSON values or bytes."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else orjson.dumps(part, option=orjson.OPT_SORT_KEYS, default=str))
        digest.update(b"\x00")
    return digest.hexdigest()


def place_of(position: Position) -> str:
    """Return what tells this position from others, hashed."""
    return fingerprint(position.url, dict(position.params))
