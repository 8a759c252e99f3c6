"""`sources` and `runs`: what happened."""

from typing import Annotated

import typer

from kasparro.cli.context import JsonOption, Limit, SourceArgument, asked, consoles
from kasparro.cli.findings import runs_compare
from kasparro.cli.tables import show, show_one
from kasparro.store.operator import Operator

runs_app = typer.Typer(no_args_is_help=True, help="Runs: list, show and compare.")
runs_app.command("compare")(runs_compare)


def sources(as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show every source that ever ran, with its totals."""
    columns = ("source", "kind", "dataset", "runs", "failures", "inserted", "updated", "rejected", "last_success_at")
    rows = asked(lambda database: Operator(database).sources())
    show(consoles().out, rows, (*columns, "origin"), as_json=as_json)


@runs_app.command("list")
def runs_list(source: SourceArgument = None, limit: Limit = 20, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """List the latest runs, newest first."""
    rows = asked(lambda database: Operator(database).runs(source, limit))
    counts = ("extracted", "inserted", "updated", "unchanged", "rejected", "deleted")
    show(
        consoles().out,
        rows,
        ("id", "source", "trigger", "status", "verdict", "started_at", *counts, "error"),
        as_json=as_json,
    )


@runs_app.command("show")
def runs_show(run_id: Annotated[int, typer.Argument(help="Its number.")], as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show one run."""
    show_one(consoles().out, asked(lambda database: Operator(database).run(run_id)), as_json=as_json)
