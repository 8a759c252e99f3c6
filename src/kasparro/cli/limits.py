"""`limits`: what may be asked of providers, by all processes together."""

from dataclasses import asdict
from typing import Annotated

import typer

from kasparro.cli.context import JsonOption, asked, consoles
from kasparro.cli.tables import show
from kasparro.errors import NotFound
from kasparro.store.budgets_seen import BudgetSeen, forget_budgets, list_budgets
from kasparro.store.database import Database

_COLUMNS = ("budget", "limit", "by", "left", "held", "processes", "waits_until", "reason")


def limits(
    forget: Annotated[
        str | None,
        typer.Option("--forget", metavar="HOST", help="Forget what is known of a host, and waits that it asked for."),
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show the rate limits that are kept at the moment, what is left of them, and who waits until when."""

    async def body(database: Database) -> list[BudgetSeen]:
        async with database.connection() as connection:
            if forget is not None and not await forget_budgets(connection, forget):
                raise NotFound(f"Nothing is known of {forget}. kasparro limits shows what there is, by host and port.")
            return await list_budgets(connection)

    rows = [asdict(one) for one in asked(body)]
    if rows or as_json:
        show(consoles().out, rows, _COLUMNS, as_json=as_json)
    else:
        consoles().out.print("No limit is kept at the moment.")
