"""Where records came from: the number of the page, and the place in it, of each record of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kasparro.model.page import CsvRecords, JsonRecords
from kasparro.shaping.plain_cells import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """The number of its page, and the index in the page as it is stored, of each record."""

    pages: Places
    indexes: Places


def origins_of(batch: Sequence[CsvRecords | JsonRecords], numbers: Sequence[int]) -> Origins:
    """Return the origins of all records of some pages with these numbers."""
    sizes = [len(records) for records in batch]
    places = [np.arange(len(one)) if one.indexes is None else np.array(one.indexes, dtype=np.int64) for one in batch]
    pages = np.repeat(np.array(numbers, dtype=np.int64), sizes)
    return Origins(pages=pages, indexes=np.concatenate(places))
