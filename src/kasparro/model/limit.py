"""A limit on rejects: so many records, or such a share of them."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")

ENOUGH = 1000
"""Records after which a share is judged while a run goes on; a smaller run is judged at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `count` records, or at most `share` (0 to 1) of all. Exactly one of the two is given."""

    count: int | None = None
    share: Decimal | None = None

    @classmethod
    def read(cls, text: str | int) -> Self:
        """Read `100` or `2.5%`. Raises ValueError, which says what is expected."""
        if isinstance(text, int) or text.strip().isdigit():
            return cls(count=int(text))
        found = _SHARE.fullmatch(text.strip())
        if found is None or Decimal(found.group(1)) > 100:  # noqa: PLR2004 - per cent
            raise ValueError("is a number of records such as 100, or a share such as 2.5%")
        return cls(share=Decimal(found.group(1)) / 100)

    def passed(self, rejected: int, extracted: int, *, at_end: bool) -> bool:
        """Tell whether so many rejects of so many records are too many."""
        if self.count is not None:
            return rejected > self.count
        return (at_end or extracted >= ENOUGH) and self.share is not None and rejected > self.share * extracted

    def __str__(self) -> str:
        return f"{self.count:,}" if self.share is None else f"{(self.share * 100).normalize():f} %"
