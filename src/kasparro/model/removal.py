"""What becomes of rows that a refresh does not find any more."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from kasparro.model.limit import Limit

Deletions = Literal["soft", "hard", "ignore"]
"""`soft`: the row moves to `deleted_record`. `hard`: it is deleted. `ignore`: it stays."""

HALF = Limit(share=Decimal("0.5"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The rule of a source.

    Attributes:
        deletions: What becomes of the rows.
        limit: By how much a refresh may shrink the rows of the source at most: a number of rows, or a share of them.
        accepted: The operator has said that the limit does not count this time.
    """

    deletions: Deletions = "soft"
    limit: Limit = HALF
    accepted: bool = False

    def refuses(self, *, shrunk: int, rows: int) -> bool:
        """Tell whether a table of so many rows may not lose so many of them."""
        return not self.accepted and self.limit.passed(shrunk, rows, at_end=True)
