"""Whether `kasparro doctor` can reach the sources, and the servers that notifications go to."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import urlsplit

from kasparro.assembly.in_time import in_time
from kasparro.assembly.limiting import Limiting
from kasparro.assembly.running import opened
from kasparro.config import Config, Settings
from kasparro.errors import Denied, KasparroError, Misconfigured, NotFound, RateLimited, Unreachable
from kasparro.model.diagnosis import Diagnosis, ok, problem, warning
from kasparro.model.events import Emit, Event, Throttled
from kasparro.model.source import Declared
from kasparro.notify.channels import Channel, Email, Slack, Webhook
from kasparro.sources.reaching import files_of, look_at_files, requests_of, without_patience

SECONDS = 10.0
"""For one request, one set of files, one server of notifications. After them a source is asked no further address."""

_AT_ONCE = 8

_LIMITED = "Wait as long as it asks for; a `rate_limit` below what is allowed keeps a source from coming to that."

Tell = Callable[[Diagnosis], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the looks stand on. `limiting`: None where there is no database to share limits through."""

    settings: Settings
    scratch: Path
    limiting: Limiting | None


async def reach_all(config: Config, ground: Ground, tell: Tell) -> None:
    """Look whether each source and each channel answers, some at a time. Nothing is read, and nothing is sent."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(look: Coroutine[Any, Any, Diagnosis]) -> Diagnosis:
        async with room:
            return await look

    looks = [_source(declared, config, ground) for declared in config.sources]
    looks += [_channel(channel) for channel in config.notifications]
    for line in await asyncio.gather(*(one(look) for look in looks)):
        tell(line)


async def _source(declared: Declared, config: Config, ground: Ground) -> Diagnosis:
    waits: list[Event] = []
    try:
        said = [*await _files(declared, config), *await _addresses(declared, config, ground, waits.append)]
    except TimeoutError:
        if any(isinstance(one, Throttled) for one in waits):
            return warning("sources", declared.name, "was not asked, as its turn did not come in time", _LIMITED)
        says = f"did not answer within {SECONDS:g} s"
        return problem("sources", declared.name, says, "Look whether the disk or the other side hangs.")
    except RateLimited as error:
        return warning("sources", declared.name, str(error), _LIMITED)
    except KasparroError as error:
        return problem("sources", declared.name, str(error), _remedy(error, declared.name))
    return ok("sources", declared.name, "; ".join(said) or f"{declared.kind.type}: nothing to look at beforehand")


async def _files(declared: Declared, config: Config) -> list[str]:
    patterns = files_of(declared.kind)
    if not patterns:
        return []
    count, size = await in_time(SECONDS, lambda: look_at_files(patterns, config.folder))
    return [f"{count:,} {'file' if count == 1 else 'files'}, {size / 1024**2:,.1f} MiB"]


async def _addresses(declared: Declared, config: Config, ground: Ground, emit: Emit) -> list[str]:
    requests = requests_of(declared.kind)
    if not requests:
        return []
    kind: Any = declared.kind
    options = replace(kind.http, **without_patience(kind, SECONDS))
    asked = replace(declared, kind=replace(kind, http=options))
    said: list[str] = []
    begun = time.perf_counter()
    async with opened(asked, config, ground.settings, ground.scratch, emit, limiting=ground.limiting) as source:
        for request in requests:
            since = time.perf_counter()
            if since - begun > SECONDS:
                return [*said, f"{len(requests) - len(said)} more addresses were not asked, as time was up"]
            async with asyncio.timeout(2 * SECONDS):  # its own limits come first, and say more
                answer = await source.tools.http.peek(request)
            said.append(f"answered {answer.status} in {time.perf_counter() - since:.2f} s")
    return said


def _remedy(error: KasparroError, source: str) -> str:
    match error:
        case Denied():
            return "Give it the right credentials: `auth` of the source, and the variable that they come from."
        case NotFound():
            return "Correct the path or address in the configuration."
        case Unreachable():
            return "Look whether the other side is up, and whether this machine reaches it: DNS, proxy, firewall."
        case Misconfigured():
            return "Correct the configuration of the source."
        case _:
            return f"Try it alone: kasparro preview {source}. What the code {error.code} means: docs/operating.md."


async def _channel(channel: Channel) -> Diagnosis:
    """Open a connection to the server of a channel, and close it; nothing is sent."""
    host, port = _server_of(channel)
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        says = f"{host}:{port} accepts no connection: {getattr(error, 'strerror', None) or type(error).__name__}"
        remedy = "Look at address and network. Where messages go through a proxy, this says nothing."
        return warning("notifications", channel.name, says, remedy)
    return ok("notifications", channel.name, f"{host}:{port} accepts connections (nothing was sent)")


def _server_of(channel: Channel) -> tuple[str, int]:
    match channel.kind:
        case Email():
            return channel.kind.where
        case Webhook() | Slack():
            parts = urlsplit(channel.kind.url.get_secret_value())
            return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        case _:
            assert_never(channel.kind)
