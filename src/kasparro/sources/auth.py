"""Credentials: how a request proves who asks.

Applied only to requests that go to the source's own origin; see `http.py`.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, assert_never

from pydantic import ConfigDict, Field, SecretStr

_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)
_SECRET_NAME = re.compile(r"(?i)key|token|secret|password|passwd|pwd|auth|sig|credential|cookie")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """`Authorization: Bearer <token>`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    type: Literal["bearer"] = "bearer"
    token: Annotated[SecretStr, Field(description="The token, best written as `${NAME}`.")]

    def __post_init__(self) -> None:
        _sound(self.token, "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key in a header or in the query."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    type: Literal["api_key"] = "api_key"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", description="Header or parameter name.")]
    value: Annotated[SecretStr, Field(description="The key, best written as `${NAME}`.")]
    place: Annotated[Literal["header", "query"], Field(alias="in", description="Where the key is sent.")] = "header"

    def __post_init__(self) -> None:
        _sound(self.value, "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """`Authorization: Basic …` from a name and a password."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    type: Literal["basic"] = "basic"
    username: Annotated[str, Field(description="User name; may not hold a colon.", pattern=r"^[^:]*$")]
    password: Annotated[SecretStr, Field(description="Password; may be empty, as some APIs want it.")] = field(
        default_factory=lambda: SecretStr("")
    )


Auth = Annotated[Bearer | ApiKey | Basic, Field(discriminator="type")]


def _sound(secret: SecretStr, name: str) -> None:
    text = secret.get_secret_value()
    if not text.strip():
        raise ValueError(f"{name} is empty")
    if any(ord(one) < ord(" ") for one in text):
        raise ValueError(f"{name} holds a line break or another control character")


def credentials(auth: Bearer | ApiKey | Basic | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and the query parameters that carry the credentials."""
    match auth:
        case None:
            return {}, {}
        case Bearer():
            return {"Authorization": f"Bearer {auth.token.get_secret_value()}"}, {}
        case ApiKey(place="header"):
            return {auth.name: auth.value.get_secret_value()}, {}
        case ApiKey():
            return {}, {auth.name: auth.value.get_secret_value()}
        case Basic():
            return {"Authorization": f"Basic {_encoded(auth)}"}, {}
        case _:
            assert_never(auth)


def remedy(auth: Bearer | ApiKey | Basic | None) -> str:
    """Return what to check when credentials are refused."""
    match auth:
        case None:
            return "set `auth`"
        case Bearer():
            return "check auth.token"
        case ApiKey():
            return "check auth.name and auth.value"
        case Basic():
            return "check auth.username and auth.password"
        case _:
            assert_never(auth)


def secret_texts(auth: Bearer | ApiKey | Basic | None, headers: Mapping[str, str]) -> frozenset[str]:
    """Return every text to mask: secrets as configured, and as servers echo them inside JSON or HTML."""
    known = [value for name, value in headers.items() if _SECRET_NAME.search(name)]
    known += [value.split(maxsplit=1)[-1] for value in known if value.strip()]  # without `Bearer` or `Basic`
    match auth:
        case Bearer():
            known.append(auth.token.get_secret_value())
        case ApiKey():
            known.append(auth.value.get_secret_value())
        case Basic():
            known += [auth.password.get_secret_value(), _encoded(auth)]
        case None:
            pass
        case _:
            assert_never(auth)
    return frozenset(_forms(known))


def _forms(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        yield text
        yield json.dumps(text)[1:-1]
        yield text.replace("/", "\\/")
        yield html.escape(text)


def _encoded(auth: Basic) -> str:
    pair = f"{auth.username}:{auth.password.get_secret_value()}"
    return base64.b64encode(pair.encode()).decode("ascii")
