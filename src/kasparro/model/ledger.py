"""The Ledger seam: where a slice stands, and the commit that moves it together with its data."""

from collections.abc import Sequence
from typing import Protocol

from kasparro.model.page import Bookmark, Page
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Batch


class Ledger(Protocol):
    """Keeps pages, rows and checkpoints."""

    async def resume(self, unit: Unit) -> Bookmark | None:
        """Take the lease of the slice and return where it stands; None when this pass has read it to its end.

        Raises Stopped when a later run has the slice.
        """
        ...

    async def number(self, pages: Sequence[Page]) -> tuple[int, ...]:
        """Return the number of each page: an unused one, unless it is stored already."""
        ...

    async def commit(self, unit: Unit, batch: Batch) -> Counts:
        """Write the pages and all that was made of them at once, or nothing. Raises Stopped when the lease was lost.

        The next batch of the slice may be handed over before this one is written: they take effect in the order in
        which they came, and none without the one before it.
        """
        ...

    async def close(self, unit: Unit) -> None:
        """Record that the slice was read to its end."""
        ...
