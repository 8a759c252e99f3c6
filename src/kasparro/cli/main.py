"""The command line: parses, calls, renders."""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from kasparro.errors import KasparroError
from kasparro.version import __version__

_COMMANDS = (
    ("init", "project", "init"),
    ("check", "project", "check"),
    ("preview", "run", "preview"),
    ("run", "run", "run"),
    ("serve", "server", "serve"),
    ("up", "server", "up"),
    ("sources", "look", "sources"),
    ("runs", "look", "runs_app"),
    ("checkpoint", "checkpoints", "checkpoint_app"),
    ("rejects", "rejects", "rejects_app"),
    ("findings", "findings", "findings"),
    ("late", "late", "late"),
    ("schedules", "schedules", "schedules"),
    ("limits", "limits", "limits"),
    ("drift", "drift", "drift_app"),
    ("notifications", "notifications", "notifications_app"),
    ("replay", "again", "replay"),
    ("backfill", "again", "backfill"),
    ("prune", "again", "prune"),
    ("chaos", "chaos", "chaos"),
    ("worker", "worker", "worker"),
    ("workers", "worker", "workers"),
    ("queue", "queue", "queue"),
    ("migrate", "database", "migrate"),
    ("psql", "database", "psql"),
    ("doctor", "doctor", "doctor"),
)
"""Each command or group: its name, the module of this package that holds it, and what it is called there."""

_PASSED_ON = frozenset({"psql"})
"""Commands that hand options of others on."""


def command_line(words: Sequence[str]) -> typer.Typer:
    """Return the application for these words: all of it, or only the command that they begin with.

    So a command loads nothing that only others need.
    """
    app = typer.Typer(
        name="kasparro",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Ingest records from files, APIs and feeds into one PostgreSQL, and serve them over HTTP.",
    )
    asked = words[0] if words else ""
    known = {name for name, _, _ in _COMMANDS} | {"version", "--version"}
    for name, module, attribute in _COMMANDS:
        if asked == name or asked not in known:
            _add(app, name, getattr(import_module(f"kasparro.cli.{module}"), attribute))
    app.command()(version)
    app.callback()(_options)
    return app


def _add(app: typer.Typer, name: str, found: object) -> None:
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    elif callable(found):
        settings = {"ignore_unknown_options": True} if name in _PASSED_ON else None
        app.command(name, context_settings=settings)(found)


def version() -> None:
    """Show the version."""
    print(__version__)  # noqa: T201


def _say_version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        version()
        raise typer.Exit


def _options(
    _version: Annotated[  # noqa: FBT002
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _loaded() -> typer.Typer:
    gc.disable()  # what is loaded now stays: there is nothing to collect in it, now or later
    app = command_line(sys.argv[1:])
    gc.freeze()
    gc.enable()
    return app


def main() -> None:
    """Run the command line. Errors are one sentence, and an exit code by their kind."""
    try:
        _run(_loaded())
    except KeyboardInterrupt:  # while it was loaded: typer takes those that come later
        from kasparro.cli.exits import INTERRUPTED  # noqa: PLC0415 - as below

        sys.exit(INTERRUPTED)


def _run(app: typer.Typer) -> None:
    from kasparro.cli.context import consoles  # noqa: PLC0415 - loads much, all of it with collection off
    from kasparro.cli.exits import FAILED, exit_of_error  # noqa: PLC0415 - same

    try:
        app()
    except KasparroError as error:
        consoles().errors.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(exit_of_error(error))
    except BrokenPipeError:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
