"""A long history, made by SQL: few sources have most runs, few kinds are most findings, and some things are past.

What makes lists slow is what is rare, absent or long ago: so one source has retired, runs are judged since a while,
one kind of findings is found no more, severities go with kinds, and one run has ten thousand findings.
"""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString

import orjson
import psycopg

from kasparro.model.facts import FieldFacts, RunFacts
from kasparro.model.metrics import METRICS
from kasparro.model.profile import SAMPLED, FieldProfile, Profile
from kasparro.store.migrate import shipped

KINDS = (
    "field_added", "value_added", "row_count_low", "duration_long", "null_share_changed", "row_count_high", "bytes_low",
    "stale_records", "distinct_low", "distribution_shifted", "reject_share_high", "field_removed", "row_count_zero",
)  # fmt: skip
OLD_KIND = "null_share_low"


_SETTINGS: tuple[LiteralString, ...] = (
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '512MB'",
    "SET max_parallel_maintenance_workers = 2",
)
_HEAD = re.compile(r"^-- (\w+): .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long the history is. `profiled`: so many of the latest runs have facts and profiles."""

    runs: int
    findings: int

    @property
    def profiled(self) -> int:
        """So many of the latest runs are judged with facts and have a profile."""
        return min(self.runs // 5, 12_000)

    @property
    def wide_run(self) -> int:
        """The run that has ten thousand findings more."""
        return self.runs - 500


def statements() -> dict[str, LiteralString]:
    """Return the statements of `history_seed.sql` by name."""
    _, *parts = _HEAD.split(Path(__file__).with_suffix(".sql").read_text("utf-8"))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def facts_text() -> str:
    """Return what a run with twenty fields is compared by, as JSON."""
    fields = {
        f"field_{number}": FieldFacts(null_share=0.1, distinct=900.0, quantiles=(1.0, 2.0, 3.0, 4.0, 5.0), records=4000)
        for number in range(20)
    }
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return orjson.dumps(RunFacts(started_at=moment, seconds=30.0, records=4000, fields=fields).to_json()).decode()


def profile_text() -> str:
    """Return what was seen of a run with twenty fields, as JSON."""
    dice = random.Random(1)
    fields = {
        f"field_{number}": FieldProfile(
            present=4000,
            types={"integer": 4000},
            low=1,
            high=5000,
            hashes=tuple(sorted(dice.getrandbits(63) for _ in range(SAMPLED))),
            sample=tuple(sorted((dice.getrandbits(63), str(dice.randrange(5000))) for _ in range(SAMPLED))),
        )
        for number in range(20)
    }
    return orjson.dumps(Profile(rows=4000, looked=4000, fields=fields).to_json()).decode()


def seed(url: str, size: Size, say: Callable[[str], None]) -> None:
    """Make the history in an empty database, unless it is there."""
    since = time.perf_counter()
    sql = statements()
    with psycopg.connect(url, autocommit=True) as connection:
        for one in () if _is_there(connection) else shipped():
            connection.execute(one.sql)
            connection.execute(
                "INSERT INTO schema_migration (number, name, checksum) VALUES (%s, %s, %s)",
                [one.number, one.name, one.checksum],
            )
        if (connection.execute("SELECT count(*) FROM etl_source").fetchone() or (0,))[0]:
            return
        for setting in _SETTINGS:
            connection.execute(setting)
        connection.execute(sql["source"])
        given: dict[str, object] = {
            "runs": size.runs,
            "profiled": size.profiled,
            "findings": size.findings,
            "wide": size.wide_run,
            "old": OLD_KIND,
            "kinds": list(KINDS),
            "facts": facts_text(),
            "profile": profile_text(),
        }
        for table, statement in (("etl_run", sql["runs"]), ("finding", sql["findings"])):
            with_indexes_later(connection, table, statement, given)
            say(f"{table}: {time.perf_counter() - since:.0f} s")
        timed = [one for one in METRICS if one.buckets and one.labels == ("source",)]
        given |= {
            "names": [one.name for one in timed],
            "bounds": [one.bounds for one in timed],
            "buckets": [len(one.buckets) for one in timed],
        }
        for statement in (sql["totals"], sql["schedules"], sql["profiles"], sql["metrics"]):
            connection.execute(statement, given)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    say(f"seeded: {time.perf_counter() - since:.0f} s")


def _is_there(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT to_regclass('schema_migration') IS NOT NULL").fetchone()
    if row is not None and row[0]:
        return True
    connection.execute(
        "CREATE TABLE schema_migration (number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())"
    )
    return False


def with_indexes_later(
    connection: psycopg.Connection, table: str, statement: LiteralString, given: dict[str, object]
) -> None:
    """Fill a table without triggers, and build its indexes behind that."""
    rows = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname <> %s", [table, f"{table}_pkey"]
    ).fetchall()
    for name, _ in rows:
        connection.execute(f'DROP INDEX "{name}"'.encode())
    connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    connection.execute(statement, given)
    connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
    for _, definition in rows:
        connection.execute(definition.encode())
