"""Holds the records of a batch to the contract of their source, before anything is made of them.

Every record is looked at. What the contract does not take ends the batch, makes the record a reject, or is left out of
what the record becomes; the page itself is kept as it came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kasparro.errors import SchemaBroken
from kasparro.model.contract import Agreement, Breach, Word
from kasparro.model.page import CsvRecords, Page, Reject
from kasparro.model.profile import FIELDS
from kasparro.model.shaped import Stamp
from kasparro.shaping.contract_batch import Batch, Cut
from kasparro.shaping.contract_breaches import Breached, Rows
from kasparro.shaping.profiling import profile_of

_NAMED = 5
"""Further fields that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What is left of a batch.

    Attributes:
        pages: As they came, but for records that are rejected and values that are left out.
        rejects: The records that the contract does not take.
        breaches: What was rejected or left out, by path.
    """

    pages: Sequence[Page]
    rejects: tuple[Reject, ...] = ()
    breaches: Mapping[str, Breach]


def agreed(pages: Sequence[Page], terms: Agreement, stamp: Stamp) -> Agreed:
    """Return what is left of the pages of a batch: any number of JSON pages, or one of CSV.

    Raises:
        SchemaBroken: the contract freezes what is new here. Its facts are the `breaches` by path and the `profile` of
            the batch, as plain values.
    """
    batch = Batch(pages)
    found = batch.breached(terms)
    if not found:
        return Agreed(pages=pages, breaches={})
    frozen = [one for one in found if terms.contract.word(one.rule) == "freeze"]
    if frozen:
        raise _broken(batch, frozen, terms, stamp)
    rejecting = [one for one in found if terms.contract.word(one.rule) == "discard_row"]
    leaving = [one for one in found if terms.contract.word(one.rule) == "discard_value"]
    if _leaves_nothing(batch, leaving):
        rejecting, leaving = found, []
    lost = np.zeros(batch.count, dtype=np.bool_)
    for one in rejecting:
        lost[one.rows] = True
    cuts = [Cut(of=one, rows=one.rows[~lost[one.rows]]) for one in leaving]
    cuts = [cut for cut in cuts if len(cut.rows)]
    rejected = {one.path: _breach(batch, one, one.rows, "discard_row", terms) for one in rejecting[:FIELDS]}
    left_out = {cut.of.path: _breach(batch, cut.of, cut.rows, "discard_value", terms) for cut in cuts[:FIELDS]}
    return Agreed(
        pages=batch.without(lost, cuts),
        rejects=tuple(batch.rejects(lost, rejecting, terms.version)),
        breaches={**rejected, **left_out},
    )


def _leaves_nothing(batch: Batch, leaving: Sequence[Breached]) -> bool:
    """Tell whether a CSV page would lose all its columns: a record without any value is no row."""
    first = batch.pages[batch.filled[0]].records
    columns = [one for one in leaving if one.rule == "fields"]
    return isinstance(first, CsvRecords) and len(columns) == len(first.columns)


def _breach(batch: Batch, one: Breached, rows: Rows, word: Word, terms: Agreement) -> Breach:
    return Breach(
        rule=one.rule,
        word=word,
        expected=one.expected,
        seen=one.seen,
        records=len(rows),
        place=batch.place(int(rows[0])),
        version=terms.version,
    )


def _broken(batch: Batch, frozen: Sequence[Breached], terms: Agreement, stamp: Stamp) -> SchemaBroken:
    first = min(frozen, key=lambda one: int(one.rows[0]))
    place, schema = batch.place(int(first.rows[0])), f"the accepted schema of {terms.source} (version {terms.version})"
    if first.rule == "fields":
        seen = " or ".join(first.seen[first.path]) or "null"
        what = f"{place} has the field {first.path} ({seen}), which {schema} does not have."
    else:
        seen = batch.kind(int(first.rows[0]), first.path)
        what = f"{place}: {first.path} is {seen}, and {schema} has {' or '.join(first.expected)}."
    others = sorted(one.path for one in frozen if one is not first)
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    also = f" Likewise: {', '.join(others[:_NAMED])}{more}." if others else ""
    pages = [batch.pages[at] for at in batch.filled]
    return SchemaBroken(
        f"{what}{also} schema_contract is freeze for {first.rule}, so these records were not written. If they are "
        f"right: kasparro drift accept {terms.source} --run {stamp.run_id}, then run again. If not, look at the "
        "source, or declare discard_row, discard_value or evolve.",
        breaches={one.path: _breach(batch, one, one.rows, "freeze", terms).to_json() for one in frozen[:FIELDS]},
        profile=profile_of(pages).to_json(),
    )
