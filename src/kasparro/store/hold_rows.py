"""What rows that wait beside a table would change in it: counted, and shown as they are and as they would be."""

from typing import Any, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from kasparro.model.held import Held
from kasparro.store.hold import Hold
from kasparro.store.lanes import as_sql
from kasparro.store.queries import queries
from kasparro.store.refresh import Refresh
from kasparro.store.target import comparable

Beside = Hold | Refresh


async def counted(connection: AsyncConnection, beside: Beside, run_id: int, verdict: str) -> Held:
    """Return how many rows wait, what they would change, and why they wait."""
    cursor = await connection.execute(_statement(beside, "count"), {"source": beside.source})
    rows, new, changed, removed = (await cursor.fetchall())[0]
    cursor = await connection.execute(queries("hold")["reasons"], {"run_id": run_id})
    reasons = tuple(f"{severity}: {message}" for severity, message in await cursor.fetchall())
    return Held(
        source=beside.source,
        run_id=run_id,
        verdict=verdict,
        reasons=reasons,
        new=new,
        changed=changed,
        unchanged=rows - new - changed,
        removed=removed,
    )


async def shown(connection: AsyncConnection, beside: Beside, limit: int) -> list[dict[str, Any]]:
    """Return rows that would be added, changed or removed, by key: `record_key`, `change`, `old` and `new`."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_statement(beside, "rows"), {"source": beside.source, "limit": limit})
    return await cursor.fetchall()


def _statement(beside: Beside, name: LiteralString) -> sql.Composed:
    dataset, comma = beside.terms.dataset, sql.SQL(", ")
    names = [sql.Identifier(field.name) for field in dataset.fields]

    def columns(table: LiteralString) -> sql.Composed:
        return comma.join(sql.SQL("{}.{}").format(sql.SQL(table), name) for name in names)

    values = sql.SQL("ROW({}) IS DISTINCT FROM ROW({})").format(
        comparable(dataset, "known"), comparable(dataset, "made")
    )
    return sql.SQL(queries("hold")[name]).format(
        table=as_sql(dataset.table),
        waiting=_waiting(beside, columns("one")),
        removable=beside.removable if isinstance(beside, Refresh) else sql.SQL("false"),
        # Where the hashes are equal a run leaves the row alone; a refresh compares the values.
        differs=values
        if isinstance(beside, Refresh)
        else sql.SQL("known.record_hash <> made.record_hash AND ") + values,
        knowns=columns("known"),
        mades=columns("made"),
    )


def _waiting(beside: Beside, columns: sql.Composed) -> sql.Composed:
    """The rows as they would stand in the table: one of each key."""
    if isinstance(beside, Refresh):
        return sql.SQL("SELECT * FROM {}").format(as_sql(beside.table))
    name: LiteralString = "appended" if beside.terms.append else "last"
    return sql.SQL(queries("hold")[name]).format(log=as_sql(beside.table), ones=columns)
