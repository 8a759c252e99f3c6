"""Makes messages of what happened and delivers them: at least once, tried again for a day, then given up visibly.

A message is leased before it is sent and ended afterwards, so two processes never send the same one at the same time,
and one whose sender was killed is sent again when the lease ends.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from kasparro.errors import KasparroError, Transient
from kasparro.model.notification import Message
from kasparro.model.redact import Redactor
from kasparro.notify.channels import Channel
from kasparro.notify.sending import send
from kasparro.resilience.retry import RetryPolicy, Timing, wait_after
from kasparro.store.notifications import Notifications, Which
from kasparro.store.outbox import PATIENCE, Outbox

POLICY = RetryPolicy(first_wait=4.0, max_wait=3600.0, total_seconds=PATIENCE)
"""Waits between attempts: 4 s, doubled each time up to an hour, and a random part of that."""

_LEAST_WAIT = 1.0
_LEAST_LOOK = 0.05
"""Seconds at least until a message is tried again, and until it is looked whether one is due."""

_LEAST_ATTEMPTS = 3
"""A message is not given up before, however old it is: a clock may have been set forward."""

_ILL = 2
"""A channel that fails so many times in a row is left alone for now: the others of its messages would fail too."""

_GRACE = 3.0
"""Seconds that an attempt has to end when the process is told to stop."""

_log = structlog.get_logger("kasparro.notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What delivers: the channels, where their messages are kept, and what time is."""

    channels: Sequence[Channel]
    outbox: Outbox
    notifications: Notifications
    redact: Redactor
    stop: asyncio.Event
    timing: Timing = field(default_factory=Timing)


@dataclass(slots=True, kw_only=True)
class Delivered:
    """How many messages were sent, are to be tried again, and were given up."""

    sent: int = 0
    again: int = 0
    failed: int = 0

    def __add__(self, other: "Delivered") -> "Delivered":
        return Delivered(sent=self.sent + other.sent, again=self.again + other.again, failed=self.failed + other.failed)


async def deliver(post: Post, *, which: Which = "due", seconds: float | None = None) -> Delivered:
    """Deliver what there is on all channels, side by side.

    Args:
        post: See `Post`.
        which: Messages to send.
        seconds: Messages that fail are tried again meanwhile; None tries each of them once.

    Raises:
        StoreBusy: the database went away; what was not recorded is sent again later.
    """
    each = await asyncio.gather(*(_on_channel(post, channel, which, seconds) for channel in post.channels))
    return sum(each, start=Delivered())


async def _on_channel(post: Post, channel: Channel, which: Which, seconds: float | None) -> Delivered:
    await post.outbox.gather(channel.name, channel.wishes)
    until = None if seconds is None else post.timing.clock() + seconds
    done, after, ill = Delivered(), 0, 0
    while not post.stop.is_set() and ill < _ILL:
        left = None if until is None else until - post.timing.clock()
        if left is not None and left <= 0:
            break
        message = await post.notifications.lease(channel.name, which, after)
        if message is None:
            if left is None or not await _next_is_due(post, channel, left):
                break
            continue
        after = message.id if which == "all" else 0
        one = await _attempt(post, channel, message, left)
        done += one
        ill = ill + 1 if one.again and until is None else 0
    return done


async def _next_is_due(post: Post, channel: Channel, left: float) -> bool:
    """Wait until the next message of a channel is due; False where that takes too long."""
    wait = await post.notifications.soonest(channel.name)
    if wait is None or wait >= left:
        return False
    with suppress(TimeoutError):
        await asyncio.wait_for(post.stop.wait(), max(wait, _LEAST_LOOK))
    return True


async def _attempt(post: Post, channel: Channel, message: Message, left: float | None) -> Delivered:
    """Send a leased message once, and record what became of it."""
    try:
        answer = await _until_stopped(post, channel, message, left)
    except Transient as error:
        return await _later(post, message, error)
    except KasparroError as error:
        return await _given_up(post, message, error.message)
    except Exception as unforeseen:  # noqa: BLE001 - a bug in one message must not keep the others; it is logged and recorded
        _log.exception("unforeseen error", channel=channel.name, id=message.id)
        return await _given_up(post, message, f"internal: {type(unforeseen).__name__}")
    await post.notifications.end(message, "sent", answer)
    _log.debug("notification sent", channel=channel.name, id=message.id, attempt=message.attempts)
    return Delivered(sent=1)


async def _until_stopped(post: Post, channel: Channel, message: Message, left: float | None) -> str:
    """Send it; when the process is told to stop, the attempt has a few seconds to end. Raises Transient then."""
    sending = asyncio.ensure_future(send(channel.kind, message, post.redact, left))
    stopped = asyncio.ensure_future(post.stop.wait())
    try:
        await asyncio.wait({sending, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({sending}, timeout=_GRACE)
        if sending.done():
            return sending.result()
        raise Transient("there was no answer yet when the process was told to stop")
    finally:
        sending.cancel()
        stopped.cancel()
        await asyncio.gather(sending, stopped, return_exceptions=True)


async def _later(post: Post, message: Message, error: Transient) -> Delivered:
    asked = error.retry_after
    wait = max(wait_after(POLICY, message.attempts, asked, post.timing.dice), _LEAST_WAIT)
    if message.age + wait > PATIENCE and message.attempts >= _LEAST_ATTEMPTS:
        reason = f"{error.message}; tried {message.attempts} times"
        return await _given_up(post, message, reason)
    # However far a wait goes, the message is tried once more before it is given up.
    wait = min(wait, max(PATIENCE - message.age, _LEAST_WAIT))
    await post.notifications.again(message, wait, error.message)
    _log.warning(
        "notification not delivered",
        channel=message.channel,
        id=message.id,
        attempt=message.attempts,
        wait=round(wait, 1),
        reason=error.message,
    )
    return Delivered(again=1)


async def _given_up(post: Post, message: Message, reason: str) -> Delivered:
    await post.notifications.end(message, "failed", reason)
    _log.error("notification given up", channel=message.channel, id=message.id, reason=reason)
    return Delivered(failed=1)
