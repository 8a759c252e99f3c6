"""What every command needs first: settings, configuration, consoles, and a loop that stops politely."""

import asyncio
import os
import pwd
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TextIO, TypeVar

import typer
from rich.console import Console

from kasparro.assembly.recognising import looks_like_target, recognise
from kasparro.assembly.storage import open_store
from kasparro.cli.exits import INTERRUPTED
from kasparro.cli.plain_console import PlainConsole
from kasparro.config import Config, Settings, declare_sources, load_config, load_settings, read_environment
from kasparro.errors import Misconfigured
from kasparro.model.redact import Redactor
from kasparro.observe.logs import configure_logs
from kasparro.store.database import Database

Result = TypeVar("Result")

_PIPE_WIDTH = 500

DEFAULT_CONFIG = Path("kasparro.yaml")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file. [default: ./kasparro.yaml]", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
SourceArgument = Annotated[str | None, typer.Argument(help="Name of a source. [default: all]")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many to show.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. In a pipe nothing is asked anyway.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consoles:
    """Where results go, and where everything else goes."""

    out: Console
    errors: Console


def consoles() -> Consoles:
    """Open them; colours only on a terminal."""
    return Consoles(out=_console(sys.stdout), errors=_console(sys.stderr))


def _console(stream: TextIO) -> Console:
    # A pipe has no width: nothing is to be broken there.
    return PlainConsole(file=stream, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


def settings_with_logs(config: Config | None = None) -> Settings:
    """Read the settings and set up the log by them."""
    settings = load_settings()
    secrets = settings.secrets | (config.secrets if config is not None else frozenset())
    level = "debug" if settings.debug else settings.log_level
    configure_logs(level=level, production=settings.environment == "production", redact=Redactor(secrets))
    return settings


def find_config(path: Path | None, settings: Settings) -> Config | None:
    """Read the configuration that is named, or that stands in the working directory; None when there is none.

    Raises:
        Misconfigured: it is named but not there, or has mistakes.
    """
    named = path or settings.config
    if named is None and not DEFAULT_CONFIG.exists():
        return None
    return load_config(named or DEFAULT_CONFIG, read_environment())


def need_config(path: Path | None, settings: Settings) -> Config:
    """Read the configuration, as `find_config`. Raises Misconfigured also when there is none."""
    config = find_config(path, settings)
    if config is None:
        raise Misconfigured(
            "There is no kasparro.yaml here. Write one with: kasparro init. "
            "Or name a file or URL: kasparro run flights.csv"
        )
    return config


async def chosen(targets: Sequence[str], path: Path | None, settings: Settings) -> Config:
    """Return a configuration with just the sources asked for: declared ones by name, files and URLs as they are.

    Raises:
        Misconfigured: a name is not declared.
    """
    if not targets:
        return need_config(path, settings)
    config = find_config(path, settings)
    known = {source.name: source for source in config.sources} if config is not None else {}
    declared = tuple(known[target] for target in targets if target in known)
    bare = [target for target in targets if target not in known]
    for name in bare:
        if not looks_like_target(name):
            names = ", ".join(known) or "none"
            raise Misconfigured(f"There is no source {name!r}, and no such file. Declared sources: {names}")
    made: dict[str, Any] = {}
    for target in bare:
        name, declaration = await recognise(target, {*known, *made})
        made[name] = declaration
    quick = declare_sources(made, folder=Path.cwd())
    if config is None:
        return quick
    # Both are resolved from one folder: what was named on the command line becomes absolute.
    moved = tuple(replace(source, kind=_absolute(source.kind)) for source in quick.sources)
    return replace(config, sources=(*declared, *moved), secrets=config.secrets | quick.secrets)


def _absolute(kind: Any) -> Any:  # noqa: ANN401 - any kind of source
    path = getattr(kind, "path", None)
    return replace(kind, path=str(Path.cwd() / path)) if isinstance(path, str) else kind


def asked(question: Callable[[Database], Awaitable[Result]]) -> Result:
    """Open the database, put a question to it, and return the answer."""
    settings = settings_with_logs()

    async def body() -> Result:
        async with open_store(settings) as database:
            return await question(database)

    return run_async(body)


def confirmed(screens: Consoles, *, dry_run: bool, yes: bool) -> bool:
    """Tell whether to go ahead: on a terminal the user is asked, unless that was answered beforehand."""
    if dry_run:
        return False
    if yes or not (sys.stdin.isatty() and screens.out.is_terminal):
        return True
    return typer.confirm("Go ahead?")


def who_asks() -> str:
    """Return who gave the command: user and host."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as a number that nobody has named
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()}"


def run_async(body: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a command's coroutine to its end. SIGTERM ends it as Ctrl-C does: what it has opened is closed.

    Raises:
        KeyboardInterrupt: it was ended so.
    """

    async def ended() -> Result:
        _end_by_sigterm()
        return await body()

    try:
        return asyncio.run(ended())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _end_by_sigterm() -> None:
    # Not by a SIGINT of our own: a shell lets the jobs in its background ignore that.
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def with_stop(body: Callable[[asyncio.Event], Awaitable[Result]], told: Callable[[], None]) -> Result:
    """Run with an event that the first Ctrl-C or SIGTERM sets; the second one ends the work, and closes what is open.

    The third one ends the process the hard way: whoever presses a key three times waits for nothing any more.

    Args:
        body: Gets the event.
        told: Called when the event is set, to tell the user.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    at_once = False

    def ask() -> None:
        nonlocal at_once
        if at_once:  # it came together with the second
            _end_process()
        if stop.is_set():
            at_once = True
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
                signal.signal(number, _end_process)
            consoles().errors.print("Ended at once. What was committed stays; the next run goes on from there.")
            raise KeyboardInterrupt
        stop.set()
        told()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    try:
        return await body(stop)
    finally:
        if not at_once:
            loop.remove_signal_handler(signal.SIGINT)
            _end_by_sigterm()


def _end_process(*_: int | FrameType | None) -> None:
    os._exit(INTERRUPTED)
