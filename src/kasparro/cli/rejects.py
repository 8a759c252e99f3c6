"""`rejects`: records that could not become rows; listed, shown, tried again with the mapping of now, or discarded."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from kasparro.assembly.jobs import rejects_replayed
from kasparro.cli.context import (
    ConfigOption,
    Consoles,
    DryRunOption,
    JsonOption,
    Limit,
    SourceArgument,
    YesOption,
    asked,
    confirmed,
    consoles,
    who_asks,
)
from kasparro.cli.exits import exit_of_results
from kasparro.cli.run import carried_out, summarise
from kasparro.cli.tables import print_json, show, show_one
from kasparro.cli.words import count_in_words
from kasparro.errors import Misconfigured
from kasparro.store.database import Database
from kasparro.store.rejects import RejectFilter, Rejects, RejectStatus

rejects_app = typer.Typer(no_args_is_help=True, help="Rejected records: list, show, replay and discard.")

_STATES = ("open", "replayed", "discarded", "gone", "all")

IdsOption = Annotated[list[int] | None, typer.Option("--id", help="Only these; may be given several times.")]
RunOption = Annotated[int | None, typer.Option("--run", help="Only those that this run met.")]
CodeOption = Annotated[str | None, typer.Option("--code", help="Only with this code, such as not_integer.")]
PathOption = Annotated[str | None, typer.Option("--path", help="Only with this field at fault.")]
PlaceOption = Annotated[str | None, typer.Option("--place", help="Only places that begin so, such as sales.csv.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--since", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only met since then (UTC)."),
]


@rejects_app.command("list")
def rejects_list(  # noqa: PLR0913, PLR0917 - as many as the command has options
    source: SourceArgument = None,
    run_id: RunOption = None,
    code: CodeOption = None,
    path: PathOption = None,
    place: PlaceOption = None,
    since: SinceOption = None,
    status: Annotated[str, typer.Option("--status", help=f"One of {', '.join(_STATES)}.")] = "open",
    limit: Limit = 20,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """List records that could not become rows, newest first, each with its place, reason and text."""
    wanted = _filter(source, None, run_id, code, path, place, since, _status(status))
    rows = asked(lambda database: Rejects(database).list(wanted, limit))
    columns = ("id", "run_id", *(() if status == "open" else ("status",)), "place", "reason", "raw")
    show(consoles().out, rows, columns, as_json=as_json)


@rejects_app.command("show")
def rejects_show(
    reject_id: Annotated[int, typer.Argument(help="Its number.")],
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show one reject: its text, its reason, and what was done about it, by whom and when."""
    show_one(consoles().out, asked(lambda database: Rejects(database).one(reject_id)), as_json=as_json)


@rejects_app.command("replay")
def rejects_replay(  # noqa: PLR0913, PLR0917 - as many as the command has options
    source: Annotated[str, typer.Argument(help="Name of a source.")],
    ids: IdsOption = None,
    run_id: RunOption = None,
    code: CodeOption = None,
    path: PathOption = None,
    place: PlaceOption = None,
    since: SinceOption = None,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Try rejects again with the mapping of now: they become rows, or go back with a new reason.

    A record whose line was broken cannot be tried again: correct it at the source.
    """
    screens = consoles()
    wanted = _filter(source, ids, run_id, code, path, place, since, "open")
    if dry_run:
        _say_counts(screens, asked(lambda database: Rejects(database).counted(wanted)), "replay", as_json=as_json)
        return
    mode = partial(rejects_replayed, wanted=wanted, who=who_asks())
    results = carried_out(screens, [source], config, mode, as_json=as_json)
    summarise(screens, results, as_json=as_json)
    raise typer.Exit(exit_of_results(results.values()))


@rejects_app.command("discard")
def rejects_discard(  # noqa: PLR0913, PLR0917 - as many as the command has options
    source: SourceArgument = None,
    ids: IdsOption = None,
    run_id: RunOption = None,
    code: CodeOption = None,
    path: PathOption = None,
    place: PlaceOption = None,
    since: SinceOption = None,
    dry_run: DryRunOption = False,  # noqa: FBT002
    yes: YesOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Let go of rejects that are not wanted. They stay in the table, with who discarded them and when."""
    if source is None and not ids:
        raise Misconfigured(
            "Name a source, or rejects with --id: all rejects of all sources are not discarded at once."
        )
    screens = consoles()
    wanted = _filter(source, ids, run_id, code, path, place, since, "open")

    async def body(database: Database) -> int | None:
        _say_counts(screens, await Rejects(database).counted(wanted), "discard", as_json=as_json)
        if not confirmed(screens, dry_run=dry_run, yes=yes):
            return None
        return await Rejects(database).discard(wanted, who_asks())

    done = asked(body)
    if not as_json:
        screens.out.print(
            "Nothing was changed." if done is None else f"Discarded {count_in_words(done)}.", markup=False
        )


def _filter(  # noqa: PLR0913, PLR0917 - as many as the commands have options
    source: str | None,
    ids: list[int] | None,
    run_id: int | None,
    code: str | None,
    path: str | None,
    place: str | None,
    since: datetime | None,
    status: RejectStatus | None,
) -> RejectFilter:
    return RejectFilter(
        source=source,
        status=status,
        run_id=run_id,
        ids=tuple(ids) if ids else None,
        code=code,
        path=path,
        place=place,
        since=None if since is None else since.replace(tzinfo=UTC),
    )


def _status(text: str) -> RejectStatus | None:
    match text:
        case "open" | "replayed" | "discarded" | "gone":
            return text
        case "all":
            return None
        case _:
            raise Misconfigured(f"--status is one of {', '.join(_STATES)}, not {text!r}.")


def _say_counts(screens: Consoles, counts: list[dict[str, Any]], verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json({verb: counts})
    elif counts:
        screens.out.print(f"To {verb}:")
        show(screens.out, counts, ("source", "code", "count"), as_json=False)
    else:
        screens.out.print(f"There is nothing to {verb}.")
