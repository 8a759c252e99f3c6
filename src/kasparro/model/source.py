"""The Source seam: what every kind of source is, and how a declaration names one."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from kasparro.model.contract import EVOLVING, Contract
from kasparro.model.held import HoldOn
from kasparro.model.limit import Limit
from kasparro.model.mapping import Mapping as FieldMapping
from kasparro.model.page import Bookmark, Page
from kasparro.model.rate import RateLimit
from kasparro.model.removal import Removal
from kasparro.model.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """An independent part of a source: unit of concurrency and of state.

    Attributes:
        name: Stable between runs: it is the key of the checkpoint.
        facts: What the source needs to read it, such as a file path.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """A source that is ready to be read."""

    async def slices(self) -> Sequence[Slice]:
        """Return the parts to read. Raises KasparroError when the source is not there."""
        ...

    def read(self, part: Slice, bookmark: Bookmark) -> AsyncIterator[Page]:
        """Yield the pages after the bookmark, in order. Nothing new means no page."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One declared source: how it is read (`kind`) and what becomes of its records.

    Attributes:
        name: Unique; the `source` of every row, run and checkpoint.
        kind: The configuration of its kind: an instance of `sources.csv.Csv`, `sources.api.Api` or `sources.rss.Rss`.
        dataset: Where the rows go: `normalized_data` or the name of a declared dataset.
        primary_key: Raw paths that make up the record key; empty means a hash of the content.
        mapping: How raw fields become the dataset's fields; None takes the well-known names.
        timezone: Zone of timestamps that name none.
        append: Every record becomes a row of its own.
        replace: The rows are exactly those of the last run.
        full_refresh: Every run reads everything; rows that are not met again are removed.
        removal: How, and how many at most.
        contract: What becomes of records that do not have the accepted schema.
        max_rejects: A run with more rejects is stopped.
        hold_on: From which verdict on the rows of a run wait for a decision; None is never.
        raw_retention: How long a raw page is kept after it was last read; None is for ever.
        schedule: When it is to run; None where nobody said.
        rate_limit: How often its provider may be asked; None where nobody said.
    """

    name: str
    kind: Any
    dataset: str = "normalized_data"
    primary_key: tuple[str, ...] = ()
    mapping: FieldMapping | None = None
    timezone: str = "UTC"
    append: bool = False
    replace: bool = False
    full_refresh: bool = False
    removal: Removal = Removal()  # noqa: RUF009 - frozen
    contract: Contract = EVOLVING
    max_rejects: Limit | None = None
    hold_on: HoldOn | None = None
    raw_retention: timedelta | None = None
    schedule: Schedule | None = None
    rate_limit: RateLimit | None = None
