"""Runs declared sources: opens what they need, and closes it again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from kasparro.assembly.contracts import with_contract
from kasparro.assembly.jobs import Mode, Parts, usual
from kasparro.assembly.limiting import Limiting
from kasparro.assembly.metering import metered
from kasparro.assembly.scratch import scratch_folder
from kasparro.assembly.storage import open_store
from kasparro.assembly.tracing import heard, open_traces
from kasparro.config import Config, Settings, declare_sources, load_settings, read_environment
from kasparro.engines.local import LocalEngine
from kasparro.errors import KasparroError
from kasparro.ingestion.run import Job
from kasparro.ingestion.runner import Floor, run_jobs
from kasparro.ingestion.tally import Tally
from kasparro.model.events import Emit, Event
from kasparro.model.redact import Redactor
from kasparro.model.run import RunResult
from kasparro.model.source import Declared
from kasparro.resilience.breakers import Breakers
from kasparro.resilience.parking import LONGEST_WAIT
from kasparro.sources.http import HttpClient
from kasparro.sources.tools import Kind, Opened, Tools
from kasparro.store.breakers import PostgresBoard
from kasparro.store.database import Database
from kasparro.store.retention import apply_retention

_log = structlog.get_logger("kasparro.run")


def silent(_event: Event) -> None:
    """Take an event that nobody listens to."""


@asynccontextmanager
async def opened(  # noqa: PLR0913 - likewise
    declared: Declared,
    config: Config,
    settings: Settings,
    scratch: Path,
    emit: Emit = silent,
    *,
    breakers: Breakers | None = None,
    limiting: Limiting | None = None,
) -> AsyncIterator[Opened]:
    """Open a source: its HTTP client and its folder for temporary files.

    `breakers`: None leaves no host alone. `limiting`: None keeps no limit, for a request or two.
    """
    kind: Kind = declared.kind
    redact = Redactor(config.secrets | settings.secrets)
    client = HttpClient(
        source=declared.name,
        options=getattr(kind, "http", None),
        auth=getattr(kind, "auth", None),
        headers=getattr(kind, "headers", None),
        home=getattr(kind, "url", None),
        redact=redact,
        emit=emit,
        breakers=breakers,
        turns=None if limiting is None else limiting.turns(declared, emit),
        longest_wait=LONGEST_WAIT if declared.rate_limit is None else declared.rate_limit.longest_wait,
    )
    folder = scratch / declared.name
    folder.mkdir()
    async with client:
        tools = Tools(
            source=declared.name,
            http=client,
            scratch=folder,
            folder=config.folder,
            page_records=min(settings.batch_size, settings.checkpoint_interval),
            page_bytes=settings.page_bytes,
            redact=redact,
        )
        yield Opened(kind=kind, tools=tools)


async def run_config(  # noqa: PLR0913 - each is a part that the caller may choose
    config: Config,
    settings: Settings,
    *,
    database: Database,
    emit: Emit = silent,
    stop: asyncio.Event | None = None,
    names: Sequence[str] | None = None,
    mode: Mode = usual,
    wrap: Callable[[Job], Job] = lambda job: job,
    breakers: Breakers | None = None,
) -> dict[str, RunResult]:
    """Run the sources of a configuration, or those that are named, and return what became of each.

    Args:
        config: Declares them.
        settings: Limits of this process.
        database: Where everything goes.
        emit: Told what happens.
        stop: Ends the runs after the commits in hand when set.
        names: Only these.
        mode: What kind of run.
        wrap: Applied to each job before it runs.
        breakers: Circuit breakers of a process that runs sources again and again; None: those of this call.
    """

    def made(parts: Parts) -> Job:
        return wrap(mode(parts))

    wanted = [one for one in config.sources if names is None or one.name in names]
    with scratch_folder() as scratch:
        async with AsyncExitStack() as stack:
            told = await stack.enter_async_context(metered(database, emit))
            breakers = Breakers(PostgresBoard(database)) if breakers is None else breakers
            limiting = Limiting(database, config.hosts)
            stack.push_async_callback(limiting.close)
            jobs = []
            for declared in wanted:
                tally = Tally(told)
                source = await stack.enter_async_context(
                    opened(declared, config, settings, scratch, tally, breakers=breakers, limiting=limiting)
                )
                parts = Parts(declared=declared, source=source, config=config, database=database, tally=tally)
                jobs.append(with_contract(parts, made))
            floor = Floor(
                database=database,
                engine=LocalEngine(limit=settings.concurrency),
                emit=told,
                stop=asyncio.Event() if stop is None else stop,
                lease=settings.lease,
            )
            results = await run_jobs(jobs, floor)
    for declared in wanted:
        await _let_go(declared, results[declared.name], database)
    return results


async def _let_go(declared: Declared, result: RunResult, database: Database) -> None:
    """Delete raw pages that the source no longer wants to keep. The rows are in: what fails here is tried next time."""
    if declared.raw_retention is None or result.status != "success":
        return
    try:
        await apply_retention(database, declared.name, declared.raw_retention)
    except KasparroError as error:
        _log.warning("raw pages are kept longer than raw_retention says", source=declared.name, reason=str(error))


async def run_declared(
    sources: Mapping[str, Any],
    *,
    datasets: Mapping[str, Any],
    database_url: str | None = None,
    emit: Callable[[Any], None] | None = None,
) -> dict[str, RunResult]:
    """Run sources that are declared in Python; see `kasparro.ingestion.runner.run_etl_with_backoff`."""
    config = declare_sources(sources, datasets, Path.cwd(), environ=read_environment())
    settings = load_settings()
    if database_url is not None:
        settings = replace(settings, database_url=SecretStr(database_url))
    async with open_traces(settings, config.secrets) as traces, open_store(settings) as database:
        return await run_config(config, settings, database=database, emit=heard(traces, emit or silent))
