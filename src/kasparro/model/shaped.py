"""What the shaper makes of pages: rows ready for COPY, rejects and a profile; and the batch that is committed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kasparro.model.page import Page, Reject
from kasparro.model.profile import Profile

ROW_COLUMNS = ("source", "record_key", "record_hash", "run_id", "raw_page_id", "raw_index")
"""What stands in front of the dataset's fields in each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What every row of a batch carries: whose it is, and the number of each page."""

    source: str
    run_id: int
    page_ids: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlaces:
    """Where rows stand in their text.

    Attributes:
        starts: Of each row; one number more than there are rows.
        cuts: Of each row the end of its hash, which is where the delimiter behind it stands.
    """

    starts: Sequence[int]
    cuts: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """The shaped form of the pages of one batch.

    Attributes:
        rows: CSV for `COPY`, without a header: `ROW_COLUMNS`, then the dataset's fields, in the order of the records.
            An unquoted empty cell is null. A key may come more than once: the last one counts.
        count: How many rows there are.
        rejects: Records whose values did not fit.
        profile: Of the rows.
        fields: The fields in the order in which they stand in the rows; None for all, in the dataset's order.
        places: Where the rows stand; None where nobody has counted.
    """

    rows: bytes = b""
    count: int = 0
    fields: tuple[str, ...] | None = None
    places: RowPlaces | None = None
    rejects: tuple[Reject, ...] = ()
    profile: Profile = field(default_factory=Profile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Pages of one slice, in order, that are committed together with what was made of them.

    Attributes:
        pages: At least one.
        page_ids: The number that the rows carry for each.
        shaped: Of all of them.
    """

    pages: tuple[Page, ...]
    page_ids: tuple[int, ...]
    shaped: Shaped
