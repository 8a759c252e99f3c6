"""RSS and Atom feeds.

A feed has no order to lean on: publishers re-date, re-sort and re-send entries. So the bookmark remembers what the
entries were, not when, and an unchanged feed costs one 304.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from kasparro.model.page import Bookmark, Page
from kasparro.model.source import Slice
from kasparro.sources.auth import Auth
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.http_url import origin as http_origin
from kasparro.sources.http_url import userinfo
from kasparro.sources.tools import Tools


def _limits() -> HttpOptions:
    """A feed is parsed in memory, at about seven times its size."""
    return HttpOptions(max_bytes=32 * 1024**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rss:
    """Entries of one RSS or Atom feed."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    complete: ClassVar[bool] = False
    natural_key: ClassVar[tuple[str, ...]] = ("id",)
    well_known: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "title": ("title",),
        "description": ("summary", "content"),
        "url": ("link",),
        "value": (),
        "occurred_at": ("published", "updated"),
    }

    type: Literal["rss"] = "rss"
    url: Annotated[str, Field(description="Address of the feed, with http:// or https://.")]
    remember: Annotated[int, Field(ge=1, description="How many entries the bookmark remembers.")] = 2000
    headers: Annotated[Mapping[str, str], Field(description="Headers, sent to this feed only.")] = field(
        default_factory=dict, repr=False
    )
    auth: Annotated[Auth | None, Field(description="Credentials, sent to this feed only.")] = None
    http: Annotated[HttpOptions, Field(description="Limits and retries.")] = field(default_factory=_limits)

    def __post_init__(self) -> None:
        try:
            http_origin(userinfo(self.url)[0])
        except Exception as error:
            raise ValueError("url must look like https://host/path") from error

    async def slices(self, tools: Tools) -> Sequence[Slice]:  # noqa: ARG002 - the signature of every kind
        """Return the one part of a feed."""
        return (Slice(name="feed"),)

    def read(self, part: Slice, bookmark: Bookmark, tools: Tools) -> AsyncIterator[Page]:  # noqa: ARG002 - same
        """Yield the entries that are new or were edited.

        Raises:
            Broken: What is served is not a feed. Besides, everything that `tools.http` raises.
        """
        from kasparro.sources.rss_read import pages  # noqa: PLC0415 - loads parsers: not before something is asked

        return pages(self, bookmark, tools)
