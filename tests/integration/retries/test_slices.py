"""A run of several slices, of which one is asked to wait: the others commit what is in hand, and it parks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.retries.conftest import Ask

from kasparro.errors import Broken, KasparroError, RateLimited
from kasparro.ingestion.run import Job, run_source
from kasparro.model.dataset import NORMALIZED
from kasparro.model.events import Event, PageRead
from kasparro.model.page import Bookmark, JsonRecords, Page
from kasparro.model.redact import Redactor
from kasparro.model.run import RunResult
from kasparro.model.source import Slice
from kasparro.shaping.plan import Shape
from kasparro.store.database import Database
from kasparro.store.ledger import PostgresLedger
from kasparro.store.runs import NewRun


def page_of(part: str, number: int) -> Page:
    texts = [json.dumps({"id": f"{part}{number}", "title": part}).encode()]
    return Page(
        content=b"[" + b",".join(texts) + b"]",
        content_type="application/json",
        records=JsonRecords(texts=texts, origin="test"),
        rejects=(),
        bookmark={"next": number + 1},
        origin="test",
        bytes_read=10,
    )


class Slices:
    """Slices by name with what each does after its pages: end, raise, or wait for ever."""

    def __init__(self, pages: int, ends: dict[str, KasparroError | None]) -> None:
        self._pages = pages
        self._ends = ends
        self.begun: list[str] = []
        self.others_read = asyncio.Event()

    async def slices(self) -> Sequence[Slice]:
        return tuple(Slice(name=name) for name in self._ends)

    async def read(self, part: Slice, bookmark: Bookmark) -> AsyncIterator[Page]:
        self.begun.append(part.name)
        for number in range(int(bookmark.get("next", 0)), self._pages):
            yield page_of(part.name, number)
        end = self._ends[part.name]
        if end is not None:
            await self.others_read.wait()
            raise end
        if "waits" in part.name:
            await asyncio.Event().wait()


Go = Callable[..., Any]


@pytest.fixture
def go(database: Database, tmp_path: Path) -> Go:
    async def run(source: Slices, *, read: str = "", stop: asyncio.Event | None = None, **more: Any) -> RunResult:
        job = Job(
            new=NewRun(
                source="s", kind="api", dataset="normalized_data", origin="test", config_hash="c", code_version="v"
            ),
            source=source,
            dataset=NORMALIZED,
            shape=Shape(dataset=NORMALIZED, primary_key=("id",), well_known={"title": ("title",)}),
            ledger=PostgresLedger(database, NORMALIZED),
            redact=Redactor([]),
            scratch=tmp_path,
            **more,
        )

        def told(event: Event) -> None:
            # The page of the other slice was read, and is not committed yet.
            if isinstance(event, PageRead) and event.slice_name == read:
                source.others_read.set()

        return await run_source(job, database, told, asyncio.Event() if stop is None else stop)

    return run


def asked(wait: float) -> RateLimited:
    return RateLimited(f"asked to wait for {wait:.0f} s", retry_after=wait, park=True)


async def test_the_others_commit_what_they_have_in_hand(go: Go, ask: Ask) -> None:
    source = Slices(1, {"a": asked(600), "waits": None, "later": None})
    result = await go(source, read="waits", parallel=2)
    assert (result.status, result.error_code, result.counts.inserted) == ("parked", "rate_limited", 2)
    assert result.resume_at is not None
    assert sorted(source.begun) == ["a", "waits"]
    stands = await asyncio.to_thread(
        ask, "SELECT slice, pages, finished FROM etl_checkpoint WHERE pages > 0 ORDER BY 1"
    )
    assert stands == [("a", 1, False), ("waits", 1, False)]


async def test_the_longest_of_the_waits_counts(go: Go, ask: Ask) -> None:
    source = Slices(1, {"a": asked(60), "b": asked(600)})
    source.others_read.set()
    result = await go(source, parallel=2)
    assert result.status == "parked"
    ((ahead,),) = await asyncio.to_thread(ask, "SELECT extract(epoch FROM resume_at - started_at)::float FROM etl_run")
    assert 60 <= ahead < 660


async def test_a_failure_is_told_rather_than_a_wait(go: Go) -> None:
    source = Slices(1, {"a": Broken("no"), "waits": None})
    source.others_read.set()
    result = await go(source, parallel=2)
    assert (result.status, result.error_code, result.resume_at) == ("failed", "broken", None)


async def test_a_run_that_is_stopped_lets_every_slice_commit(go: Go, ask: Ask) -> None:
    stop = asyncio.Event()
    source = Slices(1, {"waits": None, "waits too": None})

    async def later() -> None:
        while True:
            committed = await asyncio.to_thread(ask, "SELECT count(*) FROM normalized_data")
            if committed == [(2,)]:
                stop.set()
                return
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(later())
    async with asyncio.timeout(30):
        result = await go(source, stop=stop, parallel=2)
        await watching
    assert (result.status, result.error_code, result.resume_at) == ("stopped", "stopped", None)
    assert result.counts.inserted == 2


async def test_the_next_run_goes_on_in_the_same_pass(go: Go, ask: Ask) -> None:
    first = Slices(2, {"a": asked(600), "b": None})
    first.others_read.set()
    assert (await go(first)).status == "parked"
    result = await go(Slices(2, {"a": None, "b": None}))
    assert result.status == "success"
    assert await asyncio.to_thread(ask, "SELECT id, pass_id, status FROM etl_run ORDER BY id") == [
        (1, 1, "parked"),
        (2, 1, "success"),
    ]
    assert await asyncio.to_thread(ask, "SELECT count(*) FROM normalized_data") == [(4,)]
