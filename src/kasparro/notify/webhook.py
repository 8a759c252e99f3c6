"""Posts a message to a URL, with the HTTP client that sources use."""

from collections.abc import Mapping
from typing import Any

from kasparro.errors import Broken, KasparroError, Misconfigured, Transient, Unreachable
from kasparro.model.notification import Message
from kasparro.model.redact import Redactor
from kasparro.notify.channels import Slack, Webhook
from kasparro.sources.http import HttpClient, HttpOptions
from kasparro.sources.http_errors import excerpt
from kasparro.sources.http_redirect import STATUSES
from kasparro.sources.tools import Request

_CONNECT_SECONDS = 5.0
_REDIRECTS = tuple(sorted(STATUSES))
_OUR_FAULT = range(400, 500)


async def post(
    kind: Webhook | Slack, message: Message, body: Mapping[str, Any], *, seconds: float, redact: Redactor
) -> str:
    """Post a message once, and return what the other side answered.

    A redirect is not followed: it would carry the message, and what is secret in it, to somebody else.

    Args:
        kind: Where to.
        message: Its key goes along as `Idempotency-Key`, so that the other side can tell a second attempt.
        body: Of the request.
        seconds: For all of it.
        redact: Masks secrets in answers and errors.

    Raises:
        Transient: may work later.
        Broken: refused, and would be again.
        Misconfigured: the URL or a header cannot be sent.
    """
    url = kind.url.get_secret_value()
    options = HttpOptions(
        connect_timeout=min(_CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        total_timeout=seconds,
        attempts=1,
        retry_seconds=0,
    )
    request = Request(url=url, method="POST", headers={"Idempotency-Key": message.key}, json=body, expect=_REDIRECTS)
    try:
        async with HttpClient(
            source=message.channel, options=options, headers=kind.headers, home=url, redact=redact
        ) as client:
            answer = await client.peek(request)
    except Transient as error:
        raise _later(error) from error
    except KasparroError as error:
        raise _refused(error) from error
    if answer.status in _REDIRECTS:
        raise Broken(f"it redirects elsewhere ({answer.status}), which is not followed; set `url` to the new address")
    said = excerpt(answer.body, redact)
    return f"{answer.status}: {said}" if said else str(answer.status)


def _later(error: Transient) -> Transient:
    """Return the error without the address, which is a secret, and with what was answered."""
    return type(error)(_said(error), **error.facts)


def _refused(error: KasparroError) -> KasparroError:
    """Return what is final as it is; what the other side may mend itself, such as its certificate, may work later."""
    if isinstance(error, Misconfigured):
        return Misconfigured("the request cannot be sent: check `url` and `headers` of the channel")
    if error.facts.get("status") in _OUR_FAULT:
        return Broken(_said(error), **error.facts)
    return Unreachable(_said(error), **error.facts)


def _said(error: KasparroError) -> str:
    status, text = error.facts.get("status"), error.facts.get("excerpt")
    if status is None:
        return error.message
    return f"it answered {status}: {text}" if text else f"it answered {status}"
