"""Mails, by a real mail server: what arrives, what is encrypted, and what is refused."""

import asyncio
import email
import ssl
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from pydantic import SecretStr
from tests.integration.notify.conftest import NOON

from kasparro.errors import Broken, Unreachable
from kasparro.model.notification import Item, Message, no_counts
from kasparro.model.redact import Redactor
from kasparro.notify.channels import Email
from kasparro.notify.mail import send

REDACT = Redactor({"sesame-secret"})


@dataclass(slots=True)
class Box:
    """Takes mails; answers as it is told."""

    mails: list[Any] = field(default_factory=list)
    envelopes: list[Any] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    answer: str = "250 taken"
    refused: dict[str, str] = field(default_factory=dict)
    hang: asyncio.Event | None = None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as aiosmtpd calls it
        if self.hang is not None:
            await self.hang.wait()
        self.mails.append(email.message_from_bytes(envelope.content, policy=default))
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.secure.append(session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None)
        return self.answer


class Listening(Controller):
    """A server on a port that is free."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


Serve = Callable[..., Controller]


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def serve(box: Box) -> Iterator[Serve]:
    started: list[Controller] = []

    def start(**options: Any) -> Controller:
        made = Listening(box, hostname="127.0.0.1", port=0, ready_timeout=30, **options)
        made.start()
        started.append(made)
        return made

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*made, "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    return made


def mail_to(port: int, **more: Any) -> Email:
    given = {"host": "127.0.0.1", "security": "none", "sender": "Kasparro <kasparro@example.com>"}
    return Email(**{**given, "to": ("a@example.com", "B <b@example.com>"), "port": port, **more})


def message(**more: Any) -> Message:
    item = Item(
        what="finding",
        source="coins",
        run_id=7,
        kind="row_count_low",
        severity="warning",
        subject="run",
        message="Die Zahl der Sätze ist klein.",
        happened_at="2026-11-23T12:00:00+00:00",
        expected={"low": 90, "high": 110},
        observed=3,
        look="kasparro findings --run 7",
    )
    given = {"id": 1, "key": str(uuid.UUID(int=7)), "channel": "mail", "instance": "here", "made_at": NOON}
    return Message(**{**given, "items": (item,), "counts": {**no_counts(), "warning": 3}, **more})


async def test_a_mail_arrives_in_plain_text(serve: Serve, box: Box) -> None:
    assert await send(mail_to(serve().port), message(), seconds=5, redact=REDACT) == "taken"
    (mail,) = box.mails
    assert box.envelopes == [("kasparro@example.com", ["a@example.com", "b@example.com"])]
    assert mail["Subject"] == "[Kasparro here] coins: 3 warnings"
    assert mail["From"] == "Kasparro <kasparro@example.com>"
    assert mail["Message-ID"] == "<00000000-0000-0000-0000-000000000007@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content().replace("\r\n", "\n")
    assert (
        "coins: row_count_low (warning)\n  Die Zahl der Sätze ist klein.\n  expected: 90 to 110\n  observed: 3" in text
    )
    assert "run 7, at 2026-11-23T12:00:00+00:00\n  look closer: kasparro findings --run 7" in text
    assert "and 2 more; see them all: kasparro findings" in text


async def test_a_text_cannot_add_a_header_or_a_recipient(serve: Serve, box: Box) -> None:
    odd = Item(
        what="finding",
        source="x\r\nBcc: spy@example.com",
        run_id=1,
        kind="a\nb",
        severity="info",
        subject="\r\n.\r\nQUIT",
        message="one\r\n.\r\nRCPT TO:<spy@example.com>",
        happened_at="now",
    )
    await send(mail_to(serve().port), message(items=(odd,), instance="a\r\nX: y"), seconds=5, redact=REDACT)
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert mail["X"] is None
    assert mail["Subject"].startswith("[Kasparro a X: y] x Bcc: spy@example.com")
    assert box.envelopes[0][1] == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_it_is_encrypted_by_a_certificate_that_is_trusted(
    serve: Serve, box: Box, certificate: tuple[Path, Path], security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = context(certificate)
    port = serve(**({"ssl_context": tls} if security == "tls" else {"tls_context": tls})).port
    kind = mail_to(port, host="localhost", security=security)
    with pytest.raises(Unreachable):
        await send(kind, message(), seconds=5, redact=REDACT)
    assert box.mails == [], "nothing is sent to whom the certificate does not vouch for"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    await send(kind, message(), seconds=5, redact=REDACT)
    assert box.secure == [True]


async def test_nothing_is_sent_where_encryption_is_asked_for_and_not_offered(serve: Serve, box: Box) -> None:
    with pytest.raises(Unreachable, match="STARTTLS"):
        await send(mail_to(serve().port, security="starttls"), message(), seconds=5, redact=REDACT)
    assert box.mails == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_password_is_checked_and_never_shown(serve: Serve, box: Box) -> None:
    def check(_server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == b"sesame-secret"
        return AuthResult(success=right, handled=False)

    port = serve(authenticator=check, auth_required=True, auth_require_tls=False).port
    given = {"username": "kasparro", "password": SecretStr("sesame-secret")}
    await send(mail_to(port, **given), message(), seconds=5, redact=REDACT)
    assert len(box.mails) == 1
    with pytest.raises(Broken, match="535") as refused:
        await send(mail_to(port, username="x", password=SecretStr("wrong")), message(), seconds=5, redact=REDACT)
    assert "wrong" not in str(refused.value)
    with pytest.raises(Broken, match="530"):
        await send(mail_to(port), message(), seconds=5, redact=REDACT)


async def test_a_no_for_now_and_a_no_for_good(serve: Serve, box: Box) -> None:
    port = serve().port
    box.answer = "451 come back sesame-secret"
    with pytest.raises(Unreachable, match=r"451: come back \*\*\*\*"):
        await send(mail_to(port), message(), seconds=5, redact=REDACT)
    box.answer = "554 never"
    with pytest.raises(Broken, match="554: never"):
        await send(mail_to(port), message(), seconds=5, redact=REDACT)


async def test_recipients_that_are_refused(serve: Serve, box: Box) -> None:
    port = serve().port
    box.refused = {"a@example.com": "550 unknown"}
    answer = await send(mail_to(port), message(), seconds=5, redact=REDACT)
    assert "not taken for a@example.com" in answer
    box.refused["b@example.com"] = "450 greylisted"
    with pytest.raises(Unreachable, match="takes none of the recipients"):
        await send(mail_to(port), message(), seconds=5, redact=REDACT)
    box.refused["b@example.com"] = "550 unknown"
    with pytest.raises(Broken, match="550 unknown"):
        await send(mail_to(port), message(), seconds=5, redact=REDACT)


async def test_a_mail_server_that_hangs_or_is_not_there(box: Box, serve: Serve) -> None:
    port = serve().port
    box.hang = asyncio.Event()
    with pytest.raises(Unreachable, match="within 1 s"):
        await send(mail_to(port), message(), seconds=1, redact=REDACT)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 was not reached: "):
        await send(mail_to(1), message(), seconds=5, redact=REDACT)
