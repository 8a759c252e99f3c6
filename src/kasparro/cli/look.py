"""`sources` and `runs`: what happened."""

from typing import Annotated

import typer

from kasparro.cli.context import JsonOption, Limit, SourceArgument, asked, consoles
from kasparro.cli.findings import runs_compare
from kasparro.cli.held import runs_drop, runs_held, runs_release
from kasparro.cli.tables import show, show_one
from kasparro.errors import Misconfigured
from kasparro.store.operator import Operator

runs_app = typer.Typer(no_args_is_help=True, help="Runs: list, show and compare; decide about held ones.")
runs_app.command("compare")(runs_compare)
runs_app.command("held")(runs_held)
runs_app.command("release")(runs_release)
runs_app.command("drop")(runs_drop)

_STATES = ("held", "released", "dropped")


def sources(as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show every source that ever ran, with its totals."""
    columns = ("source", "kind", "dataset", "runs", "failures", "inserted", "updated", "rejected", "last_success_at")
    rows = asked(lambda database: Operator(database).sources())
    show(consoles().out, rows, (*columns, "origin"), as_json=as_json)


@runs_app.command("list")
def runs_list(
    source: SourceArgument = None,
    held: Annotated[str | None, typer.Option("--held", help=f"Only {', '.join(_STATES)} ones.")] = None,
    limit: Limit = 20,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """List the latest runs, newest first."""
    if held is not None and held not in _STATES:
        raise Misconfigured(f"--held is one of {', '.join(_STATES)}, not {held!r}.")
    rows = asked(lambda database: Operator(database).runs(source, limit, held))
    counts = ("extracted", "inserted", "updated", "unchanged", "rejected", "deleted")
    show(
        consoles().out,
        rows,
        ("id", "source", "trigger", "requested_by", "status", "verdict", "held", "started_at", *counts, "error"),
        as_json=as_json,
    )


@runs_app.command("show")
def runs_show(run_id: Annotated[int, typer.Argument(help="Its number.")], as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show one run."""
    show_one(consoles().out, asked(lambda database: Operator(database).run(run_id)), as_json=as_json)
