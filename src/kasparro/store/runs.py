"""Runs in the database: one at a time per source, recorded from their first moment to their end."""

import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import AsyncConnection

from kasparro.errors import Conflict, Misconfigured
from kasparro.model.run import Counts, RunStatus
from kasparro.store.database import Database
from kasparro.store.queries import queries

_DIED = (
    "The process that ran it ended without a word (killed, or the machine went down). The next run went on from there."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What is known of a run before it begins. `origin` and `config_hash` hold no secret; `trigger`: what began it."""

    source: str
    kind: str
    dataset: str
    origin: str
    config_hash: str
    code_version: str
    primary_key: tuple[str, ...] = ()
    trigger: str = "run"
    lane: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that holds its source's lock. `resumed`: an earlier run left something to go on from."""

    run_id: int
    resumed: bool


class Runs:
    """Begins and ends runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("runs")

    @asynccontextmanager
    async def begin(self, new: NewRun) -> AsyncIterator[Begun]:
        """Hold the source's lock for the block, record runs that died, and begin a new one.

        Raises:
            Conflict: another run of this source is under way.
            Misconfigured: its rows are known by another key, or stand in another dataset.
        """
        async with self._database.own_connection() as connection:
            await self._lock(connection, new.source)
            async with connection.transaction():
                facts = {"source": new.source, "kind": new.kind, "dataset": new.dataset, "origin": new.origin}
                facts |= {"lane": new.lane, "primary_key": orjson.dumps(new.primary_key).decode()}
                cursor = await connection.execute(self._sql["known"], facts)
                _check_known(new, await cursor.fetchone())
                await connection.execute(self._sql["declare"], facts)
                cursor = await connection.execute(self._sql["abandoned"], facts)
                for (run_id,) in await cursor.fetchall():
                    await self._end(connection, run_id, "interrupted", ("interrupted", _DIED), 0)
                cursor = await connection.execute(self._sql["unfinished"], facts)
                resumed = await _single(cursor.fetchone())
                facts |= {
                    "holder": f"{socket.gethostname()}:{os.getpid()}",
                    "config_hash": new.config_hash,
                    "code_version": new.code_version,
                    "trigger": new.trigger,
                }
                cursor = await connection.execute(self._sql["begin"], facts)
                run_id = await _single(cursor.fetchone())
                await connection.execute(self._sql["pass"], {**facts, "run_id": run_id, "resumed": resumed})
            yield Begun(run_id=run_id, resumed=resumed)

    async def finish(self, run_id: int, status: RunStatus, error: tuple[str, str] | None, retries: int) -> Counts:
        """End a run and return what it has committed.

        Args:
            run_id: The run.
            status: Any but `running`.
            error: Code and sentence, without secrets.
            retries: Attempts that were repeated.
        """
        async with self._database.connection() as connection:
            await self._end(connection, run_id, status, error, retries)
            cursor = await connection.execute(self._sql["counts"], {"run_id": run_id})
            row = await cursor.fetchone()
        if row is None:
            return Counts()
        names = ("extracted", "inserted", "updated", "unchanged", "duplicates", "rejected")
        return Counts(**dict(zip(names, row, strict=True)))

    async def _lock(self, connection: AsyncConnection, source: str) -> None:
        cursor = await connection.execute(self._sql["lock"], {"source": source})
        if await _single(cursor.fetchone()):
            return
        cursor = await connection.execute(self._sql["holder"], {"source": source})
        row = await cursor.fetchone()
        who = f"run {row[0]} by {row[1]}, since {row[2]:%Y-%m-%d %H:%M:%S} UTC" if row is not None else "just started"
        raise Conflict(f"Another run of {source} is under way ({who}). Wait for it to end, or stop it.")

    async def _end(
        self, connection: AsyncConnection, run_id: int, status: RunStatus, error: tuple[str, str] | None, retries: int
    ) -> None:
        code, text = error if error is not None else (None, None)
        facts = {"run_id": run_id, "status": status, "error_code": code, "error": text, "retries": retries}
        await connection.execute(self._sql["finish"], facts)


def _check_known(new: NewRun, known: tuple[str, list[str] | None, int] | None) -> None:
    """Refuse what would make a second set of rows of the same records."""
    if known is None or known[1] is None or known[2] == 0:
        return
    dataset, key, rows = known
    if dataset != new.dataset:
        change, old, now = "dataset", dataset, new.dataset
    elif tuple(key or ()) != new.primary_key:
        change, old, now = "primary_key", _shown(key or ()), _shown(new.primary_key)
    else:
        return
    raise Misconfigured(
        f"{new.source} has {rows:,} rows with the {change} {old}, and is now declared with {now}: the same records "
        f"would become other rows beside them. Declare it under another name, or change it back, or remove its rows "
        f"and read it anew: kasparro checkpoint reset {new.source} --rows"
    )


def _shown(key: Sequence[str]) -> str:
    return ", ".join(key) or "(none: the content)"


async def _single(fetched: Any) -> Any:  # noqa: ANN401 - a row of one column
    row = await fetched
    return row[0]
