"""Finds the rows of a batch that differ from those in the table, before any of them is sent whole.

Most rows of a repeated load are there already, and equal. So only keys and hashes are copied at first; the table is
probed for each by its primary key, and what turns out new or different is merged. What is sent is cut out of the rows
of the batch by their bytes: rows are CSV, and a comma or line end inside quotes is one behind an odd number of quotes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg import AsyncConnection, sql

from kasparro.model.run import Unit
from kasparro.model.shaped import RowPlaces, Shaped
from kasparro.store.copying import copy_rows
from kasparro.store.target import PLANNER, Target

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

_IN_TURN = np.array([False, True])

_COMMA, _LF, _QUOTE = 44, 10, 34

_TABLE = sql.SQL(
    'CREATE TEMP TABLE IF NOT EXISTS probe (record_key text COLLATE "C", record_hash bigint, '
    "n int GENERATED ALWAYS AS IDENTITY) ON COMMIT DELETE ROWS"
)
_PROBE = sql.Identifier("pg_temp", "probe")
_COLUMNS = sql.SQL("record_key, record_hash")

_ASK = sql.SQL(
    """
    SELECT count(*), (SELECT count(*) FROM (SELECT FROM pg_temp.probe GROUP BY record_key) AS one), min(given.n),
           array_agg(given.n) FILTER (WHERE known.record_hash IS DISTINCT FROM given.record_hash
                                         OR known.run_id = ANY (%(pass_runs)s))
    FROM pg_temp.probe AS given
    LEFT JOIN {table} AS known ON known.source = %(source)s AND known.record_key = given.record_key
    """
)

_MET = sql.SQL("SELECT EXISTS (SELECT record_key FROM pg_temp.probe INTERSECT SELECT unnest(%(keys)s::text[]))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows as CSV, and where each begins: one number more than there are rows."""

    text: bytes
    starts: Places

    def some(self, chosen: npt.NDArray[np.bool_]) -> bytes:
        """Return those of the rows that are chosen."""
        kept = np.repeat(chosen, np.diff(self.starts))
        return np.frombuffer(self.text, dtype=np.uint8)[kept].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """The rows that are not in the table as they are given; the others, so many, are."""

    rows: bytes
    count: int
    equal: int


def keys_and_hashes(text: bytes, source: str, places: RowPlaces | None = None) -> tuple[Rows, bytes]:
    """Return the rows, and CSV of the key and hash of each: the second and third cell, behind that of the source."""
    data = np.frombuffer(text, dtype=np.uint8)
    starts, cuts = _searched(data, text, source) if places is None else map(np.asarray, (places.starts, places.cuts))
    first = starts[:-1] + len(source.encode()) + 1
    runs = np.empty((len(cuts), 2), dtype=np.int64)  # of each row: what comes before, then key and hash
    runs[:, 1] = cuts + 1 - first
    runs[:, 0] = np.diff(cuts + 1, prepend=0) - runs[:, 1]
    rest = data[: int(cuts[-1]) + 1]
    narrow = rest[np.repeat(np.tile(_IN_TURN, len(runs)), runs.ravel())]
    narrow[np.cumsum(runs[:, 1]) - 1] = _LF
    return Rows(text=text, starts=starts), narrow.tobytes()


def _searched(data: Bytes, text: bytes, source: str) -> tuple[Places, Places]:
    """Return where rows start and where their hashes end, found by commas and line ends outside of quotes."""
    commas, ends = data == _COMMA, data == _LF
    if b'"' in text:
        outside = (np.cumsum(data == _QUOTE, dtype=np.uint8) & 1) == 0  # wraps at 256, which is even
        commas, ends = commas & outside, ends & outside
    starts = np.append(0, np.flatnonzero(ends) + 1)
    places = np.flatnonzero(commas)
    first = starts[:-1] + len(source.encode()) + 1
    return starts, places[np.searchsorted(places, first) + 1]


async def differing(connection: AsyncConnection, target: Target, unit: Unit, shaped: Shaped) -> Differing | None:
    """Return the rows that differ; None where a key comes more than once, so that their order matters."""
    rows, narrow = keys_and_hashes(shaped.rows, unit.source, shaped.places)
    await connection.execute(_TABLE)
    await copy_rows(connection, _PROBE, _COLUMNS, narrow)
    await connection.execute(PLANNER)
    facts = {"source": unit.source, "pass_runs": list(target.pass_runs)}
    cursor = await connection.execute(_ASK.format(table=target.into), facts)
    count, keys, lowest, found = (await cursor.fetchall())[0]
    if keys < count:
        return None
    chosen = np.zeros(count, dtype=np.bool_)
    if found is not None:
        chosen[np.array(found, dtype=np.int64) - lowest] = True
    different = int(np.count_nonzero(chosen))
    return Differing(rows=rows.some(chosen), count=different, equal=count - different)


async def met(connection: AsyncConnection, keys: Sequence[str]) -> bool:
    """Tell whether the batch that was probed last in this transaction holds one of these keys."""
    cursor = await connection.execute(_MET, {"keys": list(keys)})
    return bool((await cursor.fetchall())[0][0])
