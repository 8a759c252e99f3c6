"""Sends one message once, by the kind of its channel."""

from typing import assert_never

from kasparro.model.notification import Message
from kasparro.model.redact import Redactor
from kasparro.notify.bodies import json_body, slack_body
from kasparro.notify.channels import Email, Kind, Slack, Webhook

WEB_SECONDS = 10.0
MAIL_SECONDS = 30.0
"""Of one attempt."""


async def send(kind: Kind, message: Message, redact: Redactor, seconds: float | None = None) -> str:
    """Send a message once, and return what the other side answered.

    Args:
        kind: Where to.
        message: What.
        redact: Masks secrets in answers and errors.
        seconds: For the attempt, where it must not take as long as it may.

    Raises:
        Transient: may work later; `retry_after` where the other side said when.
        Broken, Misconfigured: refused, and would be again.
    """
    # What sends is loaded when something is sent: HTTP and mail take longer to import than all that decides.
    match kind:
        case Webhook() | Slack():
            from kasparro.notify.webhook import post  # noqa: PLC0415 - see above

            body = json_body(message) if isinstance(kind, Webhook) else slack_body(message)
            return await post(kind, message, body, seconds=_least(WEB_SECONDS, seconds), redact=redact)
        case Email():
            from kasparro.notify.mail import send as send_mail  # noqa: PLC0415 - see above

            return await send_mail(kind, message, seconds=_least(MAIL_SECONDS, seconds), redact=redact)
        case _:
            assert_never(kind)


def _least(usual: float, seconds: float | None) -> float:
    return usual if seconds is None else max(1.0, min(usual, seconds))
