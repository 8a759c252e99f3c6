"""What the shaper makes of a page: rows ready for COPY, rejects, and a profile."""

from dataclasses import dataclass, field

from kasparro.model.page import Reject
from kasparro.model.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """The shaped form of one page.

    Attributes:
        rows: CSV for `COPY`, without a header: `record_key, record_hash, raw_index`, then the dataset's fields. An
            unquoted empty cell is null. Keys are unique and ascending.
        count: How many rows there are.
        duplicates: Records that had the key of a later one in the page, and gave way to it.
        rejects: Records whose values did not fit.
        profile: Of the rows.
    """

    rows: bytes = b""
    count: int = 0
    duplicates: int = 0
    rejects: tuple[Reject, ...] = ()
    profile: Profile = field(default_factory=Profile)
