"""Makes pages of what `raw_page` keeps, as the source once gave them: today's mapping can be applied to them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kasparro.errors import Broken
from kasparro.model.page import CsvRecords, JsonRecords, Page, StoredPage
from kasparro.sources.csv_judge import rule_of
from kasparro.sources.csv_options import Dialect
from kasparro.sources.csv_page import Layout, gathered, parsed_text, parts
from kasparro.sources.csv_screen import screen
from kasparro.sources.json_answer import Json, pieces


def read_again(stored: StoredPage, null_values: tuple[str, ...]) -> Page:
    """Return the page with its records, or with those that are wanted. `null_values`: of a CSV source, as declared now.

    Raises:
        Broken: the page is not as it was stored.
    """
    records = _csv(stored, null_values) if stored.content_type == "text/csv" else _json(stored)
    return Page(
        content=stored.content,
        content_type=stored.content_type,
        records=records,
        bookmark=stored.place,
        origin=stored.origin,
        bytes_read=len(stored.content),
        stored=stored.number,
    )


def _csv(stored: StoredPage, null_values: tuple[str, ...]) -> CsvRecords:
    layout = Layout(
        columns=tuple(stored.layout["columns"]),
        dialect=Dialect(delimiter=stored.layout["delimiter"], quote=stored.layout["quote"]),
        null_values=null_values,
        origin=stored.origin,
    )
    found = screen(stored.content, rule_of(layout.dialect, len(layout.columns)), at_end=True)
    made = parts(stored.content, found, layout, line=1, most=len(found) + 1)
    if len(made) != 1 or made[0].rejects:
        raise Broken(f"Raw page {stored.number} ({stored.origin}) does not hold the records that it was stored with.")
    records = replace(made[0].records, lines=_lines(stored, len(made[0].records)))
    return records if stored.wanted is None else _some(records, stored.wanted)


def _lines(stored: StoredPage, count: int) -> Sequence[int]:
    """Return the line of each record in its file: the layout names those that do not follow the one before."""
    jumps = np.asarray(stored.layout["lines"], dtype=np.int64).reshape(-1, 2)
    lines = np.ones(count, dtype=np.int64)
    lines[jumps[:, 0]] = np.diff(jumps[:, 1] - jumps[:, 0], prepend=0) + 1
    lines[0] -= 1
    return np.cumsum(lines).data


def _some(records: CsvRecords, wanted: Sequence[int]) -> CsvRecords:
    at = np.asarray(wanted, dtype=np.int64)
    starts = np.asarray(records.starts)
    content = gathered(records.content, starts[at], starts[at + 1])
    bounds = np.zeros(len(at) + 1, dtype=np.int64)
    np.cumsum(starts[at + 1] - starts[at], out=bounds[1:])
    return replace(
        records,
        content=content,
        text=parsed_text(content, bounds),
        starts=bounds.data,
        lines=np.asarray(records.lines)[at].data,
        indexes=list(wanted),
    )


def _json(stored: StoredPage) -> JsonRecords:
    steps = tuple(stored.layout["steps"])
    texts = pieces(Json(value=None, body=stored.content), steps)
    first = stored.layout["first"]
    if stored.wanted is None:
        return JsonRecords(texts=texts, steps=steps, origin=stored.origin, first=first)
    some = [texts[index] for index in stored.wanted]
    return JsonRecords(texts=some, origin=stored.origin, first=first, indexes=list(stored.wanted))
