"""The request for a position, and the addresses that answers point to, kept free of secrets."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kasparro.errors import Broken
from kasparro.model.path import Step, parse_path
from kasparro.sources.api_next import Position
from kasparro.sources.http_url import joined, origin, query, with_params, without_params
from kasparro.sources.tools import Request

_ACCEPT = "application/json, application/x-ndjson;q=0.9, */*;q=0.5"

Texts = str | Sequence[str]
Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every request of a source has in common.

    Attributes:
        params: The user's own query parameters, as texts.
        auth_param: Query parameter that the HTTP client fills with the key, where there is one.
    """

    url: str
    method: str
    params: Mapping[str, Texts]
    json: Any
    form: Mapping[str, str] | None
    auth_param: str | None
    expect: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Varying:
    """What is set for one request: in the query, and in the body, where names may be paths."""

    in_query: Mapping[str, Any]
    in_body: Mapping[str, Any]


def request_for(asked: Asked, position: Position | None, varying: Varying, redact: Redact) -> Request:
    """Return the request for a position. An address that the API gave is used as it is, but for secrets of our own."""
    base = Request(
        url=asked.url,
        method=asked.method,
        headers={"Accept": _ACCEPT},
        json=asked.json,
        form=asked.form,
        expect=asked.expect,
    )
    if position is not None and position.url is not None:
        return replace(base, url=_restored(asked, position.url, redact))
    base = replace(base, url=with_params(asked.url, asked.params))
    base = replace(base, params={name: as_text(value) for name, value in varying.in_query.items()})
    if not varying.in_body:
        return base
    if asked.form is not None:
        return replace(base, form={**asked.form, **{name: as_text(value) for name, value in varying.in_body.items()}})
    body = copy.deepcopy(asked.json) if asked.json is not None else {}
    for name, value in varying.in_body.items():
        _put(body, parse_path(name), value)
    return replace(base, json=body)


def resolved(asked: Asked, position: Position, answered: str, redact: Redact) -> Position:
    """Return the position with its address absolute, seen from the final address of the answer, and without secrets.

    An address that differs from ours in nothing but `http` for `https` is a misconfigured proxy's: ours is kept.

    Raises:
        Broken: it is not an address.
    """
    if position.url is None:
        return position
    try:
        url = joined(answered, position.url)
    except ValueError as error:
        raise Broken(f"the next page is not at an address: {redact(position.url)[:100]!r}") from error
    ours, theirs = origin(answered), origin(url)
    if (ours.scheme, theirs.scheme, theirs.port) == ("https", "http", 80) and ours.host == theirs.host:
        url = joined(answered, "//" + url.removeprefix("http://"))
    own = _secret_params(asked, redact)
    secret = {
        name
        for name, value in query(url)
        if name == asked.auth_param or redact(value) != value or own.get(name) in {value, (value,)}
    }
    return replace(position, url=without_params(url, secret))


def as_text(value: object) -> str:
    """Return a parameter as it is sent."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _restored(asked: Asked, url: str, redact: Redact) -> str:
    """Return the address with the secret parameters that it was stored without; not for another origin."""
    if origin(url) != origin(asked.url):
        return url
    there = {name for name, _ in query(url)}
    return with_params(url, {name: value for name, value in _secret_params(asked, redact).items() if name not in there})


def _secret_params(asked: Asked, redact: Redact) -> dict[str, Texts]:
    """Return the query parameters of ours that hold a secret, by their value or by their name."""
    found: dict[str, Texts] = {}
    for name, value in [*query(asked.url), *asked.params.items()]:
        texts = (value,) if isinstance(value, str) else value
        if any(redact(f"?{name}={text}") != f"?{name}={text}" for text in texts if text):
            found[name] = value if isinstance(value, str) else tuple(value)
    return found


def _put(body: Any, steps: tuple[Step, ...], value: Any) -> None:  # noqa: ANN401 - JSON can be anything
    """Set a value inside a JSON body, making the objects on the way."""
    for step in steps[:-1]:
        body = body.setdefault(step, {}) if isinstance(step, str) else body[step]
    body[steps[-1]] = value
