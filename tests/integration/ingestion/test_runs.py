"""The heart on a real PostgreSQL, with a source of the test's own: what is counted, kept, resumed and fenced."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kasparro.engines.local import LocalEngine
from kasparro.errors import Broken, StoreBusy
from kasparro.ingestion.run import Job, run_source
from kasparro.ingestion.runner import Floor, run_jobs
from kasparro.model.dataset import NORMALIZED
from kasparro.model.events import Event, PageCommitted, PageRead, PagesShaped, RunStarted
from kasparro.model.limit import Limit
from kasparro.model.page import Bookmark, JsonRecords, Page, Reject
from kasparro.model.redact import Redactor
from kasparro.model.run import Counts, RunResult, Unit
from kasparro.model.shaped import Batch, Shaped
from kasparro.model.source import Slice
from kasparro.resilience.retry import Timing
from kasparro.shaping.plan import Shape
from kasparro.store.database import Database
from kasparro.store.ledger import PostgresLedger
from kasparro.store.runs import NewRun, Runs

Record = dict[str, Any]


def page_of(records: Sequence[Record], bookmark: Bookmark, rejects: tuple[Reject, ...] = ()) -> Page:
    texts = [json.dumps(record).encode() for record in records]
    return Page(
        content=b"[" + b",".join(texts) + b"]",
        content_type="application/json",
        records=JsonRecords(texts=texts, origin="test"),
        rejects=rejects,
        bookmark=bookmark,
        origin="test",
        bytes_read=10,
    )


@dataclass(kw_only=True)
class Pages:
    """A source that gives the pages after its bookmark, and then fails if it is told to."""

    pages: list[list[Record]]
    rejects: tuple[Reject, ...] = ()
    error: Exception | None = None
    before: Callable[[int], Any] = lambda _n: None
    read_from: list[int] = field(default_factory=list)

    async def slices(self) -> Sequence[Slice]:
        return (Slice(name="all"),)

    async def read(self, part: Slice, bookmark: Bookmark) -> AsyncIterator[Page]:
        assert part.name == "all"
        start = int(bookmark.get("next", 0))
        self.read_from.append(start)
        for n in range(start, len(self.pages)):
            waiting = self.before(n)
            if waiting is not None:
                await waiting
            yield page_of(self.pages[n], {"next": n + 1}, self.rejects)
        if self.error is not None:
            raise self.error


Run = Callable[..., Any]


@pytest.fixture
def job(database: Database, tmp_path: Path) -> Callable[..., Job]:
    def make(source: Pages, name: str = "s", **changes: Any) -> Job:
        made = Job(
            new=NewRun(
                source=name, kind="api", dataset="normalized_data", origin="test", config_hash="c", code_version="v"
            ),
            source=source,
            dataset=NORMALIZED,
            shape=Shape(dataset=NORMALIZED, primary_key=("id",), well_known={"title": ("title",)}),
            ledger=PostgresLedger(database, NORMALIZED),
            redact=Redactor(["hunter2"]),
            scratch=tmp_path,
        )
        return replace(made, **changes)

    return make


@pytest.fixture
def run(database: Database, job: Callable[..., Job]) -> Run:
    async def go(source: Pages, **options: Any) -> RunResult:
        stop = options.pop("stop", asyncio.Event())
        emit = options.pop("emit", lambda _event: None)
        return await run_source(job(source, **options), database, emit, stop)

    return go


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]


async def test_every_record_is_counted_as_one_thing(run: Run, database_url: str) -> None:
    bad = Reject(place="test:9", code="width", reason="too wide", raw="a\0b")
    source = Pages(
        pages=[[{"id": 1, "title": "a"}, {"id": 2}, {"id": 2, "title": "b"}], [{"id": 1, "title": "a"}, {"title": "x"}]]
    )
    result = await run(source)
    assert (result.status, result.error) == ("success", None)
    assert result.counts == Counts(extracted=5, inserted=2, duplicates=2, rejected=1)
    second = await run(
        Pages(pages=[[], [], [{"id": 1, "title": "c"}, {"id": 2, "title": "b"}, {"id": 3}]], rejects=(bad,))
    )
    assert second.counts == Counts(extracted=4, inserted=1, updated=1, unchanged=1, rejected=1)
    rows = query(database_url, "SELECT record_key, title FROM normalized_data ORDER BY 1")
    assert rows == [("1", "c"), ("2", "b"), ("3", None)]
    assert query(database_url, "SELECT place, code, raw, times FROM rejected_record ORDER BY id") == [
        ("test#1", "key_missing", '{"title": "x"}', 1),
        ("test:9", "width", "a\\x00b", 1),
    ]
    totals = query(database_url, "SELECT sum(rows), sum(changes) FROM dataset_total WHERE dataset = 'normalized_data'")
    assert [tuple(map(int, row)) for row in totals] == [(3, 4)]
    per_run = (
        "SELECT status, extracted, inserted, updated, unchanged, duplicates, rejected, pages FROM etl_run ORDER BY id"
    )
    assert query(database_url, per_run) == [("success", 5, 2, 0, 0, 2, 1, 2), ("success", 4, 1, 1, 1, 0, 1, 1)]
    per_source = "SELECT runs, failures, extracted, inserted, last_error FROM etl_source"
    assert query(database_url, per_source) == [(2, 0, 9, 3, None)]


async def test_each_step_is_told_with_its_time(run: Run) -> None:
    events: list[Event] = []
    bad = Reject(place="test:9", code="width", reason="too wide", raw="a")
    pages: list[list[Record]] = [[{"id": 1}, {"id": 2}, {"title": "no key"}], [{"id": 3}]]
    began = time.time()
    await run(Pages(pages=pages, rejects=(bad,)), emit=events.append)
    seconds = time.time() - began
    read = [event for event in events if isinstance(event, PageRead)]
    shaped = [event for event in events if isinstance(event, PagesShaped)]
    committed = [event for event in events if isinstance(event, PageCommitted)]
    assert [event.records for event in read] == [3, 1]
    assert sum(event.records for event in shaped) == 4
    assert sum(event.pages for event in shaped) == sum(event.pages for event in committed) == 2
    assert sum((Counter(event.reasons) for event in committed), Counter()) == {"width": 2, "key_missing": 1}
    assert all(asdict(event)["reasons"] == event.reasons for event in committed)  # as plain values, for JSON lines
    steps: list[PageRead | PagesShaped | PageCommitted] = [*read, *shaped, *committed]
    for event in steps:
        assert began - 1 <= event.began <= began + seconds + 1
        assert 0 <= event.seconds <= seconds + 1


async def test_an_unchanged_row_is_not_written(run: Run, database_url: str) -> None:
    await run(Pages(pages=[[{"id": 1, "title": "a"}]]))
    where = "SELECT ctid::text, xmin::text, updated_at, run_id FROM normalized_data"
    before = query(database_url, where)
    result = await run(Pages(pages=[[], [{"title": "a", "id": 1}]]))
    assert result.counts == Counts(extracted=1, unchanged=1)
    assert query(database_url, where) == before


async def test_the_same_page_is_kept_once_and_each_record_can_be_looked_at(run: Run, database_url: str) -> None:
    await run(Pages(pages=[[{"id": 1}, {"id": 2}]]))
    await run(Pages(pages=[[], [{"id": 1}, {"id": 2}]]))
    assert query(database_url, "SELECT count(*) FROM raw_page") == [(1,)]
    assert query(database_url, "SELECT raw_index, payload FROM raw_data_api") == [(0, {"id": 1}), (1, {"id": 2})]
    joined = """SELECT n.record_key, r.payload FROM normalized_data n
                JOIN raw_data_api r USING (raw_page_id, raw_index) ORDER BY 1"""
    assert query(database_url, joined) == [("1", {"id": 1}), ("2", {"id": 2})]


async def test_a_failed_run_keeps_what_it_committed_and_the_next_goes_on(run: Run, database_url: str) -> None:
    source = Pages(pages=[[{"id": 1}], [{"id": 2}]], error=Broken("it says hunter2"))
    result = await run(source)
    assert (result.status, result.error, result.error_code) == ("failed", "it says ****", "broken")
    assert result.counts.inserted == 2
    assert query(database_url, "SELECT status, error, error_code FROM etl_run") == [
        ("failed", "it says ****", "broken")
    ]
    events: list[Event] = []
    source.error = None
    source.pages.append([{"id": 3}])
    result = await run(source, emit=events.append)
    assert result.counts == Counts(extracted=1, inserted=1)
    assert source.read_from == [0, 2]
    assert [event.resumed for event in events if isinstance(event, RunStarted)] == [True]
    assert query(database_url, "SELECT finished, bookmark FROM etl_checkpoint") == [(True, {"next": 3})]


async def test_an_unforeseen_error_fails_only_its_source(database: Database, job: Callable[..., Job]) -> None:
    jobs = [
        job(Pages(pages=[[{"id": 1}]], error=ZeroDivisionError("oops")), "bad"),
        job(Pages(pages=[[{"id": 1}]]), "good"),
    ]
    floor = Floor(database=database, engine=LocalEngine(limit=2), emit=lambda _event: None, stop=asyncio.Event())
    results = await run_jobs(jobs, floor)
    assert {name: result.status for name, result in results.items()} == {"bad": "failed", "good": "success"}
    assert results["bad"].error == "ZeroDivisionError: oops"


async def test_told_to_stop_it_finishes_the_commit_in_hand(run: Run, database_url: str) -> None:
    stop = asyncio.Event()

    source = Pages(pages=[[{"id": n}] for n in range(20)], before=lambda n: stop.set() if n == 7 else None)
    result = await run(source, stop=stop)
    assert (result.status, result.counts.inserted) == ("stopped", 8)  # what was read by then, in one commit
    assert query(database_url, "SELECT status FROM etl_run") == [("stopped",)]
    result = await run(source)
    assert (result.status, result.counts.inserted, source.read_from) == ("success", 12, [0, 8])


async def test_told_to_stop_while_waiting_it_stops_at_once(run: Run) -> None:
    stop = asyncio.Event()

    def before(n: int) -> Any:
        if n == 0:
            return None
        stop.set()
        return asyncio.Event().wait()  # never comes

    result = await asyncio.wait_for(run(Pages(pages=[[{"id": 1}], []], before=before), stop=stop), timeout=20)
    assert result.status == "stopped"


async def test_a_second_run_of_the_source_is_refused_while_the_first_is_under_way(run: Run) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    def before(_n: int) -> Any:
        entered.set()
        return go_on.wait()

    first = asyncio.create_task(run(Pages(pages=[[{"id": 1}]], before=before)))
    await entered.wait()
    second = await run(Pages(pages=[[{"id": 2}]]))
    assert (second.status, second.error_code, second.run_id) == ("failed", "conflict", None)
    assert "Another run of s is under way (run 1 by" in (second.error or "")
    go_on.set()
    assert (await first).status == "success"


async def test_a_run_that_died_is_found_by_the_next(run: Run, database: Database, database_url: str) -> None:
    new = NewRun(source="s", kind="api", dataset="normalized_data", origin="", config_hash="c", code_version="v")
    async with Runs(database).begin(new):
        pass  # ends without a word, as a killed process does
    result = await run(Pages(pages=[[{"id": 1}]]))
    assert result.status == "success"
    assert query(database_url, "SELECT id, status FROM etl_run ORDER BY id") == [(1, "interrupted"), (2, "success")]
    assert query(database_url, "SELECT runs, failures FROM etl_source") == [(2, 1)]
    with pytest.raises(psycopg.errors.CheckViolation, match="run 1 is interrupted and cannot become success"):
        query(database_url, "UPDATE etl_run SET status = 'success' WHERE id = 1 RETURNING 1")


async def test_whoever_lost_the_lease_writes_nothing(database: Database, database_url: str, run: Run) -> None:
    await run(Pages(pages=[[{"id": 1}]]))
    late = Unit(source="s", kind="api", dataset="normalized_data", run_id=1, slice_name="all")
    ledger = PostgresLedger(database, NORMALIZED)
    await ledger.resume(replace(late, run_id=2))
    page = page_of([{"id": 9}], {"next": 9})
    row = b"s,9,1,1,1000,0,,,,,,{}\n"
    batch = Batch(pages=(page,), page_ids=(1000,), shaped=Shaped(rows=row, count=1))
    with pytest.raises(Exception, match="Run 1 of s lost its lease on all to a later run; nothing was written"):
        await ledger.commit(late, batch)
    with pytest.raises(Exception, match="lost its lease"):
        await ledger.close(late)
    with pytest.raises(Exception, match="lost its lease"):
        await ledger.resume(late)
    assert query(database_url, "SELECT record_key FROM normalized_data") == [("1",)]
    assert query(database_url, "SELECT count(*) FROM raw_page") == [(1,)]


async def test_a_database_that_went_away_is_waited_for(
    database: Database, database_url: str, job: Callable[..., Job]
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def cut(n: int) -> None:
        if n == 1 and not waits:
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            raise StoreBusy("cut")

    source = Pages(pages=[[{"id": 1}], [{"id": 2}]], before=cut)
    floor = Floor(
        database=database,
        engine=LocalEngine(limit=1),
        emit=lambda _event: None,
        stop=asyncio.Event(),
        timing=Timing(sleep=sleep),
    )
    result = (await run_jobs([job(source)], floor))["s"]
    assert result.status == "success"
    assert len(waits) == 1
    assert query(database_url, "SELECT record_key FROM normalized_data ORDER BY 1") == [("1",), ("2",)]


async def test_a_database_that_stays_away_is_waited_for_for_two_minutes(
    database: Database, database_url: str, job: Callable[..., Job]
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def away(_n: int) -> None:
        raise StoreBusy("away")

    floor = Floor(
        database=database,
        engine=LocalEngine(limit=1),
        emit=lambda _event: None,
        stop=asyncio.Event(),
        timing=Timing(sleep=sleep, clock=lambda: sum(waits)),
    )
    result = (await run_jobs([job(Pages(pages=[[{"id": 1}]], before=away))], floor))["s"]
    assert (result.status, result.error_code) == ("failed", "store_busy")
    assert 110 <= sum(waits) <= 120
    assert max(waits) <= 10
    assert query(database_url, "SELECT count(*) FROM etl_run WHERE status = 'failed'") == [(len(waits) + 1,)]


async def test_a_database_that_is_lost_after_every_commit_ends_no_run(
    database: Database, database_url: str, job: Callable[..., Job]
) -> None:
    waits: list[float] = []
    lost: set[int] = set()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def cut(n: int) -> None:
        if n not in lost:
            lost.add(n)
            raise StoreBusy("cut")

    floor = Floor(
        database=database,
        engine=LocalEngine(limit=1),
        emit=lambda _event: None,
        stop=asyncio.Event(),
        timing=Timing(sleep=sleep),
    )
    result = (await run_jobs([job(Pages(pages=[[{"id": n}] for n in range(10)], before=cut))], floor))["s"]
    assert (result.status, result.counts) == ("success", Counts(extracted=10, inserted=10))
    assert len(waits) == 1  # before the first page; afterwards every attempt has committed one
    assert query(database_url, "SELECT count(*), sum(extracted)::bigint FROM etl_run") == [(11, 10)]


async def test_too_many_rejects_stop_a_run_and_what_was_committed_stays(run: Run, database_url: str) -> None:
    pages: list[list[Record]] = [[{"id": n}, {"title": "no key"}] for n in range(3)]
    result = await run(Pages(pages=pages), max_rejects=Limit(count=2))
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.startswith("3 of 6 records of s were rejected, more than max_rejects allows (2).")
    assert query(database_url, "SELECT count(*) FROM normalized_data") == [(3,)]
    shared = await run(Pages(pages=pages[:1]), name="t", max_rejects=Limit.read("10%"))
    assert shared.error is not None
    assert "1 of 2 records of t were rejected" in shared.error
    assert (await run(Pages(pages=pages[:1]), name="u", max_rejects=Limit.read("50%"))).status == "success"
