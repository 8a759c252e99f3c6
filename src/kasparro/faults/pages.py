"""A source whose pages come late, twice, out of order, or not to the end.

Sources that deliver at least once do all of it. Each bookmark stays honest: whoever goes on from it is given every page
that it does not cover, and of two versions of a record the newer one comes last. So a right system ends with the rows
of an undisturbed run, wherever it is interrupted.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from kasparro.errors import Unreachable
from kasparro.faults.plan import Seam
from kasparro.model.page import Bookmark, Page
from kasparro.model.source import Slice, Source

_SHARE = 0.3
"""Of the pages that are disturbed, beside the first: also a source of one page is to be met."""

_LONGEST = 0.2
_WINDOW = 3
"""Pages that change places with each other."""

_SOON = 4
"""A transfer breaks before one of so many pages, the first to the last of them."""

Tell = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisturbedSource:
    """A Source around another one.

    Attributes:
        source: Is read.
        act: What is done to its pages; `lose` does nothing to them.
        seed: Of the dice: the same seed disturbs the same pages of a slice.
        tell: Called whenever something is done.
    """

    source: Source
    act: Seam
    seed: int
    tell: Tell

    async def slices(self) -> Sequence[Slice]:
        """Return the parts to read, as they are."""
        return await self.source.slices()

    def read(self, part: Slice, bookmark: Bookmark) -> AsyncIterator[Page]:
        """Yield the pages after the bookmark, disturbed."""
        pages = self.source.read(part, bookmark)
        dice = random.Random(f"{self.seed} {part.name}")  # noqa: S311 - a plan, not a secret
        match self.act:
            case "delay":
                return _delayed(pages, dice, self.tell)
            case "truncate":
                return _truncated(pages, dice, self.tell)
            case "double":
                return _doubled(pages, dice, self.tell)
            case "reorder":
                return _reordered(pages, bookmark, dice, self.tell)
            case "lose":
                return pages
            case _:
                assert_never(self.act)


async def _delayed(pages: AsyncIterator[Page], dice: random.Random, tell: Tell) -> AsyncIterator[Page]:
    """Honest: a page says nothing of when it comes."""
    first = True
    async for page in pages:
        if first or dice.random() < _SHARE:
            tell()
            await asyncio.sleep(dice.uniform(0, _LONGEST))
        first = False
        yield page


async def _truncated(pages: AsyncIterator[Page], dice: random.Random, tell: Tell) -> AsyncIterator[Page]:
    """Honest: a transfer that breaks is an error, never an end; also when it breaks after the last page."""
    left = dice.randrange(_SOON)
    async for page in pages:
        if left == 0:
            break
        left -= 1
        yield page
    tell()
    raise Unreachable("The transfer broke in the middle, as chaos wants it.")


async def _doubled(pages: AsyncIterator[Page], dice: random.Random, tell: Tell) -> AsyncIterator[Page]:
    """Honest: the second delivery is the same page, and its bookmark stands after it as before."""
    first = True
    async for page in pages:
        yield page
        if first or dice.random() < _SHARE:
            tell()
            yield page
        first = False


async def _reordered(
    pages: AsyncIterator[Page], before: Bookmark, dice: random.Random, tell: Tell
) -> AsyncIterator[Page]:
    window: list[Page] = []
    first = True
    async for page in pages:
        window.append(page)
        if len(window) < _WINDOW:
            continue
        for one in _out_of_order(window, before, dice, tell) if first or dice.random() < _SHARE else window:
            yield one
        before, window, first = window[-1].bookmark, [], False
    for one in _out_of_order(window, before, dice, tell) if first else window:
        yield one


def _out_of_order(window: Sequence[Page], before: Bookmark, dice: random.Random, tell: Tell) -> Iterator[Page]:
    """Give later pages first, then all in their order, and perhaps all once more.

    Honest: a page that comes early has the bookmark from before the window, as those that it overtook are still to
    come. They do come, and it comes again after them. Who delivers all once more has gone back: so do the bookmarks.
    """
    if len(window) > 1:
        tell()
        for page in dice.sample(window[1:], dice.randrange(1, len(window))):
            yield replace(page, bookmark=before)
    yield from window
    if len(window) > 1 and dice.random() < _SHARE:
        yield from window
