"""Reads a file that is at hand, and makes pages of its records."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from kasparro.model.page import Page
from kasparro.sources.csv_bookmark import Place, Version, written
from kasparro.sources.csv_open import Opened, open_csv
from kasparro.sources.csv_options import Target
from kasparro.sources.csv_page import Part, nothing
from kasparro.sources.csv_ranges import step


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of a file before it is opened.

    Attributes:
        version: Of the file as it is now.
        trusted: It is the version of the known place.
        stated: Digest of what the declaration says.
        known: Where an earlier run came to.
    """

    version: Version
    trusted: bool
    stated: str
    known: Place | None


async def pages(target: Target, found: Found) -> AsyncGenerator[Page, None]:
    """Yield the pages after the known place; of a file that was rewritten, all of them. Raises as `open_csv`."""
    opened = await asyncio.to_thread(open_csv, target, found.known, trusted=found.trusted)
    with opened.held:
        async for page in _pages(opened, found):
            yield page


async def _pages(opened: Opened, found: Found) -> AsyncGenerator[Page, None]:
    """Yield the pages from the spot to the end of the file as it was opened.

    A file that was rewritten and has no record now gives an empty page: so the bookmark says which version was read,
    and whoever asks whether anything has changed is told.
    """
    here, spot = opened.spot, opened.spot
    if spot.offset >= opened.reading.size and found.known is not None and found.known.spot != spot:
        place = Place(
            spot=spot, version=found.version, complete=True, stated=found.stated, recognised=opened.recognised
        )
        yield _page(opened, nothing(opened.reading.layout), place, bytes_read=0)
    while spot.offset < opened.reading.size:
        stepped = await asyncio.to_thread(step, opened.reading, spot)
        for number, (part, after) in enumerate(stepped.pages, start=1):
            complete = number == len(stepped.pages) and stepped.next.offset == opened.reading.size
            place = Place(
                spot=after, version=found.version, complete=complete, stated=found.stated, recognised=opened.recognised
            )
            yield _page(opened, part, place, bytes_read=after.offset - here.offset)
            here = after
        spot = stepped.next


def _page(opened: Opened, part: Part, place: Place, *, bytes_read: int) -> Page:
    return Page(
        content=part.records.content,
        content_type="text/csv",
        records=part.records,
        rejects=part.rejects,
        bookmark=written(place),
        origin=part.records.origin,
        bytes_read=bytes_read,
        done=1.0 if place.complete else place.spot.offset / opened.reading.size,
    )
