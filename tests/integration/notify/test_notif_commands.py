"""Notifications as a user meets them: declared in kasparro.yaml, sent by runs and by hand, listed, tested, retried."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.notify.conftest import Ask, Hook, reply

from kasparro.cli.main import main

Said = tuple[int, str, str]
Kasparro = Callable[..., Said]
Declare = Callable[..., None]

SECRET = "hook/c3VjaCBhIHNlY3JldCB0b2tlbg"


@pytest.fixture
def kasparro(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, database_url: str, hook: Hook
) -> Kasparro:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("OPS_WEBHOOK", hook.url)
    monkeypatch.setenv("KASPARRO_INSTANCE", "test bench")

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["kasparro", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        assert SECRET not in out + err
        return code, out, err

    return run


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    (tmp_path / "good.csv").write_text("id,name\n1,a\n")

    def write(channels: Any = None, **sources: str) -> None:
        declared = {name: {"type": "csv", "path": path, "primary_key": "id"} for name, path in sources.items()}
        ops = {"type": "webhook", "url": "${OPS_WEBHOOK}"}
        document = {"sources": declared, "notifications": {"ops": ops} if channels is None else channels}
        (tmp_path / "kasparro.yaml").write_text(json.dumps(document))

    return write


def test_a_run_that_fails_is_told_when_it_has_ended_and_again_when_it_is_well(
    kasparro: Kasparro, declare: Declare, hook: Hook, tmp_path: Path
) -> None:
    declare(good="good.csv", bad="bad.csv")
    assert kasparro("run")[0] == 1
    assert kasparro("run")[0] == 1
    assert hook.kinds == [["run_failed"]], "the second time says nothing new"
    (body,) = hook.bodies
    assert body["instance"] == "test bench"
    assert body["items"][0]["source"] == "bad"
    (tmp_path / "bad.csv").write_text("id,name\n1,a\n")
    assert kasparro("run")[0] == 0
    assert hook.kinds == [["run_failed"], ["recovered"]]
    assert kasparro("run")[0] == 0
    assert len(hook.bodies) == 2


def test_a_run_that_could_not_begin_is_told(kasparro: Kasparro, declare: Declare, hook: Hook, tmp_path: Path) -> None:
    declare(good="good.csv")
    assert kasparro("run")[0] == 0
    text = (tmp_path / "kasparro.yaml").read_text().replace('"primary_key": "id"', '"primary_key": "name"')
    (tmp_path / "kasparro.yaml").write_text(text)
    assert kasparro("run")[0] == 2
    assert hook.kinds == [["run_refused"]]
    assert "primary_key" in hook.bodies[0]["items"][0]["message"]


def test_what_was_not_delivered_is_listed_and_sent_later(
    kasparro: Kasparro, declare: Declare, hook: Hook, ask: Ask
) -> None:
    declare(bad="bad.csv")
    hook.answers = [reply(500, hook.url.encode())]
    code, _, err = kasparro("run")
    assert code == 1
    assert "kasparro notifications list" in err
    assert len(hook.bodies) >= 2, "tried again within the seconds that a run has for it"
    (row,) = map(json.loads, kasparro("notifications", "list", "--json")[1].splitlines())
    assert (row["status"], row["channel"], row["says"]) == ("waiting", "ops", "bad: 1 failure")
    assert row["answer"] == "it answered 500: ****"
    assert "it answered 500" in kasparro("notifications", "list", "--status", "waiting", "--channel", "ops")[1]
    assert kasparro("notifications", "list", "--status", "sent", "--json")[1] == ""
    code, out, _ = kasparro("notifications", "send")
    assert (code, out) == (1, "Sent 0, to be tried again 1, given up 0.\n")
    hook.answers = [reply(200)]
    assert kasparro("notifications", "send")[:2] == (0, "Sent 1, to be tried again 0, given up 0.\n")
    assert kasparro("notifications", "send")[:2] == (0, "Sent 0, to be tried again 0, given up 0.\n")
    assert ask("SELECT status FROM notification") == [("sent",)]
    assert len({body["id"] for body in hook.bodies}) == 1


def test_a_message_is_retried_and_discarded_by_hand(kasparro: Kasparro, declare: Declare, hook: Hook, ask: Ask) -> None:
    declare(bad="bad.csv")
    hook.answers = [reply(404)]
    kasparro("run")
    assert ask("SELECT status, attempts FROM notification") == [("failed", 1)]
    assert kasparro("notifications", "retry", "1")[0] == 0
    assert kasparro("notifications", "send")[0] == 1
    assert kasparro("notifications", "discard", "1")[0] == 0
    assert ask("SELECT status, answer LIKE 'discarded by %%@%%' FROM notification") == [("discarded", True)]
    assert kasparro("notifications", "discard", "1")[0] == 1
    hook.answers = [reply(200)]
    assert kasparro("notifications", "retry", "1")[0] == 0
    assert kasparro("notifications", "send")[0] == 0
    for command in ("retry", "discard"):
        code, _, err = kasparro("notifications", command, "1")
        assert (code, "was sent. Nothing is done." in err) == (1, True)
        assert kasparro("notifications", command, "99")[0] == 1
    assert kasparro("notifications", "list", "--status", "lost")[0] == 2


def test_a_channel_is_tested(kasparro: Kasparro, declare: Declare, hook: Hook, ask: Ask) -> None:
    declare()
    code, out, _ = kasparro("notifications", "test", "ops")
    assert (code, out) == (0, "The channel ops took it. The other side answered: 200: ok\n")
    assert hook.kinds == [["test"]]
    assert hook.bodies[0]["summary"] == "kasparro: a test"
    hook.answers = [reply(403, b"invalid_token")]
    code, _, err = kasparro("notifications", "test", "ops")
    assert (code, "did not take it: it answered 403: invalid_token" in err) == (1, True)
    assert "There is no channel 'osp'. Channels: ops" in kasparro("notifications", "test", "osp")[2]
    assert ask("SELECT count(*) FROM notification") == [(0,)]


def test_without_channels_there_is_nothing_to_send(kasparro: Kasparro, declare: Declare, hook: Hook, ask: Ask) -> None:
    declare({}, bad="bad.csv")
    assert kasparro("run")[0] == 1
    assert ask("SELECT count(*) FROM notification_event") == [(0,)]
    code, _, err = kasparro("notifications", "send")
    assert (code, "No channel is declared" in err) == (2, True)
    assert hook.bodies == []


def test_a_channel_that_is_gone_from_the_configuration_is_named(
    kasparro: Kasparro, declare: Declare, hook: Hook, ask: Ask
) -> None:
    declare(bad="bad.csv")
    hook.answers = [reply(500)]
    kasparro("run")
    declare({"other": {"type": "slack", "url": "${OPS_WEBHOOK}"}}, bad="bad.csv")
    assert "the configuration here does not name it" in kasparro("notifications", "list")[2]
    hook.answers = [reply(200)]
    assert kasparro("notifications", "send")[:2] == (0, "Sent 0, to be tried again 0, given up 0.\n")
    assert ask("SELECT channel, status FROM notification") == [("ops", "waiting")]
    ask("UPDATE notification SET since = since - interval '25 h'")
    ask("UPDATE notification_channel SET seen_at = seen_at - interval '25 h'")
    kasparro("notifications", "send")
    assert ask("SELECT channel, status FROM notification") == [("ops", "failed")]


def test_mistakes_are_said_with_their_place(kasparro: Kasparro, tmp_path: Path) -> None:
    (tmp_path / "kasparro.yaml").write_text(
        "sources:\n  good: {type: csv, path: good.csv}\nnotifications:\n  ops:\n    type: webhok\n    sverity: info\n"
    )
    code, _, err = kasparro("check")
    assert code == 2
    assert 'kasparro.yaml:5: notifications.ops.type: "webhok" is not one of webhook, slack, email' in err
