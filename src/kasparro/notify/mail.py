"""Sends a message as a mail in plain text."""

import asyncio
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr

import aiosmtplib

from kasparro.errors import Broken, KasparroError, Unreachable
from kasparro.model.notification import Message, plain
from kasparro.model.redact import Redactor
from kasparro.notify.channels import Email
from kasparro.notify.wording import facts, rest, summary, title
from kasparro.version import __version__

_SUBJECT_CHARACTERS = 150
_FINAL = range(500, 600)
"""Answers of a mail server that say no for good; those from 400 on ask to come back later."""


def mail_of(kind: Email, message: Message) -> EmailMessage:
    """Return the mail. What it says cannot add a header: items are on one line, and so are the names that it holds."""
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = kind.sender
    mail["To"] = ", ".join(kind.recipients)
    mail["Subject"] = plain(f"[Kasparro {message.instance}] {summary(message)}", _SUBJECT_CHARACTERS)
    mail["Date"] = format_datetime(message.made_at)
    mail["Message-ID"] = f"<{message.key}@{_address(kind.sender).rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Mailer"] = f"Kasparro {__version__}"
    mail.set_content(_text(message))
    return mail


async def send(kind: Email, message: Message, *, seconds: float, redact: Redactor) -> str:
    """Send it once, and return what the server answered.

    Args:
        kind: By which server, and to whom.
        message: Its key is part of the Message-ID: a second attempt is the same mail.
        seconds: For all of it.
        redact: Masks secrets in answers.

    Raises:
        Unreachable: may work later.
        Broken: refused, and would be again.
    """
    try:
        async with asyncio.timeout(seconds):
            refused, answer = await _sent(kind, message, seconds)
    except (TimeoutError, aiosmtplib.SMTPException, OSError) as error:
        raise _translated(error, kind, seconds, redact) from error
    if not refused:
        return plain(redact(answer))
    names = ", ".join(f"{address} ({plain(redact(str(why)), 200)})" for address, why in refused.items())
    return plain(f"{redact(answer)}; not taken for {names}")


async def _sent(kind: Email, message: Message, seconds: float) -> tuple[dict[str, aiosmtplib.SMTPResponse], str]:
    host, port = kind.where
    sender = _address(kind.sender)
    client = aiosmtplib.SMTP(
        hostname=host,
        port=port,
        use_tls=kind.security == "tls",
        start_tls=kind.security == "starttls",
        timeout=seconds,
        local_hostname=sender.rpartition("@")[2],  # the name of this host would be asked of the DNS, which may hang
    )
    try:
        await client.connect(
            username=kind.username,
            password=None if kind.password is None else kind.password.get_secret_value(),
        )
        recipients = [_address(one) for one in kind.recipients]
        return await client.send_message(mail_of(kind, message), sender=sender, recipients=recipients)
    finally:
        client.close()


def _text(message: Message) -> str:
    parts = [summary(message)]
    parts += ["\n  ".join([title(item), *facts(item)]) for item in message.items]
    more = rest(message, len(message.items))
    if more is not None:
        parts.append(more)
    parts.append(f"-- \nKasparro on {message.instance}, channel {message.channel}, message {message.key}")
    return "\n\n".join(parts) + "\n"


def _address(written: str) -> str:
    """Return the address of `Name <name@example.com>`."""
    return parseaddr(written)[1]


def _translated(error: Exception, kind: Email, seconds: float, redact: Redactor) -> KasparroError:
    place = f"{kind.where[0]}:{kind.where[1]}"
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            final = all(one.code in _FINAL for one in error.recipients)
            names = "; ".join(
                f"{one.recipient}: {one.code} {plain(redact(one.message), 200)}" for one in error.recipients
            )
            return (Broken if final else Unreachable)(f"the mail server {place} takes none of the recipients: {names}")
        case aiosmtplib.SMTPResponseException():
            said = f"the mail server {place} answered {error.code}: {plain(redact(str(error.message)), 300)}"
            return (Broken if error.code in _FINAL else Unreachable)(said)
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return Unreachable(f"the mail server {place} did not answer in full within {seconds:g} s")
        case aiosmtplib.SMTPConnectError(__cause__=OSError(strerror=str() as reason)):
            return Unreachable(f"the mail server {place} was not reached: {reason}")
        case aiosmtplib.SMTPException():
            return Unreachable(f"the mail server {place}: {plain(redact(str(error.message)), 300)}")
        case _:
            return Unreachable(f"the mail server {place} was not reached: {type(error).__name__}")
