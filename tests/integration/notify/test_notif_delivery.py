"""Messages reach the other side at least once, whatever it does; others are tried again, or given up visibly."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydantic import SecretStr
from tests.integration.notify.conftest import NOON, Ask, Hook, World, later, low, reply

from kasparro.model.notification import Wishes
from kasparro.model.redact import Redactor
from kasparro.notify.channels import Channel, Kind, Slack, Webhook
from kasparro.notify.delivery import Delivered, Post, deliver
from kasparro.resilience.retry import Timing
from kasparro.store.database import Database
from kasparro.store.notifications import Notifications
from kasparro.store.outbox import Outbox

AT_ONCE = Wishes(severity="info", group_for=timedelta(0))
Posts = Callable[..., Post]


@pytest.fixture
def post(database: Database, hook: Hook) -> Posts:
    def made(now: datetime | None = NOON, kind: Kind | None = None, name: str = "ops", **more: Any) -> Post:
        url = SecretStr(hook.url)
        channel = Channel(name=name, kind=kind or Webhook(url=url, headers={"X-Key": "a"}), wishes=AT_ONCE)
        return Post(
            channels=(channel,),
            outbox=Outbox(database, instance="here", now=now),
            notifications=Notifications(database, now=now),
            redact=Redactor({hook.url}),
            timing=Timing(dice=lambda: 1.0),
            **{"stop": asyncio.Event(), **more},
        )

    return made


@pytest.fixture
async def failed(database: Database, world: World) -> None:
    await Outbox(database).register(["ops"])
    await world.run("coins", "failed", low("price", "critical"))


def states(ask: Ask) -> list[tuple[Any, ...]]:
    return ask("SELECT status, attempts, answer FROM notification ORDER BY id")


@pytest.mark.usefixtures("failed")
async def test_a_webhook_gets_the_documented_form_once(post: Posts, hook: Hook, ask: Ask) -> None:
    assert await deliver(post()) == Delivered(sent=1)
    assert await deliver(post(later(days=2))) == Delivered()
    (body,) = hook.bodies
    assert list(body) == [
        "version", "id", "channel", "instance", "made_at", "severity", "summary", "counts", "items", "more",
    ]  # fmt: skip
    assert (body["version"], body["channel"], body["instance"], body["more"]) == (1, "ops", "here", 0)
    assert body["summary"] == "coins: 1 failure, 1 critical finding"
    assert body["severity"] == "critical"
    finding, failure = body["items"]
    assert finding | {"happened_at": ""} == {
        "what": "finding",
        "source": "coins",
        "run_id": 1,
        "kind": "row_count_low",
        "severity": "critical",
        "subject": "price",
        "message": "The run read 3 records; from 12 earlier runs 90 to 110 were to be expected.",
        "happened_at": "",
        "expected": {"low": 90, "high": 110},
        "observed": 3,
        "again": 0,
        "look": "kasparro findings --run 1",
    }
    assert (failure["kind"], failure["look"]) == ("run_failed", "kasparro runs show 1")
    (headers,) = hook.headers
    assert headers["Idempotency-Key"] == body["id"]
    assert headers["X-Key"] == "a"
    assert states(ask) == [("sent", 1, "200: ok")]


@pytest.mark.usefixtures("failed")
async def test_slack_gets_blocks_within_its_limits(post: Posts, hook: Hook, world: World) -> None:
    odd = "<!channel> a & b " * 60
    await world.run("news", "success", *(replace(low(f"f{n}"), message=odd) for n in range(60)))
    assert await deliver(post(kind=Slack(url=SecretStr(hook.url)))) == Delivered(sent=1)
    (body,) = hook.bodies
    blocks = body["blocks"]
    assert len(blocks) <= 50
    texts = [block["text"]["text"] for block in blocks[:-1]] + [blocks[-1]["elements"][0]["text"]]
    assert all(len(text) <= 3000 for text in texts)
    assert sum(map(len, texts)) <= 13_000
    assert len(blocks[0]["text"]["text"]) <= 150
    assert "<" not in "".join(texts)
    assert "&lt;!channel&gt; a &amp; b" in texts[-2]
    assert texts[-1].startswith(f"and {62 - (len(blocks) - 2)} more; see them all: kasparro findings\n")
    assert len(blocks) > 15


@pytest.mark.usefixtures("failed")
async def test_what_may_work_later_is_tried_again_with_growing_waits(post: Posts, hook: Hook, ask: Ask) -> None:
    hook.answers = [reply(500), reply(503), reply(200)]
    assert await deliver(post()) == Delivered(again=1)
    assert ask("SELECT next_at FROM notification") == [(later(seconds=4),)]
    assert await deliver(post(later(seconds=3))) == Delivered()
    assert await deliver(post(later(seconds=5))) == Delivered(again=1)
    assert ask("SELECT next_at FROM notification") == [(later(seconds=5 + 8),)]
    assert states(ask) == [("waiting", 2, "it answered 503: ok")]
    assert await deliver(post(later(minutes=1))) == Delivered(sent=1)
    assert len({headers["Idempotency-Key"] for headers in hook.headers}) == 1
    assert hook.bodies[0] == hook.bodies[2]


@pytest.mark.usefixtures("failed")
async def test_retry_after_is_waited_for(post: Posts, hook: Hook, ask: Ask) -> None:
    hook.answers = [reply(429, Retry_After="600"), reply(200)]
    await deliver(post())
    assert ask("SELECT next_at FROM notification") == [(later(seconds=600),)]
    hook.answers = [reply(503, Retry_After="9999999")]
    await deliver(post(later(hours=1)))
    assert ask("SELECT next_at FROM notification") == [(later(hours=24),)], "tried once more at the end of the day"


@pytest.mark.usefixtures("failed")
async def test_after_a_day_it_is_given_up_and_can_be_retried(
    post: Posts, hook: Hook, ask: Ask, database: Database
) -> None:
    hook.answers = [reply(500)]
    for hours in (0, 10, 23.9):
        assert await deliver(post(later(hours=hours))) == Delivered(again=1)
    assert await deliver(post(later(hours=24.5))) == Delivered(failed=1)
    assert states(ask) == [("failed", 4, "it answered 500: ok; tried 4 times")]
    await Notifications(database, now=later(hours=30)).retry(1)
    assert await deliver(post(later(hours=30))) == Delivered(again=1)
    hook.answers = [reply(204, b"")]
    assert await deliver(post(later(hours=31))) == Delivered(sent=1)


@pytest.mark.usefixtures("failed")
async def test_a_clock_that_jumps_ahead_does_not_give_up_what_was_hardly_tried(post: Posts, hook: Hook) -> None:
    hook.answers = [reply(500)]
    await deliver(post())
    assert await deliver(post(later(days=400))) == Delivered(again=1)
    assert await deliver(post(later(days=401))) == Delivered(failed=1)


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
async def test_what_is_refused_for_good_is_not_tried_again(post: Posts, hook: Hook, ask: Ask, status: int) -> None:
    hook.answers = [reply(status, f"no: {hook.url}".encode())]
    assert await deliver(post()) == Delivered(failed=1)
    assert await deliver(post(later(hours=1))) == Delivered()
    assert states(ask) == [("failed", 1, f"it answered {status}: no: ****")]
    assert len(hook.bodies) == 1


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(post: Posts, hook: Hook, ask: Ask, status: int) -> None:
    hook.answers = [reply(status, Location="http://127.0.0.1:9/elsewhere"), reply(200)]
    assert await deliver(post()) == Delivered(failed=1)
    assert "redirects elsewhere" in states(ask)[0][2]
    assert "elsewhere?" not in states(ask)[0][2]
    assert len(hook.bodies) == 1


def closes_halfway(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    handler.close_connection = True


def says_nothing(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@pytest.mark.usefixtures("failed")
async def test_an_answer_without_a_status_is_none(post: Posts, hook: Hook, ask: Ask) -> None:
    hook.answers = [says_nothing, reply(200)]
    assert await deliver(post()) == Delivered(again=1)
    assert "****" in states(ask)[0][2]
    assert await deliver(post(later(minutes=1))) == Delivered(sent=1)


@pytest.mark.usefixtures("failed")
async def test_who_says_that_it_took_it_has_taken_it_whatever_comes_then(post: Posts, hook: Hook) -> None:
    hook.answers = [closes_halfway]
    assert await deliver(post()) == Delivered(sent=1)


@pytest.mark.usefixtures("failed")
async def test_a_server_that_is_not_there_is_tried_again(post: Posts, ask: Ask) -> None:
    kind = Webhook(url=SecretStr("http://127.0.0.1:1/hook"))
    assert await deliver(post(kind=kind)) == Delivered(again=1)
    assert "refused the connection" in states(ask)[0][2]


@pytest.mark.usefixtures("failed")
async def test_one_that_hangs_holds_nobody_up(
    post: Posts, hook: Hook, ask: Ask, database: Database, world: World
) -> None:
    await Outbox(database).register(["other"])
    await world.run("news", "failed")
    hook.answers = [hook.hang, reply(200)]
    hanging, well = post(), post(name="other")
    both = replace(hanging, channels=(*hanging.channels, *well.channels))
    begun = time.monotonic()
    task = asyncio.create_task(deliver(both, seconds=2.0))
    await asyncio.to_thread(hook.came.wait, 10)
    done = await task
    assert time.monotonic() - begun < 30, "the one that hangs does so for a minute"
    assert done.sent == 1
    assert done.again == 1
    assert sorted(status for status, _, _ in states(ask)) == ["sent", "waiting"]


@pytest.mark.usefixtures("failed")
async def test_a_stop_gives_the_message_back(post: Posts, hook: Hook, ask: Ask) -> None:
    hook.answers = [hook.hang]
    stop = asyncio.Event()
    task = asyncio.create_task(deliver(post(stop=stop)))
    await asyncio.to_thread(hook.came.wait, 10)
    stop.set()
    assert await task == Delivered(again=1)
    assert ask("SELECT status, lease FROM notification") == [("waiting", None)]
    assert "told to stop" in states(ask)[0][2]


@pytest.mark.usefixtures("failed")
async def test_a_channel_that_is_ill_is_left_alone_for_now(post: Posts, hook: Hook, world: World) -> None:
    wished = post()
    for number in range(5):
        await world.run(f"s{number}", "failed")
        await wished.outbox.gather("ops", AT_ONCE)
    hook.answers = [reply(500)]
    assert await deliver(post()) == Delivered(again=2)
    hook.answers = [reply(400)]
    assert await deliver(post(later(minutes=1)), which="all") == Delivered(failed=5)


@pytest.mark.usefixtures("failed")
async def test_two_senders_never_send_one_message_twice(post: Posts, hook: Hook, world: World) -> None:
    wished = post()
    for number in range(10):
        await world.run(f"s{number}", "failed")
        await wished.outbox.gather("ops", AT_ONCE)
    done = await asyncio.gather(*(deliver(post()) for _ in range(5)))
    assert sum(one.sent for one in done) == 10
    assert sorted(headers["Idempotency-Key"] for headers in hook.headers) == sorted({b["id"] for b in hook.bodies})


@pytest.mark.usefixtures("failed")
async def test_what_cannot_be_sent_is_said_without_the_address(post: Posts, ask: Ask) -> None:
    kind = Webhook(url=SecretStr("http://127.0.0.1:99999/secret"), headers={"a b": "c"})
    assert await deliver(post(kind=kind)) == Delivered(failed=1)
    assert states(ask) == [("failed", 1, "the request cannot be sent: check `url` and `headers` of the channel")]
