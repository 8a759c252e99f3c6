"""Shapes pages: records in; rows ready for COPY, rejects and a profile out.

A shaper belongs to one slice. What does the work is loaded with the first page, as a run without news needs none of it:
numpy for records that are plain, DuckDB for all others.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kasparro.model.contract import Agreement
from kasparro.model.page import Page
from kasparro.model.profile import Profile
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping.plan import Shape

if TYPE_CHECKING:
    from kasparro.shaping.desks import Desks
    from kasparro.shaping.plain import Plain


_ALL, _EVERY = 16, 8
"""So many batches of a slice are all looked at, then every eighth one: of a large slice that is a sample as good."""


class Shaper:
    """Shapes the pages of one slice. Several threads may do so at once.

    Args:
        shape: What the records are to become.
        scratch: Folder for temporary files.
        terms: What the records are held to; None where their source evolves.
    """

    def __init__(self, shape: Shape, scratch: Path, terms: Agreement | None = None) -> None:
        self._shape = shape
        self._scratch = scratch
        self._terms = terms
        self._plain: Plain | None = None
        self._desks: Desks | None = None
        self._opening = threading.Lock()
        self._batches = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._opening:
            if self._desks is not None:
                self._desks.close()

    def shape(self, pages: Sequence[Page], stamp: Stamp) -> Shaped:
        """Shape the pages of one batch: any number of JSON pages, or one of CSV.

        Raises:
            SchemaBroken: the configuration names a column that the file does not have, or the contract of the source
                freezes what is new in the records.
            Misconfigured: a `sql` expression of the mapping does not work.
        """
        if self._terms is None:
            return replace(self._made(pages, stamp), profile=self._profiled(pages))
        return self._held(self._terms, pages, stamp)

    def _held(self, terms: Agreement, pages: Sequence[Page], stamp: Stamp) -> Shaped:
        """Shape what the contract takes; what was seen is told of all records."""
        from kasparro.shaping.contract import agreed  # noqa: PLC0415 - loads numpy, and few sources have a contract

        if not any(len(page.records) for page in pages):
            return Shaped()
        left = agreed(pages, terms, stamp)
        made = self._made(left.pages, stamp)
        profile = replace(self._profiled(pages), breaches=left.breaches)
        return replace(made, rejects=(*left.rejects, *made.rejects), profile=profile)

    def _made(self, pages: Sequence[Page], stamp: Stamp) -> Shaped:
        """Return rows and rejects of the pages."""
        filled = [at for at, page in enumerate(pages) if len(page.records)]
        if not filled:
            return Shaped()
        batch, numbers = [pages[at].records for at in filled], [stamp.page_ids[at] for at in filled]
        quickly = self._plainly().shape(batch, stamp, numbers)
        return self._generally().shape(pages, filled, stamp) if quickly is None else quickly

    def _profiled(self, pages: Sequence[Page]) -> Profile:
        if not any(len(page.records) for page in pages):
            return Profile()
        from kasparro.shaping.profiling import profile_of  # noqa: PLC0415 - loads numpy: not before there is a page

        number = next(self._batches)
        if number >= _ALL and number % _EVERY:
            return Profile(rows=sum(len(page.records) for page in pages))
        return profile_of(pages)

    def _plainly(self) -> "Plain":
        from kasparro.shaping.plain import Plain  # noqa: PLC0415 - loads numpy: not before there is a page

        with self._opening:
            if self._plain is None:
                self._plain = Plain(self._shape)
            return self._plain

    def _generally(self) -> "Desks":
        from kasparro.shaping.desks import Desks  # noqa: PLC0415 - loads DuckDB: not before it is needed

        with self._opening:
            if self._desks is None:
                self._desks = Desks(self._shape, self._scratch)
            return self._desks
