"""The command line: parses, calls, renders."""

import sys
from typing import Annotated

import typer

from kasparro.cli import again, chaos, checkpoints, database, look, project, rejects, run, server
from kasparro.cli.context import consoles
from kasparro.cli.exits import FAILED, exit_of_error
from kasparro.errors import KasparroError
from kasparro.version import __version__

app = typer.Typer(
    name="kasparro",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ingest records from files, APIs and feeds into one PostgreSQL, and serve them over HTTP.",
)
app.command()(project.init)
app.command()(project.check)
app.command()(run.preview)
app.command()(run.run)
app.command()(server.serve)
app.command()(server.up)
app.command()(look.sources)
app.add_typer(look.runs_app, name="runs")
app.add_typer(checkpoints.checkpoint_app, name="checkpoint")
app.add_typer(rejects.rejects_app, name="rejects")
app.command()(again.replay)
app.command()(again.backfill)
app.command()(again.prune)
app.command()(chaos.chaos)
app.command()(database.migrate)
app.command(context_settings={"ignore_unknown_options": True})(database.psql)


@app.command()
def version() -> None:
    """Show the version."""
    print(__version__)  # noqa: T201


def _say_version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        version()
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[  # noqa: FBT002
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Errors are one sentence, and an exit code by their kind."""
    try:
        app()
    except KasparroError as error:
        consoles().errors.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(exit_of_error(error))
    except KeyboardInterrupt:
        consoles().errors.print("Ended at once. What was committed stays; the next run goes on from there.")
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
