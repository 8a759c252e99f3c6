"""Works on one slice: the heart. Everything else prepares this loop or reads what it wrote."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from kasparro.errors import Stopped
from kasparro.ingestion.ahead import gathered, in_order, until
from kasparro.model.events import Emit, PageCommitted, PageRead, PagesShaped, SliceClosed
from kasparro.model.ledger import Ledger
from kasparro.model.page import CsvRecords, Page
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Batch, Shaped, Stamp
from kasparro.model.source import Slice, Source

Shape = Callable[[Sequence[Page], Stamp], Shaped]

_SHAPED_AT_ONCE = 2
_COMMITTED_AT_ONCE = 2
_LINGER = 0.1
"""Seconds that small pages wait for others to be committed with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What the work is done with.

    Attributes:
        shape: The shaping function; blocks, and runs in threads.
        emit: Told what happens; what it raises ends the work.
        stop: When set, the work ends after the commits in hand.
        kept: Told of each batch that was committed, where anybody wants to know.
        most_records: Pages are gathered up to so many records,
        most_bytes: and so many bytes.
    """

    shape: Shape
    emit: Emit
    stop: asyncio.Event
    kept: Callable[[Batch], None] | None = None
    most_records: int = 50_000
    most_bytes: int = 2 * 1024 * 1024


async def work(unit: Unit, part: Slice, source: Source, ledger: Ledger, hands: Hands) -> None:
    """Read, shape and commit the pages of one slice after its checkpoint: all three at once, each in order.

    Raises:
        Stopped: told to stop, or the lease was lost. What is committed stays.
        KasparroError: as the source, the shaper and the ledger raise.
    """
    before = 0

    async def shape(pages: list[Page]) -> Batch:
        nonlocal before
        first, before = before, before + len(pages)  # batches begin in order, whatever they wait for afterwards
        numbers = await ledger.number(pages)
        stamp = Stamp(source=unit.source, run_id=unit.run_id, page_ids=numbers)
        watch = _Watch()
        shaped = await asyncio.to_thread(hands.shape, pages, stamp)
        hands.emit(_shaped(unit, pages, first, watch))
        return Batch(pages=tuple(pages), page_ids=numbers, shaped=shaped)

    async def commit(batch: Batch) -> PageCommitted:
        watch = _Watch()
        counts = await ledger.commit(unit, batch)
        if hands.kept is not None:
            hands.kept(batch)
        return _committed(unit, batch, counts, watch)

    bookmark = await ledger.resume(unit)
    if bookmark is None:
        return
    pages = _told(unit, until(hands.stop, source.read(part, bookmark)), hands.emit)
    async with (
        gathered(pages, room=_room(hands), size=_size(hands), linger=_LINGER) as lists,
        in_order(lists, shape, _SHAPED_AT_ONCE) as batches,
        in_order(batches, commit, _COMMITTED_AT_ONCE) as commits,
    ):
        async for committed in commits:
            hands.emit(committed)
    if hands.stop.is_set():
        raise Stopped(f"{unit.source} was told to stop; the next run goes on from here.")
    await ledger.close(unit)
    hands.emit(SliceClosed(source=unit.source, run_id=unit.run_id, slice_name=unit.slice_name))


def _room(hands: Hands) -> Callable[[list[Page], Page], bool]:
    """CSV pages are large as they are; small JSON pages are gathered up to what one CSV page would be."""

    def room(pages: list[Page], page: Page) -> bool:
        if isinstance(page.records, CsvRecords) or isinstance(pages[0].records, CsvRecords):
            return False
        records = sum(len(one.records) for one in (*pages, page))
        size = sum(len(one.content) for one in (*pages, page))
        return records <= hands.most_records and size <= hands.most_bytes

    return room


def _size(hands: Hands) -> Callable[[Page], int]:
    """How much of what may be read ahead a page is, in millionths: large pages one by one, small ones by the batch."""

    def size(page: Page) -> int:
        records, content = len(page.records) / hands.most_records, len(page.content) / hands.most_bytes
        return int(max(records, content, 0.001) * 1_000_000)

    return size


class _Watch:
    """Tells when something began, in seconds since 1970, and how long it has taken."""

    def __init__(self) -> None:
        self.began = time.time()
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since


async def _told(unit: Unit, pages: AsyncIterator[Page], emit: Emit) -> AsyncIterator[Page]:
    """Tell how long each page took to read, the time in which nobody asked for one left out."""
    watch = _Watch()
    async with aclosing(pages) as reading:  # type: ignore[type-var] # a generator
        async for page in reading:
            read = PageRead(
                source=unit.source,
                run_id=unit.run_id,
                slice_name=unit.slice_name,
                records=len(page.records),
                bytes_read=page.bytes_read,
                began=watch.began,
                seconds=watch.seconds,
            )
            emit(read)
            yield page
            watch = _Watch()


def _shaped(unit: Unit, pages: Sequence[Page], first: int, watch: _Watch) -> PagesShaped:
    return PagesShaped(
        source=unit.source,
        run_id=unit.run_id,
        slice_name=unit.slice_name,
        pages=len(pages),
        records=sum(len(page.records) for page in pages),
        began=watch.began,
        seconds=watch.seconds,
        first=first,
    )


def _committed(unit: Unit, batch: Batch, counts: Counts, watch: _Watch) -> PageCommitted:
    rejects = (*batch.shaped.rejects, *(one for page in batch.pages for one in page.rejects))
    reasons = Counter(one.code for one in rejects)
    return PageCommitted(
        source=unit.source,
        run_id=unit.run_id,
        slice_name=unit.slice_name,
        counts=counts,
        bytes_read=sum(page.bytes_read for page in batch.pages),
        done=batch.pages[-1].done,
        pages=len(batch.pages),
        began=watch.began,
        seconds=watch.seconds,
        reasons=dict(reasons + Counter(refused=counts.rejected - reasons.total())),  # by the database: the rest
    )
