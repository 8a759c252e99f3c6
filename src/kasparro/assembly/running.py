"""Runs declared sources: opens what they need, and closes it again."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from kasparro.assembly.scratch import scratch_folder
from kasparro.assembly.storage import open_store
from kasparro.config import Config, Settings, config_hash, declare_sources, load_settings, read_environment
from kasparro.engines.local import LocalEngine
from kasparro.ingestion.run import Job
from kasparro.ingestion.runner import Floor, run_jobs
from kasparro.model.events import Emit, Event
from kasparro.model.redact import Redactor
from kasparro.model.run import RunResult
from kasparro.model.source import Declared
from kasparro.shaping.plan import Shape
from kasparro.sources.http import HttpClient
from kasparro.sources.tools import Kind, Opened, Tools
from kasparro.store.database import Database
from kasparro.store.ledger import PostgresLedger
from kasparro.store.runs import NewRun
from kasparro.version import __version__


def silent(_event: Event) -> None:
    """Take an event that nobody listens to."""


@asynccontextmanager
async def opened(
    declared: Declared, config: Config, settings: Settings, scratch: Path, emit: Emit = silent
) -> AsyncIterator[Opened]:
    """Open a source: its HTTP client and its folder for temporary files."""
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
) -> dict[str, RunResult]:
    """Run the sources of a configuration, or those that are named, and return what became of each."""
    wanted = [one for one in config.sources if names is None or one.name in names]
    with scratch_folder() as scratch:
        async with AsyncExitStack() as stack:
            jobs = []
            for declared in wanted:
                source = await stack.enter_async_context(opened(declared, config, settings, scratch, emit))
                jobs.append(_job(declared, source, config, database))
            floor = Floor(
                database=database,
                engine=LocalEngine(limit=settings.concurrency),
                emit=emit,
                stop=asyncio.Event() if stop is None else stop,
            )
            return await run_jobs(jobs, floor)


def shape_of(declared: Declared, config: Config) -> Shape:
    """Return what the records of a source are to become."""
    return Shape(
        dataset=config.datasets[declared.dataset],
        mapping=declared.mapping,
        primary_key=declared.primary_key or declared.kind.natural_key,
        well_known=declared.kind.well_known,
        timezone=declared.timezone,
    )


def _job(declared: Declared, source: Opened, config: Config, database: Database) -> Job:
    dataset = config.datasets[declared.dataset]
    redact = source.tools.redact
    shape = shape_of(declared, config)
    digest = hashlib.sha256(f"{shape} {__version__}".encode()).hexdigest()
    return Job(
        new=NewRun(
            source=declared.name,
            kind=declared.kind.type,
            dataset=dataset.name,
            origin=redact(origin_of(declared)),
            config_hash=config_hash(declared, redact),
            code_version=__version__,
            primary_key=shape.primary_key,
        ),
        source=source,
        dataset=dataset,
        shape=shape,
        ledger=PostgresLedger(database, dataset, shape=digest, append=declared.append),
        max_rejects=declared.max_rejects,
        most_records=source.tools.page_records,
        most_bytes=source.tools.page_bytes,
        redact=redact,
        scratch=source.tools.scratch,
    )


def origin_of(declared: Declared) -> str:
    """Return where a source reads from: its URL or path. May hold a secret."""
    place = getattr(declared.kind, "url", None) or getattr(declared.kind, "path", None) or ""
    return place if isinstance(place, str) else ", ".join(place)


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
    async with open_store(settings) as database:
        return await run_config(config, settings, database=database, emit=emit or silent)
