"""Rows again, from what is stored: the raw pages of a source stand in for the source."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from kasparro.model.page import Bookmark, Page
from kasparro.model.source import Slice
from kasparro.store.raw_reading import RawReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was read from a source, as a source of its own.

    There is one slice: of the pages that hold the same key the last one counts, whatever slice it came from.

    Attributes:
        pages: To be read again.
        null_values: Texts that are null in an unquoted CSV cell, as the source declares them now.
    """

    pages: RawReading
    null_values: tuple[str, ...] = ("",)

    async def slices(self) -> Sequence[Slice]:
        """Return the one slice."""
        return (Slice(name="raw pages"),)

    async def read(self, part: Slice, bookmark: Bookmark) -> AsyncIterator[Page]:  # noqa: ARG002 - there is but one
        """Yield the pages after the bookmark, in the order in which they count."""
        from kasparro.sources.stored import read_again  # noqa: PLC0415 - loads numpy and parsers: replays alone need it

        total, _ = await self.pages.extent()
        done = int(bookmark.get("done", 0))
        async for stored in self.pages.after(bookmark):
            done += 1
            page = await asyncio.to_thread(read_again, stored, self.null_values)
            yield replace(page, bookmark={**page.bookmark, "done": done}, done=min(1.0, done / max(total, 1)))
