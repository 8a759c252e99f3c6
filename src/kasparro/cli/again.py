"""`replay`, `backfill` and `prune`: rows again from raw pages, a range again from the source, raw pages let go."""

from functools import partial
from typing import Annotated, Any

import typer

from kasparro.assembly.jobs import backfilled, replayed
from kasparro.cli.context import (
    ConfigOption,
    DryRunOption,
    JsonOption,
    asked,
    consoles,
    need_config,
    settings_with_logs,
    who_asks,
)
from kasparro.cli.exits import exit_of_results
from kasparro.cli.run import AcceptOption, carried_out, summarise
from kasparro.cli.tables import print_json
from kasparro.cli.words import count_in_words
from kasparro.config import Config
from kasparro.errors import Misconfigured
from kasparro.model.source import Declared
from kasparro.store.database import Database
from kasparro.store.raw_reading import RawReading
from kasparro.store.retention import apply_retention, old_pages

Source = Annotated[str, typer.Argument(help="Name of a source.")]


def replay(
    source: Source,
    config: ConfigOption = None,
    accept: AcceptOption = False,  # noqa: FBT002
    dry_run: DryRunOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Make the rows of a source again from its raw pages, with the mapping of now. The source is not asked.

    The rows change all at once, at the end. Killed, it goes on where it stopped.
    """
    screens = consoles()
    if dry_run:
        pages, records = asked(lambda database: RawReading(database, source).extent())
        if as_json:
            print_json({"source": source, "pages": pages, "records": records})
        else:
            line = f"{count_in_words(records)} records of {count_in_words(pages)} raw pages of {source} would be shaped"
            screens.out.print(f"{line} again. Nothing was changed.", markup=False)
        return
    mode = partial(replayed, accept=accept, who=who_asks())
    results = carried_out(screens, [source], config, mode, as_json=as_json)
    summarise(screens, results, as_json=as_json)
    raise typer.Exit(exit_of_results(results.values()))


def backfill(
    source: Source,
    first: Annotated[str, typer.Option("--from", help="Lowest cursor value, such as 2026-01-01.")],
    last: Annotated[str, typer.Option("--to", help="Highest cursor value, inclusive.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Read a range of an incremental source again. Where its usual runs go on from is left as it is."""
    screens = consoles()
    mode = partial(backfilled, first=_value(first), last=_value(last))
    results = carried_out(screens, [source], config, mode, as_json=as_json)
    summarise(screens, results, as_json=as_json)
    raise typer.Exit(exit_of_results(results.values()))


def _value(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def prune(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of sources. [default: all with raw_retention]")
    ] = None,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Delete raw pages that are older than raw_retention says. Runs do so too, after they ended well."""
    screens = consoles()
    wanted = _with_retention(need_config(config, settings_with_logs()), names)

    async def body(database: Database) -> list[dict[str, Any]]:
        act = old_pages if dry_run else apply_retention
        found = []
        for one in wanted:
            if one.raw_retention is not None:
                pages, records = await act(database, one.name, one.raw_retention)
                found.append({"source": one.name, "pages": pages, "records": records, "deleted": not dry_run})
        return found

    for row in asked(body):
        if as_json:
            print_json(row)
            continue
        what = f"{count_in_words(row['pages'])} raw pages with {count_in_words(row['records'])} records"
        screens.out.print(f"{row['source']}: {what} {'would be' if dry_run else 'were'} deleted.", markup=False)


def _with_retention(config: Config, names: list[str] | None) -> list[Declared]:
    known = {source.name: source for source in config.sources}
    for name in names or []:
        if name not in known:
            raise Misconfigured(f"There is no source {name!r}. Declared sources: {', '.join(known)}")
        if known[name].raw_retention is None:
            raise Misconfigured(f"{name} keeps its raw pages for ever. Declare raw_retention, such as 30d.")
    found = [source for name, source in known.items() if source.raw_retention is not None and name in (names or known)]
    if not found:
        raise Misconfigured("No source declares raw_retention, so all raw pages are kept.")
    return found
