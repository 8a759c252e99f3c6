"""Lanes: rows that stand beside a table until they take effect, with checkpoints of their own.

A lane has a table in the schema `refresh`, a row in `etl_refresh` that says by which rules its rows take effect, and a
note of each page that was read into it. A run that is killed leaves its lane, and the next one goes on with it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import orjson
from psycopg import AsyncConnection, sql

from kasparro.errors import Conflict, Stopped
from kasparro.model.dataset import Dataset, Field
from kasparro.model.limit import Limit
from kasparro.model.removal import Removal
from kasparro.model.run import Unit
from kasparro.model.shaped import Batch
from kasparro.store.database import Database
from kasparro.store.queries import queries
from kasparro.store.raw_pages import Kept

Lane = Literal["refresh", "replay", "hold"]

HOLD: Lane = "hold"

SETTINGS = "SET LOCAL jit = off; SET LOCAL work_mem = '128MB'"
"""Of the transaction in which rows take effect: few statements over many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """By which rules the rows of a lane take effect: kept with them, as the configuration may change before.

    Attributes:
        dataset: Where they go, with the fields that they have.
        shape: Tells the mapping that they are made by from others.
        primary_key: By which they are known.
        removal: What becomes of rows that are not met again.
        complete: The source hands out all that it has, so that a row that is not met again is gone.
        append: The source's records are rows of their own: a row is known by the record that it came from.
        who: Who began it.
    """

    dataset: Dataset
    shape: str
    primary_key: tuple[str, ...]
    removal: Removal = Removal()  # noqa: RUF009 - frozen
    complete: bool = True
    append: bool = False
    who: str = ""

    def to_json(self) -> str:
        """Return them as JSON; `shape` has a place of its own."""
        limit = self.removal.limit
        return orjson.dumps(
            {
                "dataset": self.dataset.name,
                "fields": [[field.name, field.type] for field in self.dataset.fields],
                "primary_key": self.primary_key,
                "deletions": self.removal.deletions,
                "accepted": self.removal.accepted,
                "limit": [limit.count, None if limit.share is None else str(limit.share)],
                "complete": self.complete,
                "append": self.append,
                "who": self.who,
            }
        ).decode()

    @classmethod
    def from_json(cls, value: Mapping[str, Any], shape: str) -> "Terms":
        """Read what `to_json` wrote."""
        count, share = value["limit"]
        limit = Limit(count=count, share=None if share is None else Decimal(share))
        fields = tuple(Field(name=name, type=kind) for name, kind in value["fields"])
        return cls(
            dataset=Dataset(name=value["dataset"], fields=fields),
            shape=shape,
            primary_key=tuple(value["primary_key"]),
            removal=Removal(deletions=value["deletions"], limit=limit, accepted=value["accepted"]),
            complete=value["complete"],
            append=value["append"],
            who=value["who"],
        )


def lane_table(lane: Lane, source: str) -> str:
    """Return the qualified name of the table of a lane, safe to put into SQL."""
    return f'refresh."{hashlib.md5(f"{lane} {source}".encode()).hexdigest()}"'  # noqa: S324 - a name


def as_sql(name: str) -> sql.SQL:
    """Return a name that is made or checked by us as SQL."""
    return sql.SQL(name)  # type: ignore[arg-type,unused-ignore]


async def open_lane(database: Database, lane: Lane, source: str, terms: Terms) -> None:
    """Make the table of a lane, unless there is one to go on with."""
    text, table = queries("lanes"), lane_table(lane, source)
    facts = {"source": source, "lane": lane, "beside": table, "shape": terms.shape, "terms": terms.to_json()}
    names = {"beside": as_sql(table), "table": as_sql(terms.dataset.table)}
    async with database.connection() as connection, connection.transaction():
        cursor = await connection.execute(text["under_way"], facts)
        if not (await cursor.fetchall())[0][0]:
            await leave_lane(connection, lane, source)
            await connection.execute(sql.SQL(_LOG if lane == HOLD else _ROWS).format(**names))
            if lane == HOLD:
                await connection.execute(text["follow"], facts)
        await connection.execute(text["note"], facts)


async def leave_lane(connection: AsyncConnection, lane: Lane, source: str) -> None:
    """Forget a lane: its rows, its checkpoints, and which pages were read into it. The pages stay stored."""
    await connection.execute(queries("lanes")["over"], {"source": source, "lane": lane})
    await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(as_sql(lane_table(lane, source))))


async def abandon_hold(connection: AsyncConnection, source: str) -> None:
    """Forget the rows of a run that came to no end: the source is read from where its usual checkpoints stand."""
    facts = {"source": source, "lane": HOLD}
    cursor = await connection.execute(queries("lanes")["begun"], facts)
    if (await cursor.fetchall())[0][0]:
        await leave_lane(connection, HOLD, source)


async def stage_pages(connection: AsyncConnection, unit: Unit, batch: Batch, kept: Kept) -> None:
    """Note which pages were read into a lane, inside the caller's transaction."""
    numbers = [number for number, page in zip(batch.page_ids, batch.pages, strict=True) if len(page.records)]
    facts = {
        "source": unit.source,
        "lane": unit.lane,
        "slice": unit.slice_name,
        "batch": batch.page_ids[0],
        "again": kept.of_this_run and not kept.added,
        "numbers": numbers,
        "page_ids": [kept.renumbered.get(number, number) for number in numbers],
    }
    await connection.execute(queries("lanes")["stage"], facts)


async def fenced(connection: AsyncConnection, source: str, run_id: int) -> int:
    """Hold the run in the caller's transaction; return its pass. Raises Stopped when a later run has the source."""
    cursor = await connection.execute(queries("lanes")["fence"], {"run_id": run_id})
    row = await cursor.fetchone()
    if row is None:
        raise Stopped(f"Run {run_id} of {source} lost the source to a later run; nothing was changed.")
    return int(row[0])


async def hold(connection: AsyncConnection, source: str, run_id: int, pending: Mapping[str, Any] | None) -> None:
    """Let the rows of a run wait for a decision. `pending`: the schema that is accepted with them.

    Raises:
        Stopped: a later run has the source.
    """
    schema = None if pending is None else orjson.dumps(pending).decode()
    cursor = await connection.execute(queries("lanes")["hold"], {"run_id": run_id, "pending": schema})
    if await cursor.fetchone() is None:
        raise Stopped(f"Run {run_id} of {source} lost the source to a later run; nothing was changed.")


async def waiting_run(connection: AsyncConnection, source: str) -> int | None:
    """Return the run of a source whose rows wait for a decision."""
    cursor = await connection.execute(queries("lanes")["waiting_run"], {"source": source})
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


def undecided(source: str, run_id: int) -> Conflict:
    """Return the error of whatever cannot begin before it is decided about the rows of a run."""
    return Conflict(
        f"The rows of run {run_id} of {source} are held, and wait for a decision; nothing was done. Look at them: "
        f"kasparro runs held {run_id}. Put them in: kasparro runs release {run_id}. Throw them away: "
        f"kasparro runs drop {run_id}",
        held=run_id,
    )


def gone(source: str, run_id: int) -> Conflict:
    """Return the error of rows that should be there and are not."""
    return Conflict(
        f"The rows of run {run_id} of {source} that wait for a decision are no longer there: somebody dropped their "
        f"table. Give them up, and read them again: kasparro runs drop {run_id}, then kasparro run {source}"
    )


_ROWS = """
CREATE TABLE {beside} (
    LIKE {table} INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED INCLUDING CONSTRAINTS,
    PRIMARY KEY (source, record_key))"""

_LOG = """
CREATE TABLE {beside} (LIKE {table} INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED INCLUDING CONSTRAINTS)"""
"""Rows as they came, one key as often as it did: they are merged when they take effect, as if they came then."""
