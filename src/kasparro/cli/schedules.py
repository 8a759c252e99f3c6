"""`schedules`: when sources are due, and what became of the last due moments."""

from datetime import datetime
from typing import Any

from kasparro.assembly.scheduling import read_schedule
from kasparro.cli.context import JsonOption, asked, consoles
from kasparro.cli.tables import show
from kasparro.scheduling.ticks import upcoming
from kasparro.store.database import Database
from kasparro.store.ticks import Ticks

_COLUMNS = ("source", "schedule", "next_due", "last_due", "last_was", "queued", "joined", "missed")


def schedules(as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show the schedules of all sources, as they were declared last, and what was done by them."""

    async def listed(database: Database) -> list[dict[str, Any]]:
        return await Ticks(database).schedules()

    rows = [_shown(row) for row in asked(listed)]
    if rows or as_json:
        show(consoles().out, rows, _COLUMNS, as_json=as_json)
    else:
        consoles().out.print(
            "No source has a schedule. Give one to a source in kasparro.yaml, and start: kasparro worker"
        )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    schedule = read_schedule(row["source"], row["schedule"])
    due: datetime | None = None
    if schedule is not None:
        due = upcoming(schedule, last=row["last_due"], since=row["since"], now=row["now"])
    told = "(of another version)" if schedule is None else str(schedule)
    return {**{name: row[name] for name in row if name != "now"}, "schedule": told, "next_due": due}
