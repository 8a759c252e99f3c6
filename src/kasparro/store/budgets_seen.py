"""Budgets as people look at them."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection

from kasparro.model.rate import Rate
from kasparro.resilience.budget_permits import soon
from kasparro.resilience.budget_values import from_json
from kasparro.store.queries import queries


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSeen:
    """One limit of a budget, or a budget without any that waits.

    Attributes:
        host: Who is asked.
        budget: Its name: the host, and the mark of the credentials where it is theirs.
        limit: Such as 10/s; None where only a wait is known.
        by: `declared`, or `learned` and how the provider names it.
        left: Requests that may be sent at this moment, by whoever asks first.
        held: Those that processes have taken and not given back yet.
        processes: How many take part.
        waits_until: Nobody asks before this moment.
        reason: Who said so.
    """

    host: str
    budget: str
    limit: str | None
    by: str | None
    left: int | None
    held: int | None
    processes: int
    waits_until: datetime | None
    reason: str | None


async def list_budgets(connection: AsyncConnection) -> list[BudgetSeen]:
    """Return the budgets that say anything, by host."""
    cursor = await connection.execute(queries("budgets")["list"])
    found = []
    for key, host, written, now, waits_until in await cursor.fetchall():
        book = from_json(written)
        shared = {"host": host, "budget": key, "processes": sum(one.until > now for one in book.holders.values())}
        shared |= {"waits_until": waits_until, "reason": book.why if waits_until is not None else None}
        for name, pool in book.pools.items():
            held = sum(one.held.get(name, 0) for one in book.holders.values())
            limit = str(Rate(count=pool.count, seconds=pool.span))
            by = name if pool.learned else "declared"
            left = soon(pool, now - book.offset)
            found.append(BudgetSeen(**shared, limit=limit, by=by, left=left, held=held))
        if not book.pools:
            found.append(BudgetSeen(**shared, limit=None, by=None, left=None, held=None))
    return found


async def forget_budgets(connection: AsyncConnection, name: str) -> int:
    """Forget what is known of a host, by any credentials, or one budget; return how many budgets that were."""
    cursor = await connection.execute(queries("budgets")["forget"], {"name": name})
    return len(await cursor.fetchall())
