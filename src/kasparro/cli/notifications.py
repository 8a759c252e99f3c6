"""`notifications`: what was told to people, and what waits to be."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from kasparro.assembly.notifying import send_now, send_test
from kasparro.assembly.storage import open_store
from kasparro.cli.context import (
    ConfigOption,
    Consoles,
    JsonOption,
    Limit,
    asked,
    consoles,
    find_config,
    need_config,
    run_async,
    settings_with_logs,
    who_asks,
    with_stop,
)
from kasparro.cli.exits import FAILED, OK
from kasparro.cli.tables import show
from kasparro.cli.words import moment_in_words
from kasparro.config import load_settings
from kasparro.errors import Broken, KasparroError, Misconfigured
from kasparro.model.notification import Item, Message, Status
from kasparro.notify.delivery import Delivered
from kasparro.notify.wording import summary
from kasparro.store.database import Database
from kasparro.store.notifications import Notifications

notifications_app = typer.Typer(no_args_is_help=True, help="Notifications: list, send, test a channel, retry, discard.")

MessageId = Annotated[int, typer.Argument(help="Its number, see: kasparro notifications list")]


@notifications_app.command("list")
def notifications_list(
    status: Annotated[
        str | None, typer.Option("--status", help="waiting, sent, failed or discarded. [default: all]")
    ] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="Only of this channel.")] = None,
    limit: Limit = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """List messages, newest first: what they say, how often they were tried, and what the other side answered."""
    if status is not None and status not in get_args(Status):
        raise Misconfigured(f"--status is one of {', '.join(get_args(Status))}, not {status!r}.")
    screens = consoles()

    async def body(database: Database) -> tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]:
        kept = Notifications(database)
        return await kept.list(channel=channel, status=status, limit=limit), await kept.waiting()

    rows, waiting = asked(body)
    shown = [{**row, "says": _says(row)} for row in rows]
    columns = ("id", "channel", "status", "attempts", "made_at", "next_at", "says", "answer")
    show(screens.out, [{**row, **_times(row)} for row in shown] if not as_json else shown, columns, as_json=as_json)
    known = _known(config) if waiting else set()
    for one in waiting:
        if one["channel"] not in known:
            _say_stranger(screens, one)


@notifications_app.command("send")
def notifications_send(config: ConfigOption = None) -> None:
    """Send everything that waits, now. Ends with 1 when something could not be delivered."""
    screens = consoles()
    settings = settings_with_logs()
    wanted = need_config(config, settings)
    settings_with_logs(wanted)

    async def body() -> Delivered:
        async with open_store(settings) as database:
            return await with_stop(
                lambda stop: send_now(wanted, settings, database, stop), lambda: screens.errors.print("Stopping.")
            )

    done = run_async(body)
    screens.out.print(f"Sent {done.sent}, to be tried again {done.again}, given up {done.failed}.")
    if done.again or done.failed:
        screens.errors.print("Why: kasparro notifications list")
    raise typer.Exit(FAILED if done.again or done.failed else OK)


@notifications_app.command("test")
def notifications_test(
    channel: Annotated[str, typer.Argument(help="Name of a channel.")], config: ConfigOption = None
) -> None:
    """Send a sample to a channel, and say what the other side answered."""
    screens = consoles()
    settings = settings_with_logs()
    wanted = need_config(config, settings)
    settings_with_logs(wanted)
    try:
        answer = asyncio.run(send_test(wanted, settings, channel))
    except Misconfigured:
        raise
    except KasparroError as error:
        raise Broken(f"The channel {channel} did not take it: {error.message}") from error
    screens.out.print(f"The channel {channel} took it. The other side answered: {answer}", markup=False, soft_wrap=True)


@notifications_app.command("retry")
def notifications_retry(message_id: MessageId) -> None:
    """Let a message that was given up, was discarded or waits be sent next, for another day if need be."""
    channel = asked(lambda database: Notifications(database).retry(message_id))
    consoles().out.print(
        f"Notification {message_id} on {channel} waits to be sent. To send it now: kasparro notifications send",
        markup=False,
    )


@notifications_app.command("discard")
def notifications_discard(message_id: MessageId) -> None:
    """Let a message that waits or was given up not be sent any more."""
    channel = asked(lambda database: Notifications(database).discard(message_id, who_asks()))
    consoles().out.print(f"Notification {message_id} on {channel} is discarded.", markup=False)


def say_left(screens: Consoles, done: Delivered) -> None:
    """Tell after runs that a notification is not delivered."""
    if done.again or done.failed:
        screens.errors.print(
            "Some notifications are not delivered; they are kept. Look at them: kasparro notifications list",
            style="yellow",
        )


def _says(row: dict[str, Any]) -> str:
    items = tuple(Item(**one) for one in row["items"])
    named = {name: row[name] for name in ("id", "key", "channel", "instance", "made_at", "counts")}
    return summary(Message(**named, items=items))


def _known(path: Path | None) -> set[str]:
    """Return the channels of the configuration, where there is one."""
    found = find_config(path, load_settings())
    return set() if found is None else {one.name for one in found.notifications}


def _times(row: dict[str, Any]) -> dict[str, Any]:
    """What has ended is not sent next."""
    return {"next_at": row["next_at"] if row["status"] == "waiting" else None}


def _say_stranger(screens: Consoles, one: dict[str, Any]) -> None:
    since = moment_in_words(one["since"])
    screens.errors.print(
        f"{one['messages']} for the channel {one['channel']}, waiting since {since}: the configuration here does not "
        "name it. Where none does, they are given up after a day; they can be retried, or discarded.",
        markup=False,
        style="yellow",
    )
