"""Compares two runs of the database."""

from typing import Any

from kasparro.judge.compare import compare
from kasparro.store.database import Database
from kasparro.store.operator import Operator
from kasparro.store.watch import Watch


async def compare_runs(database: Database, base: int, head: int) -> dict[str, Any]:
    """Return how two runs differ, as `judge.compare` has it. Raises NotFound."""
    operator, watch = Operator(database), Watch(database)
    one, other = _timed(await operator.run(base)), _timed(await operator.run(head))
    return compare(one, other, await watch.profile(base), await watch.profile(head))


def _timed(run: dict[str, Any]) -> dict[str, Any]:
    ended = run["finished_at"]
    return {**run, "seconds": None if ended is None else (ended - run["started_at"]).total_seconds()}
