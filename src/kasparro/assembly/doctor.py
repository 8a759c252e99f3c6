"""`kasparro doctor`: looks at everything that a run needs, and says what to do about what is not right.

Every look has a limit, none depends on another that failed, and nothing is changed: no migration, no run, no message.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress

from kasparro.assembly.doctor_database import of_database, of_error
from kasparro.assembly.doctor_machine import dotenv, folders, versions, zones
from kasparro.assembly.doctor_settings import of_api, of_config, of_mistakes
from kasparro.assembly.doctor_sources import Ground, reach_all
from kasparro.assembly.doctor_workers import of_work
from kasparro.assembly.in_time import in_time
from kasparro.assembly.limiting import Limiting
from kasparro.assembly.scratch import scratch_folder
from kasparro.assembly.storage import connections_of
from kasparro.config import Config, Settings, load_settings
from kasparro.errors import KasparroError, Misconfigured, StoreBusy
from kasparro.model.diagnosis import Diagnosis, ok, problem, warning
from kasparro.model.redact import Redactor
from kasparro.store.database import Database
from kasparro.store.embedded import EmbeddedServer
from kasparro.store.examining import at_work, examine

Tell = Callable[[Diagnosis], None]
Find = Callable[[Settings], Config | None]

_SECONDS = 20.0
"""For all that is asked of the database."""

_START_SECONDS = 130.0
"""For the embedded server, which after a crash first replays its log."""

_DISK_SECONDS = 5.0


async def diagnose(find: Find, tell: Tell) -> None:
    """Look at everything, and tell of each as soon as it is known.

    Args:
        find: Reads the configuration, or returns None where there is none.
        tell: Gets the lines; secrets are masked.
    """
    settings = await _settings(tell)
    if settings is None:
        _all(tell, versions())
        remedy = "Correct what was named above, then look again."
        tell(warning("environment", "the rest", "was not looked at, as it depends on the settings", remedy))
        return
    masked = _masking(tell, Redactor(settings.secrets))
    _all(masked, [ok("environment", "variables", "are sound"), *dotenv()])
    config = await _config(find, settings, masked)
    told = masked if config is None else _masking(tell, Redactor(settings.secrets | config.secrets))
    _all(told, [*versions(), zones()])
    await _machine(settings, told)
    async with AsyncExitStack() as stack:
        url = await _database(settings, config, told, stack)
        _all(told, of_api(settings))
        if config is not None:
            await _sources(config, settings, told, await _limits(url, config, stack))


async def _settings(tell: Tell) -> Settings | None:
    try:
        return await in_time(_DISK_SECONDS, load_settings)
    except Misconfigured as error:
        _all(tell, of_mistakes("environment", error))
    except TimeoutError:
        tell(problem("environment", ".env", "cannot be read: the disk does not answer", "Look at the disk."))
    return None


async def _config(find: Find, settings: Settings, tell: Tell) -> Config | None:
    try:
        found = await in_time(_DISK_SECONDS, lambda: find(settings))
    except Misconfigured as error:
        _all(tell, of_mistakes("configuration", error))
    except TimeoutError:
        says = f"cannot be read: nothing came for {_DISK_SECONDS:g} s"
        tell(problem("configuration", "file", says, "Name a plain file, on a disk that answers."))
    else:
        _all(tell, of_config(found))
        return found
    remedy = "Correct the configuration, then look again."
    tell(warning("sources", "all", "were not looked at, as the configuration has mistakes", remedy))
    return None


async def _machine(settings: Settings, tell: Tell) -> None:
    try:
        _all(tell, await in_time(_DISK_SECONDS, lambda: [*folders(settings)]))
    except TimeoutError:
        says = f"a folder did not answer within {_DISK_SECONDS:g} s"
        tell(problem("machine", "disk", says, "Look whether a network drive is gone: TMPDIR, KASPARRO_HOME."))


async def _database(settings: Settings, config: Config | None, tell: Tell, stack: AsyncExitStack) -> str | None:
    """Return the address of the database, which stays open in `stack`, where it has the tables of this version."""
    try:
        url = await _opened(settings, stack)
        async with asyncio.timeout(_SECONDS):
            found = await examine(url)
            _all(tell, of_database(found, needed=connections_of(settings), embedded=settings.database_url is None))
            if found.missing != () or found.migrations_wrong is not None or found.closed:
                return None
            secrets = settings.secrets | (frozenset() if config is None else config.secrets)
            _all(tell, of_work(await at_work(url), config, Redactor(secrets)))
    except KasparroError as error:
        tell(of_error(error, embedded=settings.database_url is None))
    except TimeoutError:
        says = f"the database did not answer within {_SECONDS:g} s"
        tell(problem("database", "connection", says, "Look at its load and its log: docs/operating.md."))
    else:
        return url
    return None


async def _opened(settings: Settings, stack: AsyncExitStack) -> str:
    """Return the address of a server that runs; the embedded one is stopped with `stack`, unless others use it."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = EmbeddedServer(settings.home)
    try:
        await in_time(_START_SECONDS, server.start)
    except TimeoutError:
        says = f"The embedded PostgreSQL in {settings.home} did not start within {_START_SECONDS:g} s"
        raise StoreBusy(f"{says}. Look whether another process holds it: {server.log_file}") from None
    stack.push_async_callback(_stopped, server)
    return server.url


async def _stopped(server: EmbeddedServer) -> None:
    """Stop the server. One that another process keeps from it is stopped by that one."""
    with suppress(TimeoutError):
        await in_time(_START_SECONDS, server.stop)


async def _limits(url: str | None, config: Config, stack: AsyncExitStack) -> Limiting | None:
    """Return the limits that all processes share, so that no provider is asked beyond them; None without a database."""
    if url is None:
        return None
    try:
        database = await stack.enter_async_context(Database(url, size=2, migrations="check"))
    except KasparroError:  # it has gone since it was looked at, or is read-only: that was told of, or will be next time
        return None
    limiting = Limiting(database, config.hosts)
    stack.push_async_callback(limiting.close)
    return limiting


async def _sources(config: Config, settings: Settings, tell: Tell, limiting: Limiting | None) -> None:
    try:
        with scratch_folder() as scratch:
            await reach_all(config, Ground(settings=settings, scratch=scratch, limiting=limiting), tell)
    except Misconfigured as error:  # there is no room for temporary files
        tell(problem("sources", "all", str(error), "Make room, then look again."))


def _masking(tell: Tell, redact: Redactor) -> Tell:
    def told(one: Diagnosis) -> None:
        remedy = None if one.remedy is None else redact(one.remedy)
        tell(
            Diagnosis(area=one.area, subject=redact(one.subject), state=one.state, says=redact(one.says), remedy=remedy)
        )

    return told


def _all(tell: Tell, lines: Iterable[Diagnosis]) -> None:
    for one in lines:
        tell(one)
