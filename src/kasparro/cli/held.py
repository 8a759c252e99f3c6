"""`runs held`, `runs release` and `runs drop`: rows that wait for a decision, looked at and decided about."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from kasparro.cli.context import DryRunOption, JsonOption, Limit, asked, consoles, who_asks
from kasparro.cli.tables import print_json, show
from kasparro.cli.words import count_in_words
from kasparro.model.held import Held
from kasparro.model.run import Counts
from kasparro.store.database import Database
from kasparro.store.hold_runs import HeldRuns

RunArgument = Annotated[int, typer.Argument(metavar="RUN", help="Its number.")]
AcceptOption = Annotated[
    bool, typer.Option("--accept-deletions", help="However many rows go: max_deletions does not count this time.")
]
SkipOption = Annotated[
    bool, typer.Option("--skip", help="The next run goes on behind the records, instead of reading them again.")
]

_SHOWN = 60
"""Characters of a value in a table."""


def say_held(out: Console, held: Held, *, shown: bool = False) -> None:
    """Print that rows wait, why, and what can be done. `shown`: they are looked at already."""
    out.print(
        f"{held.source}: run {held.run_id} is {held.verdict}, so its rows are held: {_sizes(held)}.", markup=False
    )
    for reason in held.reasons:
        out.print(f"  {reason}", markup=False, soft_wrap=True)
    if not shown:
        out.print(f"  Look at them:     kasparro runs held {held.run_id}", markup=False)
    out.print(f"  Put them in:      kasparro runs release {held.run_id}", markup=False)
    out.print(f"  Throw them away:  kasparro runs drop {held.run_id}", markup=False)


def runs_held(run_id: RunArgument, limit: Limit = 20, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show the rows of a run that wait for a decision: new ones, changed ones with their old values, removed ones."""

    async def body(database: Database) -> tuple[Held, list[dict[str, Any]]]:
        runs = HeldRuns(database)
        return await runs.one(run_id), await runs.rows(run_id, limit)

    held, rows = asked(body)
    if as_json:
        print_json({**asdict(held), "rows": rows})
        return
    out = consoles().out
    say_held(out, held, shown=True)
    if rows:
        out.print()
        show(out, [{**row, "values": _values(row)} for row in rows], ("record_key", "change", "values"), as_json=False)
    more = held.new + held.changed + held.removed - len(rows)
    if more > 0:
        out.print(f"and {count_in_words(more)} more; show them with --limit", markup=False)


def runs_release(
    run_id: RunArgument,
    accept: AcceptOption = False,  # noqa: FBT002
    dry_run: DryRunOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Put the rows of a held run into the dataset, all at once, with its checkpoint and the schema that it saw."""

    async def body(database: Database) -> tuple[str, Held | Counts]:
        runs = HeldRuns(database)
        source = await runs.source(run_id)
        return source, await (runs.one(run_id) if dry_run else runs.release(run_id, who_asks(), accept=accept))

    source, found = asked(body)
    if as_json:
        print_json({"source": source, "run_id": run_id, "released": not dry_run, **asdict(found)})
    elif isinstance(found, Held):
        _say(f"Run {run_id} of {source} would be released: {_sizes(found)}. Nothing was changed.")
    else:
        numbers = {"added": found.inserted, "updated": found.updated, "unchanged": found.unchanged}
        numbers |= {"removed": found.deleted} if found.deleted else {}
        told = ", ".join(f"{count_in_words(number)} {word}" for word, number in numbers.items())
        _say(f"Released run {run_id} of {source}: {told}. The next run goes on behind it.")


def runs_drop(
    run_id: RunArgument,
    skip: SkipOption = False,  # noqa: FBT002
    dry_run: DryRunOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Throw the rows of a held run away. The next run reads the same records again. Raw pages stay stored."""

    async def body(database: Database) -> str:
        runs = HeldRuns(database)
        source = await runs.source(run_id)
        if not dry_run:
            await runs.drop(run_id, who_asks(), skip=skip)
        return source

    source = asked(body)
    if as_json:
        print_json({"source": source, "run_id": run_id, "dropped": not dry_run, "skipped": skip})
        return
    following = (
        f"The next run goes on behind its records; kasparro replay {source} would bring them."
        if skip
        else "The next run reads the same records again."
    )
    if dry_run:
        _say(f"The rows of run {run_id} of {source} would be dropped. {following} Nothing was changed.")
    else:
        _say(f"Dropped the rows of run {run_id} of {source}. {following}")


def _say(line: str) -> None:
    consoles().out.print(line, markup=False, soft_wrap=True)


def _sizes(held: Held) -> str:
    sizes = f"{count_in_words(held.new)} new, {count_in_words(held.changed)} changed"
    removed = f", {count_in_words(held.removed)} to be removed" if held.removed else ""
    return f"{sizes}{removed} ({count_in_words(held.unchanged)} unchanged)"


def _values(row: dict[str, Any]) -> str:
    """Say what a row is, or what changes in it."""
    old, new = row["old"], row["new"]
    if old is None or new is None:
        whole = (old or new or {}).items()
        return ", ".join(f"{name}: {_shown(value)}" for name, value in whole if value is not None)
    changed = [name for name in new if old.get(name) != new[name]]
    return ", ".join(f"{name}: {_shown(old.get(name))} → {_shown(new[name])}" for name in changed)


def _shown(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
