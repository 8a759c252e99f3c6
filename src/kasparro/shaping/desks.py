"""The general way from records to rows: DuckDB does the work per record, in one statement per batch.

Loaded when a page is at hand: DuckDB and numpy take a tenth of a second, which a run without news can do without.
"""

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import duckdb
import orjson
from duckdb.func import SPECIAL

from kasparro.errors import Broken, Misconfigured
from kasparro.model.page import CsvRecords, JsonRecords, Page, Reject
from kasparro.model.shaped import Shaped, Stamp
from kasparro.shaping import literal
from kasparro.shaping.csv_parse import read_csv_sql
from kasparro.shaping.fields import CsvCells, JsonPlaces
from kasparro.shaping.json_read import json_relation
from kasparro.shaping.origins import origins_of
from kasparro.shaping.plan import RAW, REDO, Plan, Shape, compile_plan

_MEMORY = "300MB"

_AGAIN = 20
"""Batches that go the general way after one on which the quick way was tried in vain."""

Records = CsvRecords | JsonRecords


class Desks:
    """The desks of one slice. They share a DuckDB, which may read and write in the scratch folder and nowhere else.

    Several threads may shape at once: each works at a desk, a connection with tables and files of its own.
    """

    def __init__(self, shape: Shape, scratch: Path) -> None:
        self._shape = shape
        self._scratch = scratch
        self._duck = _opened(shape.timezone, scratch)
        self._numbers = count()
        self._idle: list[_Desk] = []
        self._changed = threading.Condition()
        self._busy = 0

    def close(self) -> None:
        """Wait until nobody is at work: whoever gave up on a page may still have a thread on it. Then end DuckDB."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0)
            self._duck.close()

    def shape(self, pages: Sequence[Page], filled: Sequence[int], stamp: Stamp) -> Shaped:
        """Shape those pages of a batch that hold records."""
        desk = self._take()
        try:
            return desk.shape(pages, filled, stamp)
        finally:
            self._give(desk)

    def _take(self) -> "_Desk":
        with self._changed:
            self._busy += 1
            if self._idle:
                return self._idle.pop()
            return _Desk(self._shape, self._duck.cursor(), self._scratch / f"desk-{next(self._numbers)}")

    def _give(self, desk: "_Desk") -> None:
        with self._changed:
            self._busy -= 1
            self._idle.append(desk)
            self._changed.notify_all()


def _opened(timezone: str, scratch: Path) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB of our own, which may read and write in the scratch folder and nowhere else."""
    duck = duckdb.connect(":memory:")
    for setting in (
        "threads = 1",
        # What a statement has freed goes back to the system: pages follow each other, and it would add up.
        "allocator_flush_threshold = '1MB'",
        "allocator_bulk_deallocation_flush_threshold = '1MB'",
        f"memory_limit = '{_MEMORY}'",
        f"temp_directory = {literal.text(str(scratch))}",
        f"GLOBAL TimeZone = {literal.text(timezone)}",
        f"allowed_directories = [{literal.text(str(scratch))}]",
        "enable_external_access = false",
    ):
        duck.execute(f"SET {setting}")
    duck.create_function("strict_json", _strict_json, ["VARCHAR"], "VARCHAR", null_handling=SPECIAL)
    return duck


class _Desk:
    """Where one thread shapes: a connection whose temporary tables nobody else sees."""

    def __init__(self, shape: Shape, duck: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._shape = shape
        self._duck = duck
        self._folder = folder
        self._plans: dict[tuple[str, ...] | None, Plan] = {}
        self._mark: str | None = ""
        self._general = 0
        folder.mkdir(exist_ok=True)
        self._set_mark(None)

    def shape(self, batch: Sequence[Page], filled: Sequence[int], stamp: Stamp) -> Shaped:
        """Shape those pages of a batch that hold records."""
        pages = [batch[at] for at in filled]
        plan = self._plan(pages[0].records)
        try:
            self._fill(pages, plan)
        except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
            raise Misconfigured(f"The mapping for {pages[0].origin} does not work: {_first_line(error)}") from error
        except duckdb.ConversionException as error:
            raise Misconfigured(
                f"A sql expression of the mapping fails on a record of {pages[0].origin}: {_first_line(error)}. "
                "Use TRY_CAST where a value may not convert."
            ) from error
        except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
            raise Broken(
                f"Temporary files cannot be written to {self._folder.parent.parent}: {_first_line(error)}. "
                "Free space there, or set TMPDIR to another directory."
            ) from error
        rows, wrong = self._collect(pages)
        shaped = Shaped(
            rows=self._rows(pages, plan, stamp, [stamp.page_ids[at] for at in filled]),
            count=rows,
            rejects=self._rejects(pages, filled, plan) if wrong else (),
        )
        self._duck.execute("DROP TABLE page")
        return shaped

    def _set_mark(self, mark: str | None) -> None:
        """Define how marked numbers are restored; most pages go with the same mark, or none."""
        if mark == self._mark:
            return
        self._mark = mark
        plain = unmarked = "t"
        if mark is not None:
            inside = literal.text(f'"{mark}([^"]*)"')
            unmarked = f"replace(t, {literal.text(mark)}, '')"
            plain = f"replace(regexp_replace(t, {inside}, '\\1', 'g'), {literal.text(mark)}, '')"
        self._duck.execute(f"CREATE OR REPLACE TEMP MACRO plain(t) AS {plain}")
        self._duck.execute(f"CREATE OR REPLACE TEMP MACRO unmarked(t) AS {unmarked}")

    def _plan(self, records: Records) -> Plan:
        columns = records.columns if isinstance(records, CsvRecords) else None
        if columns not in self._plans:
            places = JsonPlaces() if columns is None else CsvCells(columns=columns, origin=records.origin)
            self._plans[columns] = compile_plan(self._shape, places)
        return self._plans[columns]

    def _fill(self, pages: Sequence[Page], plan: Plan) -> None:
        """Make the table `page`: the quick way, and again the general way when a value is not written plainly."""
        raw = self._raw([page.records for page in pages], plan)
        if self._general == 0:
            self._duck.execute(f"CREATE OR REPLACE TEMP TABLE page AS {plan.quick.replace(RAW, raw)}")
            if self._one(f"SELECT count(*) FROM page WHERE bad = {REDO}")[0] == 0:
                return
            self._general = _AGAIN
        self._general -= 1
        self._duck.execute(f"CREATE OR REPLACE TEMP TABLE page AS {plan.select.replace(RAW, raw)}")

    def _raw(self, records: Sequence[Records], plan: Plan) -> str:
        """Return SQL of the raw records: `i` and the cells of a CSV page, or `i, j, x, y` of JSON pages."""
        first = records[0]
        if isinstance(first, CsvRecords):
            file = self._folder / "records.csv"
            file.write_bytes(first.text)
            return f"(SELECT row_number() OVER () - 1 AS i, * FROM {read_csv_sql(first, str(file))})"
        texts = [text for one in records if isinstance(one, JsonRecords) for text in one.texts]
        self._set_mark(json_relation(self._duck, texts, plan))
        return "raw"

    def _collect(self, pages: Sequence[Page]) -> tuple[int, int]:
        """Return how many rows there are, and how many records are wrong."""
        total, wrong = self._one("SELECT count(*), count(bad) FROM page")
        records = sum(len(page.records) for page in pages)
        if total != records:  # the screen and the parser must agree on what a record is, or nothing may be written
            raise Broken(f"{pages[0].origin}: the parser found {total} records where the screen found {records}.")
        return total - wrong, wrong

    def _rows(self, pages: Sequence[Page], plan: Plan, stamp: Stamp, numbers: Sequence[int]) -> bytes:
        file = self._folder / "rows.csv"
        values = ", ".join(f"v{n}" for n in range(len(plan.columns)))
        page, number = str(numbers[0]), "i"
        table = "page"
        if len(pages) > 1 or pages[0].records.indexes is not None:
            origins = origins_of([one.records for one in pages], numbers)
            self._duck.register("marks", {"p": origins.pages, "n": origins.indexes})
            page, number, table = "p", "n", "page POSITIONAL JOIN marks"
        self._duck.execute(
            f"""COPY (SELECT {literal.text(stamp.source)}, k, h, {stamp.run_id}, {page}, {number}, {values}
                      FROM {table} WHERE bad IS NULL) TO {literal.text(str(file))} (FORMAT csv, HEADER false)"""
        )
        return file.read_bytes()

    def _rejects(self, pages: Sequence[Page], filled: Sequence[int], plan: Plan) -> tuple[Reject, ...]:
        found = self._duck.execute("SELECT i, bad, said FROM page WHERE bad IS NOT NULL ORDER BY i").fetchall()
        starts = [0, *accumulate(len(page.records) for page in pages)]
        rejects = []
        for index, bad, said in found:
            at = bisect_right(starts, index) - 1
            made = _reject(pages[at].records, plan, index - starts[at], bad, said)
            rejects.append(replace(made, page=filled[at]))
        return tuple(rejects)

    def _one(self, statement: str) -> tuple[Any, ...]:
        """Return the one row of an aggregate, fetched whole: an open result would block the connection."""
        row: tuple[Any, ...] = self._duck.execute(statement).fetchall()[0]
        return row


def _reject(records: Records, plan: Plan, index: int, bad: int, said: str | None) -> Reject:
    path, code, reason = plan.reject(bad)
    return Reject(
        place=records.place(index),
        path=path,
        code=code,
        reason=reason,
        value=said,
        raw=records.raw(index),
        index=index if records.indexes is None else records.indexes[index],
    )


def _strict_json(text: str | None) -> str | None:
    """Give the text back where it is JSON by the standard; DuckDB itself also takes `NaN` and `[1,]`."""
    if text is None:
        return None
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return None if "\\u0000" in text else text


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
