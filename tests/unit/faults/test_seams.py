"""The wrappers do what they say, and stay honest: a right system loses nothing by them, wherever it is interrupted."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from kasparro.errors import StoreBusy, Unreachable
from kasparro.faults.commits import LosingLedger
from kasparro.faults.pages import DisturbedSource
from kasparro.faults.plan import Seam
from kasparro.faults.seams import disturbed_job
from kasparro.ingestion.run import Job
from kasparro.model.limit import Limit
from kasparro.model.page import Bookmark, JsonRecords, Page
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Batch, Shaped
from kasparro.model.source import Slice
from kasparro.store.runs import NewRun

PART = Slice(name="all")
PAGES = 10


def page(number: int) -> Page:
    """It says something of its own key, and something newer of that of the page before it."""
    text = f"{number} {number - 1}".encode()
    records = JsonRecords(texts=[text], origin="o")
    return Page(
        content=text,
        content_type="application/json",
        records=records,
        bookmark={"next": number + 1},
        origin="o",
        bytes_read=len(text),
    )


@dataclass
class Pages:
    """A source of numbered pages."""

    last: int = PAGES

    async def slices(self) -> Sequence[Slice]:
        return [PART]

    async def read(self, part: Slice, bookmark: Bookmark) -> AsyncIterator[Page]:
        assert part is PART
        for number in range(bookmark.get("next", 0), self.last):
            yield page(number)


def applied(rows: dict[str, str], one: Page) -> dict[str, str]:
    """The rows after a page: of several with one key the last one wins."""
    return rows | {key: one.content.decode() for key in one.content.decode().split()}


async def delivered(act: Seam, seed: int, last: int = PAGES) -> tuple[list[Page], int]:
    """What a disturbed source gives until it ends or breaks, and how often it said that it was disturbed."""
    told: list[None] = []
    source = DisturbedSource(source=Pages(last), act=act, seed=seed, tell=lambda: told.append(None))
    found = []
    try:
        async for one in source.read(PART, {}):
            found.append(one)  # noqa: PERF401 - what came before it broke is wanted
    except Unreachable:
        assert act == "truncate"
    return found, len(told)


async def plain(rows: dict[str, str], bookmark: Bookmark) -> dict[str, str]:
    async for one in Pages().read(PART, bookmark):
        rows = applied(rows, one)
    return rows


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("act", ["truncate", "double", "reorder"])
async def test_whoever_goes_on_from_any_page_ends_with_the_rows_of_an_undisturbed_run(act: Seam, seed: int) -> None:
    wanted = await plain({}, {})
    pages, told = await delivered(act, seed)
    assert told > 0
    rows: dict[str, str] = {}
    for one in pages:
        rows = applied(rows, one)
        assert await plain(rows, one.bookmark) == wanted
    if act != "truncate":
        assert rows == wanted
        assert pages[-1].bookmark == {"next": PAGES}


async def test_each_act_does_what_it_says() -> None:
    numbers = [one.content for one in (await delivered("double", 1))[0]]
    assert numbers[:2] == [b"0 -1", b"0 -1"]
    assert len(numbers) > PAGES
    early = [one for one, _ in zip((await delivered("reorder", 1))[0], range(1), strict=False)]
    assert early[0].content != b"0 -1"
    assert early[0].bookmark == {}
    assert {len((await delivered("truncate", seed))[0]) for seed in range(40)} == {0, 1, 2, 3}


async def test_a_source_of_one_page_can_be_disturbed_too() -> None:
    assert len((await delivered("double", 1, last=1))[0]) == 2
    assert await delivered("delay", 1, last=1) == ([page(0)], 1)
    assert await delivered("reorder", 1, last=1) == ([page(0)], 0)
    assert await delivered("truncate", 3, last=0) == ([], 1)


async def test_slices_are_left_alone() -> None:
    source = DisturbedSource(source=Pages(), act="lose", seed=1, tell=lambda: None)
    assert await source.slices() == [PART]
    assert len([one async for one in source.read(PART, {})]) == PAGES


@dataclass
class Books:
    """A ledger that only remembers."""

    written: list[Batch] = field(default_factory=list)
    closed: int = 0

    async def resume(self, unit: Unit) -> Bookmark | None:
        return {"next": len(self.written), "unit": unit}

    async def number(self, pages: Sequence[Page]) -> tuple[int, ...]:
        return tuple(range(len(pages)))

    async def commit(self, unit: Unit, batch: Batch) -> Counts:
        assert unit is UNIT
        self.written.append(batch)
        return Counts(extracted=1, inserted=1)

    async def close(self, unit: Unit) -> None:
        assert unit is UNIT
        self.closed += 1


UNIT = Unit(source="s", kind="api", dataset="d", run_id=1, slice_name="all")


@pytest.mark.parametrize("seed", range(6))
async def test_one_answer_is_lost_after_the_commit_took_effect(seed: int) -> None:
    books, told = Books(), list[None]()
    ledger = LosingLedger(books, seed=seed, tell=lambda: told.append(None))
    batch = Batch(pages=(page(0),), page_ids=await ledger.number([page(0)]), shaped=Shaped())
    lost = 0
    for done in range(1, 11):
        try:
            assert await ledger.commit(UNIT, batch) == Counts(extracted=1, inserted=1)
        except StoreBusy:
            lost += 1
        assert len(books.written) == done
    assert (lost, len(told)) == (1, 1)
    assert await ledger.resume(UNIT) == {"next": 10, "unit": UNIT}
    await ledger.close(UNIT)
    assert books.closed == 1


def job() -> Job:
    new = NewRun(source="s", kind="api", dataset="d", origin="", config_hash="", code_version="")
    return Job(
        new=new,
        source=Pages(),
        dataset=cast("Any", None),
        shape=cast("Any", None),
        ledger=Books(),
        redact=Redactor(frozenset()),
        scratch=Path(),
        max_rejects=Limit(count=1),
    )


async def test_a_job_gets_the_wrapper_of_the_act_and_tells_once() -> None:
    said: list[str] = []
    made = disturbed_job(job(), "double", seed=1, append=False, say=said.append)
    assert len([one async for one in made.source.read(PART, {})]) > PAGES
    assert said == ["double s"]
    assert made.max_rejects is None
    losing = disturbed_job(job(), "lose", seed=1, append=False, say=said.append)
    assert isinstance(losing.ledger, LosingLedger)
    assert isinstance(losing.source, Pages)
    assert disturbed_job(job(), "delay", seed=1, append=False, say=said.append).max_rejects == Limit(count=1)


@pytest.mark.parametrize(("act", "kind"), [("double", Pages), ("reorder", Pages), ("truncate", DisturbedSource)])
def test_pages_whose_rows_are_only_added_come_once(act: Seam, kind: type) -> None:
    made = disturbed_job(job(), act, seed=1, append=True, say=lambda _line: None)
    assert isinstance(made.source, kind)
