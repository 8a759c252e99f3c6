"""A ledger that loses the answer of a commit: it took effect, but whoever waits hears of a broken connection."""

import random
from collections.abc import Callable, Sequence

from kasparro.errors import StoreBusy
from kasparro.model.ledger import Ledger
from kasparro.model.page import Bookmark, Page
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Batch

_SOON = 3
"""The answer of one of so many commits is lost: the first to the last of them."""


class LosingLedger:
    """A Ledger around another one. It loses one answer in its life: a source that tries again gets through.

    Args:
        ledger: Does the work.
        seed: Of the dice.
        tell: Called when the answer is lost.
    """

    def __init__(self, ledger: Ledger, *, seed: int, tell: Callable[[], None]) -> None:
        self._ledger = ledger
        self._tell = tell
        self._left = random.Random(seed).randrange(_SOON)  # noqa: S311 - a plan, not a secret

    async def resume(self, unit: Unit) -> Bookmark | None:
        """Take the lease of the slice and return where it stands."""
        return await self._ledger.resume(unit)

    async def number(self, pages: Sequence[Page]) -> tuple[int, ...]:
        """Return the number of each page."""
        return await self._ledger.number(pages)

    async def commit(self, unit: Unit, batch: Batch) -> Counts:
        """Write the batch. Raises StoreBusy once, after it was written."""
        counts = await self._ledger.commit(unit, batch)
        self._left -= 1
        if self._left != -1:
            return counts
        self._tell()
        raise StoreBusy("The connection broke before the answer to a COMMIT came, as chaos wants it.")

    async def close(self, unit: Unit) -> None:
        """Record that the slice was read to its end."""
        await self._ledger.close(unit)
