"""`sources`, `runs`, `checkpoint` and `rejects`: what happened, and where things stand."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from kasparro.assembly.storage import open_store
from kasparro.cli.context import JsonOption, consoles, run_async, settings_with_logs
from kasparro.cli.tables import show, show_each, show_one
from kasparro.errors import Misconfigured
from kasparro.store.operator import Operator

Result = TypeVar("Result")
SourceArgument = Annotated[str | None, typer.Argument(help="Name of a source. [default: all]")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many to show.")]

runs_app = typer.Typer(no_args_is_help=True, help="Runs: list and show.")
checkpoint_app = typer.Typer(no_args_is_help=True, help="Checkpoints: show and reset.")
rejects_app = typer.Typer(no_args_is_help=True, help="Rejected records: list.")


def _asked(question: Callable[[Operator], Awaitable[Result]]) -> Result:
    settings = settings_with_logs()

    async def body() -> Result:
        async with open_store(settings) as database:
            return await question(Operator(database))

    return run_async(body)


def sources(as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show every source that ever ran, with its totals."""
    columns = ("source", "kind", "dataset", "runs", "failures", "inserted", "updated", "rejected", "last_success_at")
    show(consoles().out, _asked(Operator.sources), (*columns, "origin"), as_json=as_json)


@runs_app.command("list")
def runs_list(source: SourceArgument = None, limit: Limit = 20, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """List the latest runs, newest first."""
    rows = _asked(lambda operator: operator.runs(source, limit))
    columns = (
        "id",
        "source",
        "status",
        "started_at",
        "extracted",
        "inserted",
        "updated",
        "unchanged",
        "rejected",
        "error",
    )
    show(consoles().out, rows, columns, as_json=as_json)


@runs_app.command("show")
def runs_show(run_id: Annotated[int, typer.Argument(help="Its number.")], as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show one run."""
    show_one(consoles().out, _asked(lambda operator: operator.run(run_id)), as_json=as_json)


@checkpoint_app.command("show")
def checkpoint_show(source: SourceArgument = None, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show where each slice of a source stands."""
    show_each(consoles().out, _asked(lambda operator: operator.checkpoints(source)), as_json=as_json)


@checkpoint_app.command("reset")
def checkpoint_reset(
    source: Annotated[str, typer.Argument(help="Name of a source.")],
    part: Annotated[str | None, typer.Option("--slice", help="Only this slice.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Delete its rows too. Raw pages and rejects stay.")] = False,  # noqa: FBT002
) -> None:
    """Forget where a source stands: the next run reads it from the start. Rows stay, and are not doubled."""
    if rows and part is not None:
        raise Misconfigured("--rows deletes the rows of the whole source; leave out --slice.")
    number = _asked(lambda operator: operator.reset(source, part, rows=rows))
    consoles().out.print(f"Reset {number} checkpoint{'' if number == 1 else 's'} of {source}.", markup=False)


@rejects_app.command("list")
def rejects_list(
    source: SourceArgument = None,
    run_id: Annotated[int | None, typer.Option("--run", help="Only of this run.")] = None,
    limit: Limit = 20,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """List records that could not become rows, newest first, each with its place, reason and text."""
    rows: list[dict[str, Any]] = _asked(lambda operator: operator.rejects(source, run_id, limit))
    show(consoles().out, rows, ("id", "run_id", "place", "reason", "raw"), as_json=as_json)
