"""Tells people what happened: after the runs of a command, in the background of a server, or when asked to."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from kasparro.config import Config, Settings
from kasparro.errors import Conflict, KasparroError, Misconfigured, StoreBusy
from kasparro.model.notification import Item, Message, no_counts, plain
from kasparro.model.redact import Redactor
from kasparro.model.run import RunResult
from kasparro.notify.channels import Channel
from kasparro.notify.delivery import Delivered, Post, deliver
from kasparro.notify.sending import send
from kasparro.store.database import Database
from kasparro.store.notifications import Notifications
from kasparro.store.outbox import Outbox

AFTER_RUNS = 15.0
"""Seconds that a command spends on notifications when its runs have ended. What is left then waits for the next one."""

_EVERY = 3.0
"""Seconds between two looks at the outbox in the background of a server."""

_KNOWN_FOR = 3600.0
"""Seconds after which a server says again which channels it has."""

_STOPPING = 5.0
"""Seconds that the background has to end."""

_TOLD_ELSEWHERE = frozenset({Conflict.code, StoreBusy.code})
"""Runs that could not begin as another one is under way or the database away: nothing is wrong with the source."""

_log = structlog.get_logger("kasparro.notify")


def post_of(config: Config, settings: Settings, database: Database, stop: asyncio.Event | None = None) -> Post:
    """Return what delivers the notifications of a configuration."""
    redact = Redactor(config.secrets | settings.secrets)
    return Post(
        channels=config.notifications,
        outbox=Outbox(database, instance=_instance(settings), redact=redact),
        notifications=Notifications(database),
        redact=redact,
        stop=asyncio.Event() if stop is None else stop,
    )


async def make_known(config: Config, settings: Settings, database: Database) -> None:
    """Make the channels of a configuration known, before its runs: what happens is kept for them from then on."""
    try:
        await post_of(config, settings, database).outbox.register([one.name for one in config.notifications])
    except KasparroError as error:
        _log.warning("channels of notifications are not known yet", reason=error.message)


async def tell_after(
    config: Config, settings: Settings, database: Database, results: Iterable[RunResult], stop: asyncio.Event
) -> Delivered:
    """Deliver what runs had to tell, within `AFTER_RUNS`. A run is not worse for a notification that did not go out."""
    post = post_of(config, settings, database, stop)
    try:
        await _refused(post, results)
        return await deliver(post, which="fresh", seconds=AFTER_RUNS)
    except KasparroError as error:
        _log.warning("notifications wait in the outbox", reason=error.message)
        return Delivered()


async def _refused(post: Post, results: Iterable[RunResult]) -> None:
    """Write down which runs could not even begin; nothing else has a record of them."""
    for result in results:
        if result.run_id is None and result.error is not None and result.error_code not in _TOLD_ELSEWHERE:
            await post.outbox.refused(result.source, result.error_code or "error", result.error)


@asynccontextmanager
async def telling(
    config: Config, settings: Settings, database: Database, stop: asyncio.Event
) -> AsyncIterator[Callable[[Iterable[RunResult]], Awaitable[None]]]:
    """Deliver in the background of the block. Give it what is to be called with the results of runs in it.

    When `stop` is set, what is being sent has a few seconds to end.
    """
    post = post_of(config, settings, database, stop)
    await make_known(config, settings, database)
    works = [_known(post), *(_keep(replace(post, channels=(channel,))) for channel in config.notifications)]
    tasks = [asyncio.create_task(work) for work in works]

    async def ended(results: Iterable[RunResult]) -> None:
        try:
            await _refused(post, results)
        except KasparroError as error:
            _log.warning("runs that could not begin are not told", reason=error.message)

    try:
        yield ended
    finally:
        if stop.is_set():
            await asyncio.wait(tasks, timeout=_STOPPING)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _known(post: Post) -> None:
    while not await _stopped(post, _KNOWN_FOR):
        try:
            await post.outbox.register([one.name for one in post.channels])
        except KasparroError as error:
            _log.warning("channels of notifications are not known yet", reason=error.message)


async def _keep(post: Post) -> None:
    """Look after one channel, so that one that hangs does not hold up the others."""
    while not post.stop.is_set():
        try:
            await deliver(post)
        except KasparroError as error:
            _log.warning("notifications wait in the outbox", channel=post.channels[0].name, reason=error.message)
        except Exception:  # noqa: BLE001 - a bug must not end the notifications of a server that goes on serving
            _log.exception("unforeseen error", channel=post.channels[0].name)
        await _stopped(post, _EVERY)


async def _stopped(post: Post, seconds: float) -> bool:
    """Wait so long, or until told to stop; tell which."""
    try:
        await asyncio.wait_for(post.stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def send_now(config: Config, settings: Settings, database: Database, stop: asyncio.Event) -> Delivered:
    """Deliver everything that waits, each message once, however long it was to wait.

    Raises:
        Misconfigured: there is no channel.
        StoreBusy: the database went away.
    """
    if not config.notifications:
        raise _no_channels()
    post = post_of(config, settings, database, stop)
    await post.outbox.register([one.name for one in config.notifications])
    return await deliver(post, which="all")


async def send_test(config: Config, settings: Settings, name: str) -> str:
    """Send a sample to a channel, and return what the other side answered. Nothing is kept of it.

    Raises:
        Misconfigured: there is no such channel.
        Transient, Broken: it was not delivered.
    """
    channel = next((one for one in config.notifications if one.name == name), None)
    if channel is None:
        names = ", ".join(one.name for one in config.notifications)
        raise Misconfigured(f"There is no channel {name!r}. Channels: {names}") if names else _no_channels()
    return await send(channel.kind, sample(channel, settings), Redactor(config.secrets | settings.secrets))


def sample(channel: Channel, settings: Settings) -> Message:
    """Return a message that tells nothing but that it arrived."""
    now = datetime.now(UTC)
    item = Item(
        what="test",
        source="kasparro",
        run_id=None,
        kind="test",
        severity="info",
        subject="channel",
        message=f"This is a test of the channel {channel.name}. Nothing has happened.",
        happened_at=now.isoformat(),
    )
    return Message(
        id=0,
        key=str(uuid.uuid4()),
        channel=channel.name,
        instance=_instance(settings),
        made_at=now,
        items=(item,),
        counts=no_counts(),
    )


def _instance(settings: Settings) -> str:
    return plain(settings.instance, 100)


def _no_channels() -> Misconfigured:
    return Misconfigured(
        "No channel is declared. Write one under notifications: in kasparro.yaml, see docs/notifications.md"
    )
