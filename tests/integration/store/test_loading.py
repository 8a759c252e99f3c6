"""Batches into the database: straight, merged, side by side, and around what PostgreSQL refuses."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from tests.integration.conftest import SESSIONS

from kasparro.errors import Stopped
from kasparro.model.dataset import Dataset, Field
from kasparro.model.page import JsonRecords, Page
from kasparro.model.run import Counts, Unit
from kasparro.model.shaped import Batch, Stamp
from kasparro.shaping.plan import Shape
from kasparro.shaping.shaper import Shaper
from kasparro.store.database import Database
from kasparro.store.datasets import ensure
from kasparro.store.ledger import PostgresLedger
from kasparro.store.loading import load
from kasparro.store.runs import NewRun, Runs

DATASET = Dataset(name="d", fields=(Field(name="title"), Field(name="amount", type="numeric")))
NEW = NewRun(source="s", kind="api", dataset="d", origin="", config_hash="c", code_version="v")

Record = dict[str, Any]


class Desk:
    """A run of the source `s` whose batches the test makes."""

    def __init__(self, ledger: PostgresLedger, shaper: Shaper, run_id: int) -> None:
        self.ledger, self.run_id = ledger, run_id
        self._shaper = shaper
        self._marks = itertools.count(1)

    def unit(self, part: str = "all") -> Unit:
        return Unit(source="s", kind="api", dataset="d", run_id=self.run_id, slice_name=part)

    async def batch(self, *pages: list[Record]) -> Batch:
        made = tuple(self._page(one) for one in pages)
        numbers = await self.ledger.number(made)
        shaped = self._shaper.shape(made, Stamp(source="s", run_id=self.run_id, page_ids=numbers))
        return Batch(pages=made, page_ids=numbers, shaped=shaped)

    def _page(self, records: list[Record]) -> Page:
        texts = [orjson.dumps(one) for one in records]
        return Page(
            content=b"[" + b",".join(texts) + b"]",
            content_type="application/json",
            records=JsonRecords(texts=texts, origin="test"),
            bookmark={"next": next(self._marks)},
            origin="test",
            bytes_read=10,
        )

    async def write(self, *pages: list[Record], part: str = "all") -> Counts:
        await self.ledger.resume(self.unit(part))
        counts = await self.ledger.commit(self.unit(part), await self.batch(*pages))
        await self.ledger.close(self.unit(part))
        return counts


@pytest.fixture
def shaper(tmp_path: Path) -> Iterator[Shaper]:
    with Shaper(Shape(dataset=DATASET, primary_key=("id",), well_known={}), tmp_path) as made:
        yield made


async def desk(database: Database, shaper: Shaper, **options: Any) -> Desk:
    await ensure(database, DATASET)
    async with Runs(database).begin(NEW) as begun:
        return Desk(PostgresLedger(database, DATASET, shape="x", **options), shaper, begun.run_id)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type,unused-ignore]


def rows(url: str) -> list[tuple[Any, ...]]:
    return query(url, "SELECT record_key, title FROM data.d ORDER BY record_key")


async def test_pages_that_were_gathered_are_stored_one_by_one_and_rows_know_theirs(
    database: Database, database_url: str, shaper: Shaper
) -> None:
    at = await desk(database, shaper)
    counts = await at.write([{"id": 1}, {"id": 2}], [], [{"title": "no key"}, {"id": 3}], [{"id": 1, "title": "b"}])
    assert counts == Counts(extracted=5, inserted=3, duplicates=1, rejected=1)
    found = query(
        database_url,
        "SELECT record_key, raw_index, content FROM data.d JOIN raw_page AS page ON page.id = raw_page_id ORDER BY 1",
    )
    assert found == [
        ("1", 0, '[{"id":1,"title":"b"}]'),
        ("2", 1, '[{"id":1},{"id":2}]'),
        ("3", 1, '[{"title":"no key"},{"id":3}]'),
    ]
    rejected = "SELECT raw_index, records FROM rejected_record JOIN raw_page AS page ON page.id = raw_page_id"
    assert query(database_url, rejected) == [(0, 2)]
    assert query(database_url, "SELECT bookmark, pages, extracted FROM etl_checkpoint") == [({"next": 4}, 4, 5)]


async def test_a_page_that_comes_twice_in_a_batch_is_stored_once(
    database: Database, database_url: str, shaper: Shaper
) -> None:
    at = await desk(database, shaper)
    counts = await at.write([{"id": 1}], [{"id": 2}], [{"id": 1}])
    assert counts == Counts(extracted=3, inserted=2, duplicates=1)
    assert query(database_url, "SELECT content, last_number - id FROM raw_page ORDER BY id") == [
        ('[{"id":1}]', 2),
        ('[{"id":2}]', 0),
    ]
    assert query(database_url, "SELECT count(*) FROM data.d JOIN raw_page ON raw_page.id = raw_page_id") == [(2,)]


async def test_only_the_rows_that_postgresql_refuses_are_left_out(
    database: Database, database_url: str, shaper: Shaper
) -> None:
    at = await desk(database, shaper)
    await at.write([{"id": 0, "amount": 1}])
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE data.d ADD CONSTRAINT cheap CHECK (amount < 100)")
        connection.execute("CREATE UNIQUE INDEX one_title ON data.d (title)")
    records: list[Record] = [{"id": n, "amount": n, "title": f"t{n}"} for n in range(1, 130)]
    records[9]["title"] = "t5"
    counts = await at.write(records[:50], records[50:])
    assert counts == Counts(extracted=129, inserted=98, rejected=31)
    refused = query(
        database_url, "SELECT place, code, reason, raw FROM rejected_record ORDER BY raw_page_id, raw_index"
    )
    assert refused[0] == (
        "test#9", "refused",
        'PostgreSQL refuses the row: duplicate key value violates unique constraint "one_title" (one_title)',
        '{"id":10,"amount":10,"title":"t5"}',
    )  # fmt: skip
    assert [raw for _, _, reason, raw in refused[1:] if "cheap" in reason] == [
        orjson.dumps(one).decode() for one in records if one["amount"] >= 100
    ]
    assert query(database_url, "SELECT count(*), max(amount) FROM data.d") == [(99, 99)]
    again = await at.write(records[:50], records[50:])
    assert again == Counts(extracted=129, unchanged=98, rejected=31)


async def test_batches_side_by_side_take_effect_in_their_order(
    database: Database, database_url: str, shaper: Shaper
) -> None:
    at = await desk(database, shaper)
    await at.ledger.resume(at.unit())

    # Every batch has keys of the one before it, and one key is in all of them.
    async def both(one: Batch, other: Batch) -> list[Counts]:
        return await asyncio.gather(*(at.ledger.commit(at.unit(), batch) for batch in (one, other)))

    made = [
        await at.batch([{"id": n, "title": f"b{number}"} for n in (0, *range(number * 50, number * 50 + 100))])
        for number in range(12)
    ]
    pairs = [await both(*pair) for pair in zip(made[::2], made[1::2], strict=True)]
    total = sum((one for pair in pairs for one in pair), start=Counts())
    assert total.extracted == 12 * 101
    assert total.inserted == 650
    assert query(database_url, "SELECT title FROM data.d WHERE record_key = '0'") == [("b11",)]
    wrong = "SELECT count(*) FROM data.d WHERE title <> 'b' || least(record_key::int / 50, 11) AND record_key <> '0'"
    assert query(database_url, wrong) == [(0,)]
    assert query(database_url, "SELECT rows FROM dataset_total") == [(650,)]
    assert query(database_url, "SELECT bookmark, pages FROM etl_checkpoint") == [({"next": 12}, 12)]


async def test_no_batch_takes_effect_without_the_one_before_it(
    database: Database, database_url: str, shaper: Shaper
) -> None:
    at = await desk(database, shaper)
    await at.ledger.resume(at.unit())
    first, second, third = [await at.batch([{"id": n}]) for n in (1, 2, 3)]
    broken = Batch(pages=second.pages, page_ids=(first.page_ids[0],), shaped=second.shaped)  # a number that is taken
    ends = await asyncio.gather(
        *(at.ledger.commit(at.unit(), one) for one in (first, broken, third)), return_exceptions=True
    )
    assert isinstance(ends[0], Counts)
    assert isinstance(ends[1], Exception)
    assert isinstance(ends[2], Stopped)
    assert rows(database_url) == [("1", None)]
    assert query(database_url, "SELECT bookmark FROM etl_checkpoint") == [({"next": 1},)]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
async def test_of_two_slices_with_one_key_the_later_slice_stays_whoever_comes_first(
    database: Database, database_url: str, shaper: Shaper, order: tuple[str, str]
) -> None:
    at = await desk(database, shaper)
    counts = [await at.write([{"id": 1, "title": part}, {"id": part, "title": part}], part=part) for part in order]
    assert rows(database_url) == [("1", "b"), ("a", "a"), ("b", "b")]
    assert sum(counts, start=Counts()).extracted == 4
    later = await desk(database, shaper)
    assert later.run_id > at.run_id
    await later.write([{"id": 1, "title": "new"}], part="a")
    assert rows(database_url)[0] == ("1", "new")  # what comes in a later pass counts, whatever its slice


async def test_a_page_that_is_known_is_not_merged_unless_its_rows_have_changed_since(
    database: Database, database_url: str, shaper: Shaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    old: list[Record] = [{"id": 1, "title": "old"}, {"id": 2}]
    new: list[Record] = [{"id": 1, "title": "new"}]
    assert await (await desk(database, shaper)).write(old) == Counts(extracted=2, inserted=2)
    merges = []

    async def counted(*given: Any, **options: Any) -> Any:
        merges.append(1)
        return await load(*given, **options)

    monkeypatch.setattr("kasparro.store.ledger.load", counted)
    assert await (await desk(database, shaper)).write(old) == Counts(extracted=2, unchanged=2)
    assert merges == []
    assert await (await desk(database, shaper)).write(new) == Counts(extracted=1, updated=1)
    assert await (await desk(database, shaper)).write(old) == Counts(extracted=2, updated=1, unchanged=1)
    assert rows(database_url) == [("1", "old"), ("2", None)]
    assert await (await desk(database, shaper)).write(old) == Counts(extracted=2, unchanged=2)
    assert len(merges) == 3  # `new`, `old` after it, and once more to find that nothing differs
    assert await (await desk(database, shaper)).write(old) == Counts(extracted=2, unchanged=2)
    assert len(merges) == 3
    assert query(database_url, "SELECT count(*) FROM raw_page") == [(2,)]


async def test_a_hash_that_differs_alone_rewrites_nothing(
    database: Database, database_url: str, shaper: Shaper
) -> None:
    await (await desk(database, shaper)).write([{"id": 1, "title": "a"}, {"id": 2, "title": "b"}])
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE data.d SET record_hash = record_hash + 1")
    at = await desk(database, shaper)
    assert await at.write([{"id": 1, "title": "a"}, {"id": 2, "title": "c"}]) == Counts(
        extracted=2, updated=1, unchanged=1
    )
    assert query(database_url, "SELECT run_id FROM data.d ORDER BY record_key") == [(1,), (2,)]


async def test_appended_records_are_rows_of_their_own(database: Database, database_url: str, shaper: Shaper) -> None:
    at = await desk(database, shaper, append=True)
    assert await at.write([{"id": 1}, {"id": 1}], [{"id": 1}]) == Counts(extracted=3, inserted=3)
    assert await at.write([{"id": 1}, {"id": 1}]) == Counts(extracted=2, inserted=2)  # the same page once more
    assert await (await desk(database, shaper, append=True)).write([{"id": 1}]) == Counts(extracted=1, inserted=1)
    assert query(database_url, "SELECT count(*), count(DISTINCT record_key) FROM data.d") == [(6, 6)]
    orphans = "SELECT count(*) FROM data.d WHERE raw_page_id NOT IN (SELECT id FROM raw_page)"
    assert query(database_url, orphans) == [(0,)]
    assert query(database_url, "SELECT sum(rows) FROM dataset_total") == [(6,)]


@pytest.mark.parametrize("known", [False, True])
async def test_what_the_batch_before_changes_meanwhile_is_looked_at_again(
    database: Database, database_url: str, shaper: Shaper, *, known: bool
) -> None:
    """The second batch finds its row unchanged, or its whole page known, while the first one is about to change it."""
    await (await desk(database, shaper)).write([{"id": 1, "title": "b"}])
    at = await desk(database, shaper)
    await at.ledger.resume(at.unit())
    later: list[Record] = [{"id": 1, "title": "b"}] if known else [{"id": 1, "title": "b"}, {"id": 2}]
    first, second = await at.batch([{"id": 1, "title": "a"}]), await at.batch(later)
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("SELECT FROM etl_checkpoint FOR UPDATE")
        works = [asyncio.ensure_future(at.ledger.commit(at.unit(), batch)) for batch in (first, second)]
        waiting = f"SELECT count(*) {SESSIONS} AND query LIKE '%pg_blocking_pids($1)%'"
        async with asyncio.timeout(60):
            while query(database_url, waiting) == [(0,)]:  # noqa: ASYNC110 - PostgreSQL sends no word
                await asyncio.sleep(0.01)
    counts = await asyncio.gather(*works)
    assert rows(database_url)[0] == ("1", "b")
    assert counts == [Counts(extracted=1, updated=1), Counts(extracted=len(later), updated=1, inserted=len(later) - 1)]
