"""`checkpoint`: where sources stand, and setting them back; what that comes to is said before it is done."""

from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from kasparro.cli.context import (
    Consoles,
    DryRunOption,
    JsonOption,
    SourceArgument,
    YesOption,
    asked,
    confirmed,
    consoles,
)
from kasparro.cli.tables import print_json, show, show_each
from kasparro.cli.words import count_in_words
from kasparro.errors import Misconfigured
from kasparro.store.checkpoints import Back, Checkpoints
from kasparro.store.database import Database

checkpoint_app = typer.Typer(no_args_is_help=True, help="Checkpoints: show, reset and rewind.")

_SHOWN = 30
"""Characters of a bookmark in a table."""

Source = Annotated[str, typer.Argument(help="Name of a source.")]
PartOption = Annotated[str | None, typer.Option("--slice", help="Only this slice.")]


@checkpoint_app.command("show")
def checkpoint_show(source: SourceArgument = None, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show where each slice of a source stands."""
    rows = asked(lambda database: Checkpoints(database).show(source))
    show_each(consoles().out, rows, as_json=as_json)


@checkpoint_app.command("reset")
def checkpoint_reset(  # noqa: PLR0913, PLR0917 - as many as the command has options
    source: Source,
    part: PartOption = None,
    rows: Annotated[bool, typer.Option("--rows", help="Delete its rows too. Raw pages and rejects stay.")] = False,  # noqa: FBT002
    dry_run: DryRunOption = False,  # noqa: FBT002
    yes: YesOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Forget where a source stands: the next run reads it from the start. Rows stay, and are not doubled."""
    if rows and part is not None:
        raise Misconfigured("--rows deletes the rows of the whole source; leave out --slice.")
    screens = consoles()

    async def body(database: Database) -> bool:
        checkpoints = Checkpoints(database)
        _say(screens, await checkpoints.to_reset(source, part, rows=rows), as_json=as_json)
        done = confirmed(screens, dry_run=dry_run, yes=yes)
        if done:
            await checkpoints.reset(source, part, rows=rows)
        return done

    _say_done(screens, asked(body), f"Reset {source}. The next run reads it from the start.", as_json=as_json)


@checkpoint_app.command("rewind")
def checkpoint_rewind(  # noqa: PLR0913, PLR0917 - as many as the command has options
    source: Source,
    to: Annotated[str, typer.Option("--to", help="A run, or a moment such as 2026-01-31T12:00Z: where it stood then.")],
    part: PartOption = None,
    dry_run: DryRunOption = False,  # noqa: FBT002
    yes: YesOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Set a source back to where it stood at the end of a run: the next run reads again what came after."""
    screens, point = consoles(), _point(to)

    async def body(database: Database) -> bool:
        checkpoints = Checkpoints(database)
        back = await checkpoints.to_rewind(source, point, part)
        _say(screens, back, as_json=as_json)
        done = confirmed(screens, dry_run=dry_run, yes=yes)
        if done:
            await checkpoints.rewind(back)
        return done

    _say_done(screens, asked(body), f"Set {source} back. The next run goes on from there.", as_json=as_json)


def _point(text: str) -> int | datetime:
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(
            f"--to takes a run such as 12, or a moment such as 2026-01-31T12:00Z, not {text!r}."
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _say(screens: Consoles, back: Back, *, as_json: bool) -> None:
    """Say what setting a source back comes to."""
    if as_json:
        print_json({"source": back.source, "slices": back.slices, "records": back.records, "rows_deleted": back.rows})
        return
    rows = [{**one, "stands at": _bookmark(one["now"]), "back to": _bookmark(one["back"])} for one in back.slices]
    show(screens.out, rows, ("slice", "stands at", "back to", "records"), as_json=False)
    records = count_in_words(back.records)
    line = f"About {records} records would be read again; rows are known by their key, none is doubled."
    if back.run_id is not None:
        line += (
            f" Since run {back.run_id}, {count_in_words(back.inserted)} rows were added and "
            f"{count_in_words(back.updated)} updated; they stay, and change only where the source has changed."
        )
    if back.rows:
        line += f" {count_in_words(back.rows)} rows would be deleted."
    screens.out.print(line, markup=False, soft_wrap=True)


def _bookmark(value: object) -> str:
    """Return a bookmark in a word or two: of a file its line, of an API its mark or page, of a feed its entries."""
    match value:
        case None:
            return "the start"
        case {"spot": {"lines": int(lines)}}:
            return f"line {count_in_words(lines)}"
        case {"pass": {"pages": int(pages)}}:
            return f"page {count_in_words(pages)}"
        case {"mark": mark}:
            return f"mark {mark}"
        case {"seen": list(seen)}:
            return f"{count_in_words(len(seen))} entries"
        case _:
            text = orjson.dumps(value).decode()
            return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _say_done(screens: Consoles, done: bool, line: str, *, as_json: bool) -> None:  # noqa: FBT001 - what became of it
    if not as_json:
        screens.out.print(line if done else "Nothing was changed.", markup=False)
