"""Works on one slice: the heart. Everything else prepares this loop or reads what it wrote."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from kasparro.errors import Stopped
from kasparro.ingestion.ahead import ahead, until
from kasparro.model.events import Emit, PageCommitted, SliceClosed
from kasparro.model.ledger import Ledger
from kasparro.model.page import Page
from kasparro.model.run import Unit
from kasparro.model.shaped import Shaped
from kasparro.model.source import Slice, Source

Shape = Callable[[Page], Shaped]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What the work is done with: the shaping function (blocking, runs in a thread), who listens, and when to stop."""

    shape: Shape
    emit: Emit
    stop: asyncio.Event


async def work(unit: Unit, part: Slice, source: Source, ledger: Ledger, hands: Hands) -> None:
    """Read, shape and commit the pages of one slice after its checkpoint.

    Raises:
        Stopped: told to stop, or the lease was lost. What is committed stays.
        KasparroError: as the source, the shaper and the ledger raise.
    """
    bookmark = await ledger.resume(unit)
    async with ahead(source.read(part, bookmark)) as pages, ahead(_shaped(pages, hands.shape)) as ready:
        async for page, shaped in until(hands.stop, ready):
            counts = await ledger.commit(unit, page, shaped)
            hands.emit(
                PageCommitted(
                    source=unit.source,
                    run_id=unit.run_id,
                    slice_name=unit.slice_name,
                    counts=counts,
                    bytes_read=page.bytes_read,
                    done=page.done,
                )
            )
    if hands.stop.is_set():
        raise Stopped(f"{unit.source} was told to stop; the next run goes on from here.")
    await ledger.close(unit)
    hands.emit(SliceClosed(source=unit.source, run_id=unit.run_id, slice_name=unit.slice_name))


async def _shaped(pages: AsyncIterator[Page], shape: Shape) -> AsyncIterator[tuple[Page, Shaped]]:
    async for page in pages:
        yield page, await asyncio.to_thread(shape, page)
