"""The Ledger seam: where a slice stands, and the commit that moves it together with its data."""

from typing import Protocol

from kasparro.model.page import Bookmark, Page
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Shaped


class Ledger(Protocol):
    """Keeps pages, rows and checkpoints."""

    async def resume(self, unit: Unit) -> Bookmark:
        """Take the lease of the slice and return where it stands. Raises Stopped when a later run has it."""
        ...

    async def commit(self, unit: Unit, page: Page, shaped: Shaped) -> Counts:
        """Write the page and all that was made of it at once, or nothing. Raises Stopped when the lease was lost."""
        ...

    async def close(self, unit: Unit) -> None:
        """Record that the slice was read to its end."""
        ...
