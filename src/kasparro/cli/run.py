"""`run` and `preview`: sources in."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from kasparro.assembly.asking import asked
from kasparro.assembly.jobs import Mode, refreshed, usual
from kasparro.assembly.previewing import preview_source
from kasparro.assembly.running import run_config
from kasparro.assembly.storage import open_store
from kasparro.assembly.tracing import heard, open_traces
from kasparro.cli.context import (
    ConfigOption,
    Consoles,
    JsonOption,
    chosen,
    consoles,
    run_async,
    settings_with_logs,
    with_stop,
)
from kasparro.cli.exits import exit_of_results
from kasparro.cli.reporting import reporter
from kasparro.cli.tables import print_json, show_each
from kasparro.cli.words import count_in_words
from kasparro.config import Config, Settings, load_settings
from kasparro.errors import Misconfigured
from kasparro.model.run import RunResult
from kasparro.store.database import Database
from kasparro.store.queue import Trigger

Targets = Annotated[list[str] | None, typer.Argument(help="Names of sources, files or URLs. [default: all sources]")]


RefreshOption = Annotated[
    bool, typer.Option("--full-refresh", help="Read everything anew; rows that are no longer met are removed.")
]
AcceptOption = Annotated[
    bool, typer.Option("--accept-deletions", help="However many rows go: max_deletions does not count this time.")
]


QueueOption = Annotated[bool, typer.Option("--queue", help="Let a worker run them, and do not wait for it.")]


def run(  # noqa: PLR0913, PLR0917 - its options
    targets: Targets = None,
    config: ConfigOption = None,
    full_refresh: RefreshOption = False,  # noqa: FBT002
    accept: AcceptOption = False,  # noqa: FBT002
    queue: QueueOption = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Ingest sources: all that are declared, some of them by name, or any CSV file, JSON API or feed."""
    screens = consoles()
    if accept and not full_refresh:
        raise Misconfigured("--accept-deletions goes with --full-refresh.")
    if queue:
        from kasparro.cli.queue import put_in_queue  # noqa: PLC0415 - most runs are not queued: they start without it

        trigger: Trigger = "full_refresh" if full_refresh else "run"
        put_in_queue(screens, targets or [], config, trigger, accept=accept, as_json=as_json)
        return
    mode = partial(refreshed, accept=accept) if full_refresh else usual
    results = carried_out(screens, targets or [], config, mode, as_json=as_json)
    summarise(screens, results, as_json=as_json)
    if not as_json:
        _say_where(screens, results, load_settings())
    raise typer.Exit(exit_of_results(results.values()))


def carried_out(
    screens: Consoles, targets: Sequence[str], config: Path | None, mode: Mode, *, as_json: bool
) -> Mapping[str, RunResult]:
    """Run the sources asked for in a mode, telling how it goes; return what became of each."""
    settings = settings_with_logs()
    production = settings.environment == "production"

    async def body() -> Mapping[str, RunResult]:
        wanted = await chosen(targets, config, settings)
        settings_with_logs(wanted)
        _say_notes(screens, wanted.notes)
        async with open_traces(settings, wanted.secrets) as traces, open_store(settings) as database:

            async def runs(stop: asyncio.Event) -> Mapping[str, RunResult]:
                how = partial(run_config, wanted, settings, database=database, stop=stop, mode=mode, wrap=asked("cli"))
                async with _told(screens, wanted, settings, database, stop) as ended:
                    with reporter(as_json=as_json, errors=screens.errors, production=production) as emit:
                        results = await how(emit=heard(traces, emit))
                    ended.extend(results.values())
                return results

            return await with_stop(runs, lambda: _say_stop(screens))

    return run_async(body)


@asynccontextmanager
async def _told(
    screens: Consoles, config: Config, settings: Settings, database: Database, stop: asyncio.Event
) -> AsyncIterator[list[RunResult]]:
    """Tell people afterwards what happened in the block, where the configuration has channels. Give it the results."""
    results: list[RunResult] = []
    if not config.notifications:
        yield results
        return
    from kasparro.assembly.notifying import make_known, tell_after  # noqa: PLC0415 - most configurations have none
    from kasparro.cli.notifications import say_left  # noqa: PLC0415 - same

    await make_known(config, settings, database)
    yield results
    say_left(screens, await tell_after(config, settings, database, results, stop))


def _say_stop(screens: Consoles) -> None:
    screens.errors.print("Stopping after the commit in hand. Press Ctrl-C again to end at once.")


def _say_notes(screens: Consoles, notes: tuple[str, ...]) -> None:
    for note in notes:
        screens.errors.print(note, markup=False)


def _say_where(screens: Consoles, results: Mapping[str, RunResult], settings: Settings) -> None:
    host = "localhost" if settings.host in {"127.0.0.1", "0.0.0.0"} else settings.host  # noqa: S104 - compared, not bound
    query = f"?source={next(iter(results))}" if len(results) == 1 else ""
    line = f"Look at the rows: kasparro serve, then http://{host}:{settings.port}/data{query}"
    screens.out.print(line, markup=False, soft_wrap=True)


def summarise(screens: Consoles, results: Mapping[str, RunResult], *, as_json: bool) -> None:
    """Print what became of each source."""
    if as_json:
        print_json({"event": "Finished", "results": [asdict(result) for result in results.values()]})
        return
    names = ["extracted", "inserted", "updated", "unchanged", "duplicates", "rejected"]
    if any(result.counts.deleted for result in results.values()):
        names.append("deleted")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("source")
    table.add_column("status")
    for name in (*names, "seconds"):
        table.add_column(name, justify="right")
    for result in results.values():
        counts = asdict(result.counts)
        status = result.status if result.held is None else "held"
        colour = {"success": "green", "stopped": "yellow", "parked": "yellow", "held": "yellow"}.get(status, "red")
        cells = [count_in_words(counts[name]) for name in names]
        table.add_row(result.source, Text(status, style=colour), *cells, f"{result.duration:.1f}")
    screens.out.print(table)
    for result in results.values():
        if result.resume_at is not None:
            screens.errors.print(_parked_line(result), style="yellow", markup=False, soft_wrap=True)
        elif result.error is not None:
            screens.errors.print(f"{result.source}: {result.error}", style="red", markup=False, soft_wrap=True)
        if result.counts.rejected:
            screens.out.print(f"Rejected records are kept: kasparro rejects list {result.source}", markup=False)
        if result.held is not None:
            from kasparro.cli.held import say_held  # noqa: PLC0415 - few runs are held: the others start without it

            say_held(screens.out, result.held)


def _parked_line(result: RunResult) -> str:
    until = "" if result.resume_at is None else f"{result.resume_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{result.source}: parked until {until}: {(result.error or '').rstrip('.')}. What was read is kept. It goes on "
        f"then by itself where a worker runs, or with: kasparro run {result.source}"
    )


def preview(
    target: Annotated[str, typer.Argument(help="Name of a source, a file or a URL.")],
    config: ConfigOption = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000, help="Rows to show.")] = 10,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show what the first records of a source become. Writes nothing and needs no database."""
    screens = consoles()
    settings = settings_with_logs()

    async def body() -> dict[str, Any]:
        wanted = await chosen([target], config, settings)
        return await preview_source(wanted, settings)

    seen = run_async(body)
    found = [dict(zip(seen["columns"], row, strict=True)) for row in _first(seen["rows"], rows)]
    show_each(screens.out, found, as_json=as_json)
    for reject in seen["rejects"][:rows]:
        screens.errors.print(f"rejected {reject.place}: {reject.reason}", markup=False, style="yellow", soft_wrap=True)
    kind, rest = seen["kind"], f"{count_in_words(seen['count'])} rows and {len(seen['rejects'])} rejects"
    screens.errors.print(
        f"{kind} source {seen['source']}: {rest} on the first page; nothing was written.", markup=False
    )


def _first(rows: bytes, number: int) -> list[list[str | None]]:
    reader = csv.reader(io.StringIO(rows.decode("utf-8"), newline=""))
    return [[cell or None for cell in row] for row, _ in zip(reader, range(number), strict=False)]
