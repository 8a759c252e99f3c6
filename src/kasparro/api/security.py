"""Who may read, and who may operate.

Without a key there is nobody to tell apart, so what needs one is open only to this machine: the server is meant to
listen on loopback *and* the request came from there, was addressed to a local name, was not passed on by a proxy, and
not sent by a page of another site. Otherwise a server started on another address than its settings say would be open to
all, and any page in the operator's browser could reach it, under its own name (DNS rebinding) or blindly (a form).
"""

import hashlib
import hmac
from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.exceptions import HTTPException

from kasparro.api.settings import ApiSettings
from kasparro.errors import Denied

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

_header = APIKeyHeader(name="X-API-Key", scheme_name="ApiKey", description="The value of API_KEY.", auto_error=False)
_bearer = HTTPBearer(scheme_name="Bearer", description="The value of API_KEY.", auto_error=False)


async def given_keys(
    key: Annotated[str | None, Security(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> tuple[str, ...]:
    """Return the keys that the request carries."""
    token = bearer.credentials if bearer is not None else None
    return tuple(one for one in (key, token) if one is not None)


Given = Annotated[tuple[str, ...], Depends(given_keys)]


async def operator_access(request: Request, given: Given) -> None:
    """Let through who may change things.

    Raises:
        Denied: the key is missing or wrong.
        HTTPException: 403, no key is set and the caller is not of this machine.
    """
    _demand(request.app.state.settings, request, given)


async def read_access(request: Request, given: Given) -> None:
    """Let through who may read. Raises as `operator_access`, unless reads are public."""
    settings: ApiSettings = request.app.state.settings
    if not settings.public_read:
        _demand(settings, request, given)


def may_read(request: Request) -> bool:
    """Tell whether the request may read, for answers that only say less to others."""
    settings: ApiSettings = request.app.state.settings
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = tuple(one for one in (request.headers.get("x-api-key"), token) if one)
    return settings.public_read or _allowed(settings, request, given)


def _demand(settings: ApiSettings, request: Request, given: tuple[str, ...]) -> None:
    if _allowed(settings, request, given):
        return
    if settings.api_key is None:
        raise HTTPException(
            HTTPStatus.FORBIDDEN, "No API_KEY is set, so this is open to the machine of the server only. Set API_KEY."
        )
    raise Denied("The API key is wrong." if given else "Send the API key as X-API-Key, or as Authorization: Bearer.")


def _allowed(settings: ApiSettings, request: Request, given: tuple[str, ...]) -> bool:
    if settings.api_key is None:
        return settings.loopback and _is_local(request)
    expected = settings.api_key
    return any([_same(expected, one) for one in given])  # noqa: C419 - all are compared, in any case


def _same(expected: SecretStr, given: str) -> bool:
    """Compare in a time that tells neither content nor length. Header values are bytes read as Latin-1."""
    digests = [
        hashlib.sha256(text).digest()
        for text in (expected.get_secret_value().encode(), given.encode("latin-1", "replace"))
    ]
    return hmac.compare_digest(*digests)


def _is_local(request: Request) -> bool:
    if request.client is None or not _is_loopback(request.client.host):
        return False
    if any(name in request.headers for name in _PASSED_ON):
        return False
    origin = request.headers.get("origin")
    return _host(f"//{request.headers.get('host', '')}") in _LOCAL_NAMES and (
        origin is None or _host(origin) in _LOCAL_NAMES
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
