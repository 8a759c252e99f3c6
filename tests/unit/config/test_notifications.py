"""Declared channels: what they become, and what is said of every mistake in them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from kasparro.config import Config, load_config
from kasparro.config.json_schema import json_schema
from kasparro.config.yaml_file import read_yaml
from kasparro.errors import Misconfigured
from kasparro.model.notification import Wishes
from kasparro.model.redact import Redactor
from kasparro.notify.channels import Email, Slack, Webhook

SOUND = """
sources:
  coins: {type: csv, path: a.csv}
notifications:
  ops:
    type: webhook
    url: ${OPS_WEBHOOK}
    headers: {Authorization: "Bearer ${TOKEN}"}
    severity: info
    kinds: [row_count_low, field_renamed]
    sources: [coins, "sales-*"]
    failures: false
    recoveries: false
    repeat_every: 1d
    group_for: "0"
  chat:
    type: slack
    url: https://hooks.example.com/services/T0000/B0000/abcdefghijklmnop1234
  mail:
    type: email
    host: smtp.example.com
    username: me
    password: ${SMTP_PASSWORD}
    from: Kasparro <kasparro@example.com>
    to: [a@example.com, b@example.com]
"""
ENVIRON = {
    "OPS_WEBHOOK": "https://ops.example.com/x?key=quite-secret",
    "TOKEN": "tokentoken",
    "SMTP_PASSWORD": "pass-word",
}


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    file = folder / "kasparro.yaml"
    file.write_text(text)
    return load_config(file, ENVIRON if environ is None else environ)


def problems(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(Misconfigured) as caught:
        loaded(folder, text)
    return [(one["line"], one["path"], one["problem"]) for one in caught.value.facts["mistakes"]]


def test_a_sound_section_becomes_channels(tmp_path: Path) -> None:
    ops, chat, mail = loaded(tmp_path, SOUND).notifications
    assert isinstance(ops.kind, Webhook)
    assert ops.kind.url.get_secret_value() == ENVIRON["OPS_WEBHOOK"]
    assert ops.wishes == Wishes(
        severity="info",
        kinds=("row_count_low", "field_renamed"),
        sources=("coins", "sales-*"),
        failures=False,
        recoveries=False,
        repeat_every=timedelta(days=1),
        group_for=timedelta(0),
    )
    assert isinstance(chat.kind, Slack)
    assert chat.wishes == Wishes()
    assert isinstance(mail.kind, Email)
    assert mail.kind.where == ("smtp.example.com", 587)
    assert mail.kind.recipients == ("a@example.com", "b@example.com")


def test_what_is_secret_is_masked_wherever_it_occurs(tmp_path: Path) -> None:
    config = loaded(tmp_path, SOUND)
    redact = Redactor(config.secrets)
    for secret in (
        "quite-secret",
        "tokentoken",
        "pass-word",
        "https://hooks.example.com/services/T0000/B0000/abcdefghijklmnop1234",
        "/services/T0000/B0000/abcdefghijklmnop1234",
        "abcdefghijklmnop1234",
    ):
        assert redact(f"no {secret} here") == "no **** here"
        assert secret not in repr(config)


def test_a_file_without_channels_has_none(tmp_path: Path) -> None:
    for section in ("", "notifications:\n", "notifications: {}\n"):
        assert loaded(tmp_path, f"sources:\n  a: {{type: csv, path: a.csv}}\n{section}").notifications == ()


NO_ADDRESS = "is not an address; write name@example.com in ASCII, or Name <name@example.com>"

MISTAKEN = """sources:
  coins: {type: csv, path: a.csv}
notifications:
  ops:
    type: webhok
    url: https://x
  a b:
    type: webhook
    url: ftp://x
    severity: warn
    kinds: [row_cont_low]
    sources: [coin, "c*"]
    repeat_every: often
    group_for: 2h
    headers: {"a b": c}
    sverity: info
  mail:
    type: email
    host: "smtp://mail.example.com"
    port: 70000
    security: ssl
    username: me
    from: nobody
    to: ["a@example.com, b@example.com", "Name <a@b.c>"]
  none:
  text: hello
  late:
    type: slack
"""


@pytest.mark.parametrize("url", ["https://[::1/s3cret", "https://[x]/s3cret", "https://h:99999/s3cret"])
def test_an_address_that_is_none_is_a_mistake_and_is_not_shown(tmp_path: Path, url: str) -> None:
    text = f'sources:\n  s: {{type: csv, path: s.csv}}\nnotifications:\n  ops: {{type: slack, url: "{url}"}}\n'
    ((_, place, said),) = problems(tmp_path, text)
    assert (place, "s3cret" in said) == ("notifications.ops.url", False)
    assert said.startswith("is not an http(s) address")


def test_every_mistake_is_said_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    assert problems(tmp_path, MISTAKEN) == [
        (5, "notifications.ops.type", '"webhok" is not one of webhook, slack, email; did you mean "webhook"?'),
        (7, 'notifications."a b"', '"a b" cannot be the name of a channel; use 1 to 63 letters, digits, _ and -'),
        (9, 'notifications."a b".url', "is not an http(s) address; it must look like https://host/path"),
        (
            10,
            'notifications."a b".severity',
            '"warn" is not one of info, warning, critical; did you mean "warning"?',
        ),
        (11, 'notifications."a b".kinds[0]', '"row_cont_low" is not a kind of finding; did you mean "row_count_low"?'),
        (
            12,
            'notifications."a b".sources[0]',
            '"coin" is not a declared source; use source names, or patterns with * and ?; did you mean "coins"?',
        ),
        (
            13,
            'notifications."a b".repeat_every',
            'must be a length of time such as 30s, 5m or 6h, not "often"',
        ),
        (14, 'notifications."a b".group_for', "must be at most 1h"),
        (15, 'notifications."a b".headers."a b"', "holds characters that HTTP forbids in a header"),
        (16, 'notifications."a b".sverity', 'unknown key; did you mean "severity"?'),
        (17, "notifications.mail", 'the key "password" is missing, which goes with username'),
        (
            19,
            "notifications.mail.host",
            "is not the name of a host; write smtp.example.com, and the port under port",
        ),
        (20, "notifications.mail.port", "must be at most 65535, not 70000"),
        (21, "notifications.mail.security", '"ssl" is not one of starttls, tls, none'),
        (
            23,
            "notifications.mail.from",
            f'"nobody" {NO_ADDRESS}',
        ),
        (
            24,
            "notifications.mail.to[0]",
            f'"a@example.com, b@example.com" {NO_ADDRESS}',
        ),
        (25, "notifications.none", 'the key "type" is missing; it is one of webhook, slack, email'),
        (26, "notifications.text", 'must be a mapping of keys such as type, not "hello"'),
        (27, "notifications.late", 'the key "url" is missing'),
    ]


@pytest.mark.parametrize(
    "line",
    [
        'from: "a@b.c\\nBcc: x@y.z"',
        'from: "a@b.c>, <x@y.z"',
        "from: jürgen@example.com",
        "from: a@exämple.com",
        'from: ""',
        'to: "a@b@c"',
        "to: []",
        'to: "a@b.c\\r\\nRCPT TO:<x@y.z>"',
    ],
)
def test_an_address_cannot_smuggle_anything(tmp_path: Path, line: str) -> None:
    given = {"from": "from: a@b.c", "to": "to: a@b.c", line.split(":", 1)[0]: line}
    lines = "\n    ".join(["type: email", "host: localhost", *given.values()])
    found = problems(tmp_path, f"sources:\n  a: {{type: csv, path: a.csv}}\nnotifications:\n  mail:\n    {lines}\n")
    assert len(found) == 1
    assert f"notifications.mail.{line.split(':', 1)[0]}" in found[0][1]


def test_a_password_does_not_travel_unencrypted(tmp_path: Path) -> None:
    text = SOUND.replace("host: smtp.example.com", "host: smtp.example.com\n    security: none")
    ((_, place, problem),) = problems(tmp_path, text)
    assert (place, problem) == (
        "notifications.mail.security",
        "none would send the password unencrypted; use starttls or tls",
    )
    here = text.replace("smtp.example.com", "127.0.0.1")
    assert loaded(tmp_path, here).notifications[2].kind.where == ("127.0.0.1", 25)  # type: ignore[union-attr]


def test_a_value_from_the_environment_is_not_shown_in_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        loaded(tmp_path, SOUND, {**ENVIRON, "OPS_WEBHOOK": "no-address-but-secret"})
    assert "no-address-but-secret" not in str(caught.value)


@pytest.fixture(scope="module")
def validator() -> Any:
    return Draft202012Validator(json_schema())


def test_the_schema_for_editors_agrees(validator: Any, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SOUND)
    assert [error.message for error in validator.iter_errors(read_yaml(tmp_path / "a.yaml").data)] == []
    (tmp_path / "a.yaml").write_text(MISTAKEN)
    wrong = read_yaml(tmp_path / "a.yaml").data["notifications"]
    for name, channel in wrong.items():
        assert not validator.is_valid({"sources": {}, "notifications": {name: channel}}), name
