"""Shapes pages: records in; rows ready for COPY, rejects and a profile out. DuckDB does the work per record.

A shaper belongs to one slice and one thread at a time. It holds a DuckDB of its own, which may read and write in its
scratch folder and nowhere else.
"""

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import orjson
from duckdb.func import SPECIAL

from kasparro.errors import Broken, Misconfigured
from kasparro.model.page import CsvRecords, JsonRecords, Page, Reject
from kasparro.model.profile import Profile
from kasparro.model.shaped import Shaped
from kasparro.shaping import literal
from kasparro.shaping.csv_parse import read_csv_sql
from kasparro.shaping.exact import protect
from kasparro.shaping.fields import CsvCells, JsonPlaces
from kasparro.shaping.plan import Plan, Shape, compile_plan

_MEMORY = "300MB"

_SEPARATOR = b"\x1e"
"""Between JSON records: a control character cannot stand in valid JSON."""


class Shaper:
    """Shapes the pages of one slice.

    Args:
        shape: What the records are to become.
        scratch: Folder for temporary files.
    """

    def __init__(self, shape: Shape, scratch: Path) -> None:
        self._shape = shape
        self._scratch = scratch
        self._plans: dict[tuple[str, ...] | None, Plan] = {}
        self._mark: str | None = ""
        self._busy = threading.Lock()
        self._duck = duckdb.connect(":memory:")
        self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._busy:  # whoever gave up on a page may still have a thread at work on it
            self._duck.close()

    def shape(self, page: Page) -> Shaped:
        """Shape one page.

        Raises:
            SchemaBroken: the configuration names a column that the file does not have.
            Misconfigured: a `sql` expression of the mapping does not work.
        """
        if len(page.records) == 0:
            return Shaped()
        with self._busy:
            return self._shaped(page)

    def _shaped(self, page: Page) -> Shaped:
        plan = self._plan(page.records)
        try:
            self._read(page.records, plan)
            self._duck.execute(f"CREATE OR REPLACE TEMP TABLE page AS {plan.select}")
            self._duck.execute("DROP TABLE raw")
        except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
            raise Misconfigured(f"The mapping for {page.origin} does not work: {_first_line(error)}") from error
        except duckdb.ConversionException as error:
            raise Misconfigured(
                f"A sql expression of the mapping fails on a record of {page.origin}: {_first_line(error)}. "
                "Use TRY_CAST where a value may not convert."
            ) from error
        except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
            raise Broken(
                f"Temporary files cannot be written to {self._scratch.parent}: {_first_line(error)}. "
                "Free space there, or set TMPDIR to another directory."
            ) from error
        shaped = self._collect(page.records, plan)
        self._duck.execute("DROP TABLE page")
        return shaped

    def _prepare(self) -> None:
        zone = literal.text(self._shape.timezone)
        for setting in (
            "threads = 1",
            f"memory_limit = '{_MEMORY}'",
            f"temp_directory = {literal.text(str(self._scratch))}",
            f"TimeZone = {zone}",
            f"allowed_directories = [{literal.text(str(self._scratch))}]",
            "enable_external_access = false",
        ):
            self._duck.execute(f"SET {setting}")
        self._duck.create_function("strict_json", _strict_json, ["VARCHAR"], "VARCHAR", null_handling=SPECIAL)
        self._set_mark(None)

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

    def _plan(self, records: CsvRecords | JsonRecords) -> Plan:
        columns = records.columns if isinstance(records, CsvRecords) else None
        if columns not in self._plans:
            places = JsonPlaces() if columns is None else CsvCells(columns=columns, origin=records.origin)
            self._plans[columns] = compile_plan(self._shape, places)
        return self._plans[columns]

    def _read(self, records: CsvRecords | JsonRecords, plan: Plan) -> None:
        """Make the relation `raw`: `i` and the cells of a CSV page, or `i, j, x, y` of a JSON page."""
        if isinstance(records, CsvRecords):
            file = self._scratch / "records.csv"
            file.write_bytes(records.text)
            cells = read_csv_sql(records, str(file))
            self._duck.execute(
                f"CREATE OR REPLACE TEMP TABLE raw AS SELECT row_number() OVER () - 1 AS i, * FROM {cells}"
            )
            self._expect(len(records), records.origin)
            return
        text, mark = protect(_SEPARATOR.join(records.texts))
        self._set_mark(mark)
        x = f"json_extract_string(j, [{', '.join(plan.pointers)}]) AS x" if plan.pointers else "NULL AS x"
        y = f"json_extract(j, [{', '.join(plan.json_pointers)}]) AS y" if plan.json_pointers else "NULL AS y"
        self._duck.execute(
            f"""CREATE OR REPLACE TEMP TABLE raw AS SELECT row_number() OVER () - 1 AS i, j, {x}, {y}
                FROM (SELECT unnest(string_split(?, chr(30))) AS j)""",
            [text.decode("utf-8")],
        )
        self._expect(len(records), records.origin)

    def _expect(self, records: int, origin: str) -> None:
        """The screen and the parser must agree on what a record is; if they do not, nothing may be written."""
        parsed = self._one("SELECT count(*) FROM raw")[0]
        if parsed != records:
            raise Broken(f"{origin}: the parser found {parsed} records where the screen found {records}.")

    def _collect(self, records: CsvRecords | JsonRecords, plan: Plan) -> Shaped:
        good = "bad IS NULL"
        present = ", ".join(f"count(v{n})" for n in range(len(plan.columns)))
        total, keys, sound, *filled = self._one(
            f"SELECT count(*), count(DISTINCT k) FILTER ({good}), count(*) FILTER ({good}), {present} FROM page"
        )
        if keys < sound:
            self._duck.execute(
                f"""DELETE FROM page WHERE {good} AND i NOT IN
                    (SELECT max(i) FROM page WHERE {good} GROUP BY k)"""
            )
        rejects = self._rejects(records, plan) if sound < total else ()
        names = [column.field.name for column in plan.columns]
        profile = Profile(rows=total, present=dict(zip(names, filled, strict=True)))
        return Shaped(rows=self._rows(plan), count=keys, duplicates=sound - keys, rejects=rejects, profile=profile)

    def _rows(self, plan: Plan) -> bytes:
        file = self._scratch / "rows.csv"
        values = ", ".join(f"v{n}" for n in range(len(plan.columns)))
        self._duck.execute(
            f"""COPY (SELECT k, h, i, {values} FROM page WHERE bad IS NULL ORDER BY k)
                TO {literal.text(str(file))} (FORMAT csv, HEADER false)"""
        )
        return file.read_bytes()

    def _rejects(self, records: CsvRecords | JsonRecords, plan: Plan) -> tuple[Reject, ...]:
        found = self._duck.execute("SELECT i, bad, said FROM page WHERE bad IS NOT NULL ORDER BY i").fetchall()
        return tuple(_reject(records, plan, *row) for row in found)

    def _one(self, statement: str) -> tuple[Any, ...]:
        row = self._duck.execute(statement).fetchone()
        if row is None:  # an aggregate always gives one row
            raise AssertionError(statement)
        return row


def _reject(records: CsvRecords | JsonRecords, plan: Plan, index: int, bad: int, said: str | None) -> Reject:
    path, code, reason = plan.reject(bad)
    return Reject(
        place=records.place(index), path=path, code=code, reason=reason, value=said, raw=records.raw(index), index=index
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
